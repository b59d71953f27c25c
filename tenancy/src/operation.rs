//! Operation: a long-running piece of work on one environment.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attention::Attention;
use crate::environment::EnvironmentState;
use crate::step::JournalEntry;
use crate::string_enum::string_enum;
use crate::{EnvironmentId, EnvironmentName, OperationId, TenantId};

string_enum! {
    /// Kind of an operation, which determines its workflow.
    OperationKind {
        /// Workflow from the signup to a ready environment.
        Onboard = "onboard",
        /// Workflow that suspends an environment and, after the cooling-off period, deletes its stacks.
        Offboard = "offboard",
        /// Workflow that brings an environment back during the cooling-off period.
        Restore = "restore",
        /// Workflow that fixes differences between AWS and the database.
        Repair = "repair",
    }
}

string_enum! {
    /// State of an operation.
    OperationState {
        /// Accepted, but not yet claimed by a worker.
        Pending = "pending",
        /// Started and not finished.
        Running = "running",
        /// Stopped or late; a person must act.
        NeedsAttention = "needs_attention",
        /// All steps of the workflow are done.
        Succeeded = "succeeded",
        /// Finished without success.
        Failed = "failed",
        /// Ended by a cancel or restore request.
        Canceled = "canceled",
    }
}

impl OperationKind {
    /// Returns the state of the environment while an operation of this kind is open.
    pub fn state_while_open(self) -> EnvironmentState {
        match self {
            Self::Onboard => EnvironmentState::Onboarding,
            Self::Offboard => EnvironmentState::Offboarding,
            Self::Restore | Self::Repair => EnvironmentState::Restoring,
        }
    }

    /// Returns the state of the environment after an operation of this kind has succeeded.
    pub fn state_when_done(self) -> EnvironmentState {
        match self {
            Self::Offboard => EnvironmentState::Offboarded,
            Self::Onboard | Self::Restore | Self::Repair => EnvironmentState::Ready,
        }
    }
}

/// Person or program that made a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// Claim `iss` of the token.
    pub issuer: String,
    /// Claim `sub` of the token.
    pub subject: String,
}

/// Long-running piece of work on one environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub id: OperationId,
    pub tenant_id: TenantId,
    pub environment_id: EnvironmentId,
    pub environment_name: EnvironmentName,
    pub kind: OperationKind,
    /// Parameters of the request.
    pub input: Value,
    pub requested_by: Requester,
    pub state: OperationState,
    pub attention: Option<Attention>,
    /// Time at which a worker continues the operation.
    pub wake_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// Time of the first claim by a worker.
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    /// Journal in the order of the workflow; empty until a worker has claimed the operation.
    pub steps: Vec<JournalEntry>,
}
