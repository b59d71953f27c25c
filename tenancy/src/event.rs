//! What happened to an operation, in order.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::string_enum::string_enum;
use crate::{EnvironmentId, OperationId, TenantId};

string_enum! {
    /// What an event says.
    EventType {
        /// A signup was accepted.
        OperationAccepted = "operation.accepted",
        /// A worker looked at it for the first time.
        OperationStarted = "operation.started",
        /// A person has to look at it.
        OperationNeedsAttention = "operation.needs_attention",
        /// What was late has come after all; nobody is needed any more.
        OperationRecovered = "operation.recovered",
        /// A person asked for another try.
        OperationRetried = "operation.retried",
        /// It ended well.
        OperationSucceeded = "operation.succeeded",
        /// It ended because somebody asked for that.
        OperationCanceled = "operation.canceled",
        /// Somebody asked for something that another person has to approve.
        ApprovalRequested = "operation.approval.requested",
        /// Another person approved it.
        ApprovalGranted = "operation.approval.granted",
        /// Another person rejected it.
        ApprovalRejected = "operation.approval.rejected",
        /// A step was begun.
        StepStarted = "step.started",
        /// A step waits for something; once for each thing that it waits for.
        StepWaiting = "step.waiting",
        /// A step failed and will try again; once for each error.
        StepRetrying = "step.retrying",
        /// A step was done.
        StepSucceeded = "step.succeeded",
        /// The environment's AWS account is known.
        AccountAssigned = "environment.account.assigned",
        /// The environment was verified.
        EnvironmentReady = "environment.ready",
        /// The environment is gone.
        EnvironmentOffboarded = "environment.offboarded",
        /// The AWS account is no longer the environment's.
        AccountReleased = "environment.account.released",
    }
}

/// What happened to an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The operation.
    pub operation_id: OperationId,
    /// 1, 2, 3, … within the operation.
    pub seq: i64,
    /// Whose operation it is.
    pub tenant_id: TenantId,
    /// What it works on.
    pub environment_id: EnvironmentId,
    /// What happened.
    pub event_type: EventType,
    /// More of it; no personal data.
    pub data: Value,
    /// When.
    pub occurred_at: DateTime<Utc>,
}

/// An event that is about to be appended; its `seq` is given under the operation's row lock.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// What happened.
    pub event_type: EventType,
    /// More of it; no personal data.
    pub data: Value,
}
