//! A stack: what it is made of, what has happened to it and what is still to be done.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::template::Resolved;
use crate::world::Session;

/// Where a stack or a resource stands. CloudFormation uses one set of words for both.
#[expect(missing_docs, reason = "the words are CloudFormation's")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    CreateInProgress,
    CreateFailed,
    CreateComplete,
    RollbackInProgress,
    RollbackFailed,
    RollbackComplete,
    DeleteInProgress,
    DeleteFailed,
    DeleteSkipped,
    DeleteComplete,
    UpdateInProgress,
    UpdateCompleteCleanupInProgress,
    UpdateFailed,
    UpdateComplete,
    UpdateRollbackInProgress,
    UpdateRollbackCompleteCleanupInProgress,
    UpdateRollbackFailed,
    UpdateRollbackComplete,
}

impl Status {
    /// As it is written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateInProgress => "CREATE_IN_PROGRESS",
            Self::CreateFailed => "CREATE_FAILED",
            Self::CreateComplete => "CREATE_COMPLETE",
            Self::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            Self::RollbackFailed => "ROLLBACK_FAILED",
            Self::RollbackComplete => "ROLLBACK_COMPLETE",
            Self::DeleteInProgress => "DELETE_IN_PROGRESS",
            Self::DeleteFailed => "DELETE_FAILED",
            Self::DeleteSkipped => "DELETE_SKIPPED",
            Self::DeleteComplete => "DELETE_COMPLETE",
            Self::UpdateInProgress => "UPDATE_IN_PROGRESS",
            Self::UpdateCompleteCleanupInProgress => "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
            Self::UpdateFailed => "UPDATE_FAILED",
            Self::UpdateComplete => "UPDATE_COMPLETE",
            Self::UpdateRollbackInProgress => "UPDATE_ROLLBACK_IN_PROGRESS",
            Self::UpdateRollbackCompleteCleanupInProgress => "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
            Self::UpdateRollbackFailed => "UPDATE_ROLLBACK_FAILED",
            Self::UpdateRollbackComplete => "UPDATE_ROLLBACK_COMPLETE",
        }
    }

    /// Whether something is still going on.
    pub fn in_progress(self) -> bool {
        self.as_str().ends_with("IN_PROGRESS")
    }
}

/// A stack, deleted ones included.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stack {
    /// `arn:aws:cloudformation:{region}:{account}:stack/{name}/{uuid}`.
    pub id: String,
    /// Name, unique among the stacks of its account and region that have not been deleted.
    pub name: String,
    /// Where it stands.
    pub status: Status,
    /// Why, where it says so.
    pub reason: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When an update was last asked for.
    pub updated_at: Option<DateTime<Utc>>,
    /// When it had been deleted.
    pub deleted_at: Option<DateTime<Utc>>,
    /// What it is to be.
    pub(super) design: Design,
    /// What it was to be before the update that is under way.
    pub(super) former: Option<Design>,
    /// What is to become of it if its creation fails.
    pub(super) on_failure: OnFailure,
    /// DeleteStack is refused.
    pub(super) protected: bool,
    /// What exists, by logical id.
    pub resources: BTreeMap<String, Resource>,
    /// Outputs by key, once it is complete.
    pub outputs: BTreeMap<String, Shown>,
    /// What has happened, oldest first.
    pub events: Vec<Event>,
    /// What is still to be done.
    pub(super) work: Option<Work>,
}

/// What a caller asked a stack to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Design {
    pub(super) template: String,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) capabilities: Vec<String>,
}

/// `OnFailure` of CreateStack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum OnFailure {
    Rollback,
    Delete,
    DoNothing,
}

/// The value of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its value.
    pub value: String,
    /// Its description in the template.
    pub description: Option<String>,
}

/// A resource of a stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resource {
    /// Name in the template.
    pub logical_id: String,
    /// Name in AWS; also what `Ref` gives.
    pub physical_id: Option<String>,
    /// `AWS::Lambda::Function`, …
    pub kind: String,
    /// Where it stands.
    pub status: Status,
    /// Why, where it says so.
    pub reason: Option<String>,
    /// When its status last changed.
    pub changed_at: DateTime<Utc>,
    /// Its properties, worked out.
    pub(super) properties: Value,
    /// What `Fn::GetAtt` gives.
    pub(super) attributes: BTreeMap<String, Value>,
    /// The logical ids that it was built upon.
    pub(super) needs: BTreeSet<String>,
    /// `DeletionPolicy: Retain`.
    pub(super) retained: bool,
}

