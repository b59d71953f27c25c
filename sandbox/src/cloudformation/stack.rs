//! The state of a stack: definition, resources, events and the operation in progress.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::change_sets::ChangeSet;
use super::drift::DriftDetection;
use super::options::StackOptions;
use super::resources::is_simulated;
use super::rollback::RollbackConfiguration;
use crate::template::ResourceValues;
use crate::world::Session;

/// Status of a stack or resource. CloudFormation uses the same values for both.
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
    /// The stack was created by a change set that was not executed yet. It has no template and no resources.
    ReviewInProgress,
}

impl Status {
    /// Returns the status as in the CloudFormation API, such as `CREATE_COMPLETE`.
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
            Self::ReviewInProgress => "REVIEW_IN_PROGRESS",
        }
    }

    /// Returns whether an operation changes the stack or resource.
    pub fn is_in_progress(self) -> bool {
        self != Self::ReviewInProgress && self.as_str().ends_with("IN_PROGRESS")
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stack {
    /// ARN in the format `arn:aws:cloudformation:{region}:{account}:stack/{name}/{uuid}`.
    pub id: String,
    /// Stack name, unique among the existing stacks of the account and region.
    pub name: String,
    pub status: Status,
    pub reason: Option<String>,
    /// Time of the CreateStack call.
    pub created_at: DateTime<Utc>,
    /// Time of the last UpdateStack call.
    pub updated_at: Option<DateTime<Utc>>,
    /// Time at which the deletion finished.
    pub deleted_at: Option<DateTime<Utc>>,
    #[serde(alias = "design")]
    pub(super) definition: StackDefinition,
    /// Definition before the update in progress. A rollback restores this definition.
    #[serde(alias = "former")]
    pub(super) previous_definition: Option<StackDefinition>,
    pub(super) on_failure: OnFailure,
    /// True if termination protection is enabled, so that DeleteStack is rejected.
    #[serde(alias = "protected")]
    pub(super) termination_protected: bool,
    /// Resources by logical id.
    pub resources: BTreeMap<String, Resource>,
    /// Outputs by key; empty until the stack is complete.
    pub outputs: BTreeMap<String, StackOutput>,
    /// Stack events in chronological order.
    pub events: Vec<Event>,
    /// Stack operation in progress; `None` if there is none.
    pub(super) work: Option<StackOperation>,
    /// Rollback triggers of this and of later operations.
    #[serde(default)]
    pub(super) rollback: RollbackConfiguration,
    #[serde(default)]
    pub(super) options: StackOptions,
    /// Latest drift detection.
    #[serde(default)]
    pub(super) drift: Option<DriftDetection>,
    /// Change sets that exist, oldest first.
    #[serde(default)]
    pub change_sets: Vec<ChangeSet>,
}

/// Template, parameters, tags and capabilities that a caller passed to CreateStack or UpdateStack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StackDefinition {
    pub(super) template: String,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) capabilities: Vec<String>,
}

/// Parameter `OnFailure` of CreateStack: the action after a failed creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum OnFailure {
    Rollback,
    Delete,
    DoNothing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackOutput {
    pub value: String,
    pub description: Option<String>,
    /// Name under which `Fn::ImportValue` of other stacks finds the value.
    #[serde(default)]
    pub export: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resource {
    /// Name of the resource in the template.
    pub logical_id: String,
    /// Identifier of the resource in AWS; the value of `Ref`.
    pub physical_id: Option<String>,
    /// Resource type, such as `AWS::Lambda::Function`.
    pub kind: String,
    pub status: Status,
    pub reason: Option<String>,
    /// Time of the last status change.
    pub changed_at: DateTime<Utc>,
    /// Properties with all intrinsic functions resolved.
    pub(super) properties: Value,
    /// Attributes that `Fn::GetAtt` returns, by name.
    pub(super) attributes: BTreeMap<String, Value>,
    /// Logical ids of the resources that this resource depends on.
    pub(super) needs: BTreeSet<String>,
    /// True if the resource is kept when its stack is deleted (`DeletionPolicy: Retain`).
    pub(super) retained: bool,
    /// True if the resource is deleted nevertheless when the operation that creates it fails.
    #[serde(default)]
    pub(super) retained_except_on_create: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    pub id: String,
    pub at: DateTime<Utc>,
    /// Logical id of the resource; the stack's name for an event of the stack itself.
    pub logical_id: String,
    /// Physical id of the resource, if it exists; the stack's id for an event of the stack itself.
    pub physical_id: Option<String>,
    pub kind: String,
    pub status: Status,
    pub reason: Option<String>,
    /// `ClientRequestToken` of the request that started the stack operation.
    pub token: Option<String>,
}

/// Stack operation in progress, such as a creation or an update.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StackOperation {
    pub(super) phase: Phase,
    pub(super) tasks: Vec<Task>,
    /// Time of the API call that started the stack operation.
    #[serde(alias = "began_at")]
    pub(super) started_at: DateTime<Utc>,
    /// Simulated time up to which the tasks have been processed.
    pub(super) time: DateTime<Utc>,
    pub(super) token: Option<String>,
    /// Session of the caller. CloudFormation uses the permissions of this session even after the session has expired.
    pub(super) session: Option<Session>,
    #[serde(alias = "spoiled")]
    pub(super) injected_fault: Option<InjectedFault>,
    /// Resources that an update has changed so far, each with its previous state (`None` if the update created it).
    pub(super) undo: Vec<(String, Option<Resource>)>,
    /// Replaced resources, which the cleanup phase deletes.
    pub(super) leftovers: Vec<Resource>,
    /// End of the time in which rollback triggers roll back a creation or update whose resources are complete; `None`
    /// until then.
    #[serde(default)]
    pub(super) monitored_until: Option<DateTime<Utc>>,
    /// True if a caller has cancelled the update.
    #[serde(default)]
    pub(super) is_cancelled: bool,
    /// Time at which a creation fails; `None` for no limit.
    #[serde(default)]
    pub(super) deadline: Option<DateTime<Utc>>,
    /// True if resources that the operation creates are deleted if it fails, although the template retains them.
    #[serde(default)]
    pub(super) retains_except_on_create: bool,
}

