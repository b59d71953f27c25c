//! Change sets: proposed changes of a stack, which a later call executes.
//!
//! | topic | file |
//! |---|---|
//! | CreateChangeSet | `create.rs` |
//! | ExecuteChangeSet, DeleteChangeSet | `execute.rs` |
//! | DescribeChangeSet, ListChangeSets | `read.rs` |
//! | changes of resources | `changes.rs`, `details.rs` |

mod changes;
mod create;
mod details;
mod execute;
mod read;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use winterbaume_cloudformation::model;

use super::options::StackOptions;
use super::rollback::RollbackConfiguration;
use super::stack::{OnFailure, Stack, StackDefinition, Status};
use super::{Stacks, validation};
use crate::world::AwsError;

pub(super) use create::create_change_set;
pub(super) use details::texts;
pub(super) use execute::{delete_change_set, execute_change_set};
pub(super) use read::{describe_change_set, list_change_sets};

/// Reason of a change set whose template, parameters and tags are those of the stack.
const NO_CHANGES: &str =
    "The submitted information didn't contain changes. Submit different information to create a change set.";

/// A change set of a stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeSet {
    /// ARN in the format `arn:aws:cloudformation:{region}:{account}:changeSet/{name}/{uuid}`.
    pub id: String,
    pub name: String,
    description: Option<String>,
    created_at: DateTime<Utc>,
    /// Time at which the status changes from CREATE_PENDING to CREATE_IN_PROGRESS.
    started_at: DateTime<Utc>,
    /// Time at which the change set is complete or failed; `None` if an injected fault keeps it in progress.
    ready_at: Option<DateTime<Utc>>,
    /// `ClientToken` of the request.
    token: Option<String>,
    definition: StackDefinition,
    /// Action after a failed creation; `None` for the default of ExecuteChangeSet.
    on_failure: Option<OnFailure>,
    rollback: RollbackConfiguration,
    options: StackOptions,
    changes: Vec<model::ResourceChange>,
    /// Reason of the status FAILED; `None` if the creation succeeds.
    failure: Option<String>,
    execution: Execution,
}

/// Execution of a change set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Execution {
    NotStarted,
    /// Contains the `ClientRequestToken` of the request.
    InProgress(Option<String>),
    Complete,
    Failed,
    /// Another update changed the stack, so the change set cannot be executed any more.
    Obsolete,
}

impl ChangeSet {
    fn status(&self, now: DateTime<Utc>) -> &'static str {
        match (self.ready_at, &self.failure) {
            (Some(ready_at), Some(_)) if ready_at <= now => "FAILED",
            (Some(ready_at), None) if ready_at <= now => "CREATE_COMPLETE",
            _ if self.started_at <= now => "CREATE_IN_PROGRESS",
            _ => "CREATE_PENDING",
        }
    }

    fn execution_status(&self, now: DateTime<Utc>) -> &'static str {
        match self.execution {
            _ if self.status(now) != "CREATE_COMPLETE" => "UNAVAILABLE",
            Execution::NotStarted => "AVAILABLE",
            Execution::InProgress(_) => "EXECUTE_IN_PROGRESS",
            Execution::Complete => "EXECUTE_COMPLETE",
            Execution::Failed => "EXECUTE_FAILED",
            Execution::Obsolete => "OBSOLETE",
        }
    }

    /// Returns whether the change set has been executed. Its name can then be used again.
    fn is_executed(&self) -> bool {
        matches!(self.execution, Execution::Complete | Execution::Failed)
    }
}

impl Stack {
    /// Marks the change sets that were not executed as obsolete, because another update changes the stack.
    pub(super) fn expire_change_sets(&mut self) {
        for change_set in &mut self.change_sets {
            if change_set.execution == Execution::NotStarted {
                change_set.execution = Execution::Obsolete;
            }
        }
    }

    /// Records the end of the operation of the stack in the change set that started it.
    pub(super) fn finish_change_set(&mut self, status: Status) {
        let is_complete = matches!(status, Status::CreateComplete | Status::UpdateComplete);
        for change_set in &mut self.change_sets {
            if matches!(change_set.execution, Execution::InProgress(_)) {
                change_set.execution = if is_complete { Execution::Complete } else { Execution::Failed };
            }
        }
    }

    /// Returns the change set with this name or ARN. A change set that was executed is found after the others.
    fn change_set(&self, name_or_id: &str) -> Option<&ChangeSet> {
        let matching = || self.change_sets.iter().filter(|one| one.id == name_or_id || one.name == name_or_id);
        matching().find(|one| !one.is_executed()).or_else(|| matching().next_back())
    }
}

/// Returns the template of a change set, for GetTemplate.
pub(super) fn template<'a>(stacks: &'a Stacks, stack: Option<&str>, name: &str) -> Result<&'a str, AwsError> {
    find(stacks, stack, name).map(|(_, change_set)| change_set.definition.template.as_str())
}

/// Returns the change set with this name in a stack, or the change set with this ARN, and its stack.
fn find<'a>(stacks: &'a Stacks, stack: Option<&str>, name: &str) -> Result<(&'a Stack, &'a ChangeSet), AwsError> {
    let stack = stack.filter(|stack| !stack.is_empty());
    let found = match stack {
        Some(stack) => {
            let stack = stacks.find(stack).ok_or_else(|| validation(format!("Stack [{stack}] does not exist")))?;
            stack.change_set(name).map(|change_set| (stack, change_set))
        }
        None if !name.starts_with("arn:") => {
            return Err(validation("StackName must be specified if ChangeSetName is not specified as an ARN."));
        }
        None => stacks.find_change_set(name),
    };
    found.ok_or_else(|| not_found(name))
}

fn not_found(name: &str) -> AwsError {
    AwsError::new("ChangeSetNotFound", format!("ChangeSet [{name}] does not exist")).status(404)
}

fn invalid_status(change_set: &ChangeSet, verb: &str, now: DateTime<Utc>) -> AwsError {
    let status = match (change_set.status(now), change_set.execution_status(now)) {
        ("CREATE_COMPLETE", execution) => format!("execution status of [{execution}]"),
        (status, _) => format!("status of [{status}]"),
    };
    let message = format!("ChangeSet [{}] cannot be {verb} in its current {status}", change_set.id);
    AwsError::new("InvalidChangeSetStatus", message)
}

impl Stacks {
    /// Returns the change set with this ARN and its stack.
    fn find_change_set(&self, id: &str) -> Option<(&Stack, &ChangeSet)> {
        self.iter().find_map(|stack| Some((stack, stack.change_sets.iter().find(|one| one.id == id)?)))
    }

    /// Returns the ARN of the stack of a change set, for the authorisation of a call that names only the change set.
    pub(crate) fn stack_of_change_set(&self, id: &str) -> Option<&str> {
        self.find_change_set(id).map(|(stack, _)| stack.id.as_str())
    }
}
