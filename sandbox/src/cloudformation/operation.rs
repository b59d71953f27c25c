//! Start of stack operations, and the checks before it that several API calls share.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::options::StackOptions;
use super::rollback::RollbackConfiguration;
use super::stack::{InjectedFault, OnFailure, Phase, Stack, StackDefinition, StackOperation, Status, Task, TaskState};
use super::{Stacks, options, validation};
use crate::faults::Fault;
use crate::template::{Output, ResourceDeclaration, Template};
use crate::world::{AwsError, Ctx, Request};

/// Maximum number of stacks per account and region (AWS CloudFormation quotas).
const MAX_STACKS: usize = 2_000;

/// Starts a stack operation. [`super::progress`] executes its tasks over simulated time.
pub(super) fn start_operation(ctx: &Ctx, stack: &mut Stack, phase: Phase, tasks: Vec<Task>, token: Option<String>) {
    let injected_fault = match &ctx.fault {
        Some(Fault::Stuck) => Some(InjectedFault::Stuck),
        Some(Fault::FailedState { reason }) => Some(InjectedFault::Failure(reason.clone())),
        _ => None,
    };
    debug_assert!(tasks.iter().all(|task| task.state == TaskState::Waiting));
    stack.work = Some(StackOperation {
        phase,
        tasks,
        started_at: ctx.now,
        time: ctx.now,
        token,
        session: options::session(ctx, stack),
        injected_fault,
        undo: Vec::new(),
        leftovers: Vec::new(),
        monitored_until: None,
        is_cancelled: false,
        deadline: stack.options.timeout().filter(|_| phase == Phase::Create).map(|timeout| ctx.now + timeout),
        retains_except_on_create: false,
    });
}

/// Returns an error unless a stack is in a state in which it can be updated.
pub(super) fn check_can_be_updated(stack: &Stack) -> Result<(), AwsError> {
    if matches!(stack.status, Status::CreateComplete | Status::UpdateComplete | Status::UpdateRollbackComplete) {
        return Ok(());
    }
    Err(validation(format!("Stack:{} is in {} state and can not be updated.", stack.id, stack.status.as_str())))
}

/// Returns whether the new definition is an update of the current one. `new_template` is the template of `new`.
pub(super) fn has_changes(current: &StackDefinition, new: &StackDefinition, new_template: &Template) -> bool {
    if (&new.parameters, &new.tags) != (&current.parameters, &current.tags) {
        return true;
    }
    let current = Template::parse(&current.template);
    !current.is_ok_and(|current| changeable_sections(&current) == changeable_sections(new_template))
}

/// Returns the sections of a template whose change alone is an update. A change of the description, of conditions or of
/// declared parameters is an update only together with a change of other sections or of parameter values.
fn changeable_sections(
    template: &Template,
) -> (&Map<String, Value>, &Vec<ResourceDeclaration>, &Vec<Output>, &Vec<String>) {
    (&template.mappings, &template.resources, &template.outputs, &template.transforms)
}

pub(super) fn check_token_unused(stacks: &Stacks, token: Option<&str>) -> Result<(), AwsError> {
    match token {
        Some(token) if stacks.tokens.contains_key(token) => Err(AwsError::new(
            "TokenAlreadyExistsException",
            format!("A request with the client request token {token} has been made before"),
        )),
        _ => Ok(()),
    }
}

impl Stack {
    /// Creates a stack without resources and events.
    pub(super) fn new(id: String, name: String, definition: StackDefinition, now: DateTime<Utc>) -> Self {
        Self {
            id,
            name,
            status: Status::CreateInProgress,
            reason: None,
            created_at: now,
            updated_at: None,
            deleted_at: None,
            definition,
            previous_definition: None,
            on_failure: OnFailure::Rollback,
            termination_protected: false,
            resources: BTreeMap::new(),
            outputs: BTreeMap::new(),
            events: Vec::new(),
            work: None,
            options: StackOptions::default(),
            drift: None,
            rollback: RollbackConfiguration::default(),
            change_sets: Vec::new(),
        }
    }
}

impl Stack {
    /// Makes the operation in progress delete the resources that it creates if it fails, if the request says so.
    pub(super) fn retain_except_on_create(&mut self, request: &Request) {
        if let Some(work) = &mut self.work {
            work.retains_except_on_create = options::retains_except_on_create(request);
        }
    }
}

impl Stacks {
    pub(super) fn insert(&mut self, stack: Stack, token: Option<String>) {
        if let Some(token) = token {
            self.tokens.insert(token, stack.id.clone());
        }
        self.next_due = stack.work.as_ref().map(|work| work.time).or(self.next_due);
        self.by_id.insert(stack.id.clone(), stack);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Stack> {
        self.by_id.remove(id)
    }

    /// Returns an error if the account and region have as many stacks as AWS allows.
    pub(super) fn check_quota(&self) -> Result<(), AwsError> {
        if self.iter().filter(|stack| stack.status != Status::DeleteComplete).count() >= MAX_STACKS {
            return Err(AwsError::new("LimitExceededException", "Limit for stack has been exceeded"));
        }
        Ok(())
    }
}