/// Fault injected into a stack operation or into one of its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum InjectedFault {
    /// The affected tasks start but never finish.
    Stuck,
    /// The task fails with this reason. If the fault affects the whole stack operation, its last task fails.
    #[serde(alias = "Fails")]
    Failure(String),
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

/// Change of one resource in a phase of a stack operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) logical_id: String,
    #[serde(alias = "act")]
    pub(super) action: TaskAction,
    /// Logical ids of the resources whose tasks must finish before this task starts.
    pub(super) after: BTreeSet<String>,
    #[serde(alias = "until")]
    pub(super) state: TaskState,
    /// Failure reason of an injected fault. The task fails with this reason when it finishes.
    #[serde(alias = "doomed")]
    pub(super) injected_failure: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum TaskAction {
    /// Creates the resource, or updates an existing resource to match the stack's definition.
    Build,
    /// Deletes the resource with the logical id of the task.
    Delete,
    /// Deletes a replaced resource, which is no longer part of the stack.
    Discard(Box<Resource>),
    /// Restores the resource to its state before the update.
    Restore(Box<Resource>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TaskState {
    Waiting,
    /// Contains the time at which the task finishes; `None` if the task is stuck and never finishes.
    Running(Option<DateTime<Utc>>),
    Done,
    /// The task has failed. Tasks that depend on it never start.
    Failed,
}

impl Stack {
    /// Sets the status of the stack and records an event.
    pub(super) fn set_status(
        &mut self,
        status: Status,
        reason: Option<String>,
        at: DateTime<Utc>,
        token: Option<String>,
    ) {
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

    /// Returns the resources that exist in AWS.
    pub(super) fn present_resources(&self) -> impl Iterator<Item = &Resource> {
        let is_deleted = |status| matches!(status, Status::DeleteComplete | Status::DeleteSkipped);
        let exists = move |resource: &&Resource| resource.physical_id.is_some() && !is_deleted(resource.status);
        self.resources.values().filter(exists)
    }

    /// Records an event with the status of a resource.
    pub(super) fn record_event(&mut self, resource: &Resource, token: Option<String>) {
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

impl ResourceValues for BTreeMap<String, Resource> {
    fn reference(&self, logical_id: &str) -> Option<Value> {
        self.get(logical_id)?.physical_id.as_ref().map(|id| json!(id))
    }

    fn attribute(&self, logical_id: &str, attribute: &str) -> Option<Value> {
        self.get(logical_id)?.attribute(attribute)
    }
}

impl Resource {
    /// Returns the value of `Fn::GetAtt`. A resource that does nothing has every attribute.
    pub(super) fn attribute(&self, attribute: &str) -> Option<Value> {
        let found = self.attributes.get(attribute).cloned();
        // Attributes such as `TopicArn` must be valid in policies.
        found.or_else(|| {
            let id = self.physical_id.as_ref().filter(|_| !is_simulated(&self.kind))?;
            let arn = self.attributes.get("Arn").filter(|_| attribute.ends_with("Arn"));
            Some(arn.cloned().unwrap_or_else(|| json!(format!("{id}-{attribute}"))))
        })
    }
}
