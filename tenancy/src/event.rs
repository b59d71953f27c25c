//! Events of an operation, which record its progress.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::string_enum::string_enum;
use crate::{EnvironmentId, OperationId, TenantId};

string_enum! {
    /// Type of an operation event.
    EventType {
        /// The operation was accepted.
        OperationAccepted = "operation.accepted",
        /// A worker claimed the operation for the first time.
        OperationStarted = "operation.started",
        /// The operation is stopped or late, and a person must act.
        OperationNeedsAttention = "operation.needs_attention",
        /// The operation no longer needs attention, because late work has finished by itself.
        OperationRecovered = "operation.recovered",
        /// The operation is retried after a request or decision of a person.
        OperationRetried = "operation.retried",
        /// The operation has succeeded.
        OperationSucceeded = "operation.succeeded",
        /// The operation has failed.
        OperationFailed = "operation.failed",
        /// The operation was cancelled.
        OperationCanceled = "operation.canceled",
        /// A request needs the approval of a second person.
        ApprovalRequested = "operation.approval.requested",
        /// A second person approved the request.
        ApprovalGranted = "operation.approval.granted",
        /// The request was rejected, or withdrawn because the operation has ended.
        ApprovalRejected = "operation.approval.rejected",
        /// A step started for the first time.
        StepStarted = "step.started",
        /// A step waits. Recorded once per wait reason, not once per poll.
        StepWaiting = "step.waiting",
        /// A step failed and will be retried. Recorded once per error, not once per attempt.
        StepRetrying = "step.retrying",
        /// A step has succeeded.
        StepSucceeded = "step.succeeded",
        /// A step had nothing to do. Stored as `step.succeeded` with a reason.
        StepSkipped = "step.skipped",
        /// An AWS account was mapped to the environment.
        AccountAssigned = "environment.account.assigned",
        /// The environment is verified and ready.
        EnvironmentReady = "environment.ready",
        /// The environment is suspended: its account is in quarantine, without access.
        EnvironmentSuspended = "environment.suspended",
        /// The suspension of the environment has ended, and it is ready again.
        EnvironmentResumed = "environment.resumed",
        /// A replica of the environment is verified and ready.
        RegionReady = "environment.region.ready",
        /// A replica of the environment needs a person, or AWS does not answer in its region.
        RegionFailed = "environment.region.failed",
        /// A replica of the environment has become its home.
        HomeMoved = "environment.home_moved",
        /// The front door of the environment is verified.
        FrontDoorDeployed = "environment.front_door.deployed",
        /// The front door of the environment needs a person.
        FrontDoorFailed = "environment.front_door.failed",
        /// The environment is offboarded.
        EnvironmentOffboarded = "environment.offboarded",
        /// The account mapping of the environment has ended.
        AccountReleased = "environment.account.released",
    }
}

/// Event of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub operation_id: OperationId,
    /// Sequence number of the event within the operation: 1, 2, 3, …
    pub seq: i64,
    pub tenant_id: TenantId,
    pub environment_id: EnvironmentId,
    pub event_type: EventType,
    /// Fields that depend on the event type, without personal data.
    pub data: Value,
    pub occurred_at: DateTime<Utc>,
}

/// Event to append to an operation. The sequence number is assigned under the row lock of the operation.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    pub event_type: EventType,
    /// Fields that depend on the event type, without personal data.
    pub data: Value,
}
