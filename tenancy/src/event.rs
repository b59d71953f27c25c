//! Events of an operation, in order.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::string_enum::string_enum;
use crate::{EnvironmentId, OperationId, TenantId};

string_enum! {
    /// Type of an operation event.
    EventType {
        /// Acceptance of the operation.
        OperationAccepted = "operation.accepted",
        /// First claim by a worker.
        OperationStarted = "operation.started",
        /// Stopped or late; a person must act.
        OperationNeedsAttention = "operation.needs_attention",
        /// Completion of late work without a person.
        OperationRecovered = "operation.recovered",
        /// Retry request of a person.
        OperationRetried = "operation.retried",
        /// Successful end of the operation.
        OperationSucceeded = "operation.succeeded",
        /// Cancellation of the operation.
        OperationCanceled = "operation.canceled",
        /// Request that a second person must approve.
        ApprovalRequested = "operation.approval.requested",
        /// Approval by a second person.
        ApprovalGranted = "operation.approval.granted",
        /// Rejection by a second person.
        ApprovalRejected = "operation.approval.rejected",
        /// Start of a step.
        StepStarted = "step.started",
        /// Step that waits; one event per condition.
        StepWaiting = "step.waiting",
        /// Step that failed and will be retried; one event per error.
        StepRetrying = "step.retrying",
        /// Completion of a step.
        StepSucceeded = "step.succeeded",
        /// Start of an account mapping.
        AccountAssigned = "environment.account.assigned",
        /// Environment that is verified and ready.
        EnvironmentReady = "environment.ready",
        /// Environment that is offboarded.
        EnvironmentOffboarded = "environment.offboarded",
        /// End of an account mapping.
        AccountReleased = "environment.account.released",
    }
}

/// Event of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub operation_id: OperationId,
    /// Number within the operation: 1, 2, 3, …
    pub seq: i64,
    pub tenant_id: TenantId,
    pub environment_id: EnvironmentId,
    pub event_type: EventType,
    /// Fields of the event type, without personal data.
    pub data: Value,
    pub occurred_at: DateTime<Utc>,
}

/// Event to be appended. Its `seq` is assigned under the row lock of the operation.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    pub event_type: EventType,
    /// Fields of the event type, without personal data.
    pub data: Value,
}