/// One entry of a stack's history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Unique.
    pub id: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The resource, or the stack's own name.
    pub logical_id: String,
    /// Its name in AWS, once it has one; the stack's id for the stack.
    pub physical_id: Option<String>,
    /// Its type.
    pub kind: String,
    /// Its new status.
    pub status: Status,
    /// Why.
    pub reason: Option<String>,
    /// Token of the request that set off the operation.
    pub token: Option<String>,
}

/// An operation under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Work {
    pub(super) phase: Phase,
    pub(super) tasks: Vec<Task>,
    /// When the operation was asked for.
    pub(super) began_at: DateTime<Utc>,
    /// How far the schedule has been followed.
    pub(super) time: DateTime<Utc>,
    pub(super) token: Option<String>,
    /// CloudFormation acts as whoever called it, even when that session has ended meanwhile.
    pub(super) session: Option<Session>,
    pub(super) spoiled: Option<Spoiled>,
    /// What an update has changed so far, each with what was there before.
    pub(super) undo: Vec<(String, Option<Resource>)>,
    /// What has been replaced and is to be deleted in the clean-up.
    pub(super) leftovers: Vec<Resource>,
}

/// A fault that the call was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Spoiled {
    /// The first resource never gets done.
    Stuck,
    /// The last resource fails for this reason.
    Fails(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    Create,
    Rollback,
    Update,
    Cleanup,
    UpdateRollback,
    UpdateRollbackCleanup,
    Delete,
}

/// One resource's part in a phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) logical_id: String,
    pub(super) act: Act,
    /// The tasks of the same phase, by logical id, that must be done before.
    pub(super) after: BTreeSet<String>,
    pub(super) until: Until,
    /// Why it is going to fail, where a fault says so.
    pub(super) doomed: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Act {
    /// Create it, or update it to the stack's design where it exists.
    Build,
    /// Delete what the stack has under this logical id.
    Delete,
    /// Delete this, which the stack no longer counts among its resources.
    Discard(Box<Resource>),
    /// Give it back what it was before the update.
    Restore(Box<Resource>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Until {
    Waiting,
    /// Begun, and done at this time; never, where there is none.
    Running(Option<DateTime<Utc>>),
    Done,
    /// What waits for it will never begin.
    Failed,
}

impl Stack {
    /// Moves the stack to a new status and writes it down.
    pub(super) fn become_(&mut self, status: Status, reason: Option<String>, at: DateTime<Utc>, token: Option<String>) {
        self.status = status;
        self.reason.clone_from(&reason);
        let event = Event {
            id: format!("{}-{}-{}", self.name, status.as_str(), self.events.len()),
            at,
            logical_id: self.name.clone(),
            physical_id: Some(self.id.clone()),
            kind: "AWS::CloudFormation::Stack".into(),
            status,
            reason,
            token,
        };
        self.events.push(event);
    }

    /// Writes down what became of a resource.
    pub(super) fn note(&mut self, resource: &Resource, token: Option<String>) {
        self.events.push(Event {
            id: format!("{}-{}-{}", resource.logical_id, resource.status.as_str(), self.events.len()),
            at: resource.changed_at,
            logical_id: resource.logical_id.clone(),
            physical_id: resource.physical_id.clone(),
            kind: resource.kind.clone(),
            status: resource.status,
            reason: resource.reason.clone(),
            token,
        });
    }
}

/// What `Ref` and `Fn::GetAtt` find among a stack's resources.
impl Resolved for BTreeMap<String, Resource> {
    fn reference(&self, logical_id: &str) -> Option<Value> {
        self.get(logical_id)?.physical_id.as_ref().map(|id| json!(id))
    }

    fn attribute(&self, logical_id: &str, attribute: &str) -> Option<Value> {
        self.get(logical_id)?.attributes.get(attribute).cloned()
    }
}
