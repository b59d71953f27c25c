//! An operation: one long-running piece of work on one environment.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attention::Attention;
use crate::environment::EnvironmentState;
use crate::step::JournalEntry;
use crate::string_enum::string_enum;
use crate::{EnvironmentId, EnvironmentName, OperationId, TenantId};

string_enum! {
    /// Which list of steps an operation walks.
    OperationKind {
        /// From signup to a ready environment.
        Onboard = "onboard",
        /// From a living environment to one that is gone.
        Offboard = "offboard",
        /// From an environment in its cooling-off period back to a ready one.
        Restore = "restore",
        /// From an environment that is no longer as it should be back to a ready one.
        Repair = "repair",
    }
}

string_enum! {
    /// Where an operation stands.
    OperationState {
        /// Accepted; no worker has looked at it yet.
        Pending = "pending",
        /// On its way.
        Running = "running",
        /// Waits for a person.
        NeedsAttention = "needs_attention",
        /// Ended well.
        Succeeded = "succeeded",
        /// Ended without success.
        Failed = "failed",
        /// Ended because somebody asked for that.
        Canceled = "canceled",
    }
}

impl OperationKind {
    /// Where the environment stands while such an operation is open.
    pub fn state_while_open(self) -> EnvironmentState {
        match self {
            Self::Onboard => EnvironmentState::Onboarding,
            Self::Offboard => EnvironmentState::Offboarding,
            Self::Restore | Self::Repair => EnvironmentState::Restoring,
        }
    }

    /// Where the environment stands once such an operation has ended well.
    pub fn state_when_done(self) -> EnvironmentState {
        match self {
            Self::Offboard => EnvironmentState::Offboarded,
            Self::Onboard | Self::Restore | Self::Repair => EnvironmentState::Ready,
        }
    }
}

/// Who asked for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// The `iss` of the token.
    pub issuer: String,
    /// The `sub` of the token.
    pub subject: String,
}

/// One long-running piece of work on one environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// `op_…`
    pub id: OperationId,
    /// Whose environment it works on.
    pub tenant_id: TenantId,
    /// What it works on.
    pub environment_id: EnvironmentId,
    /// What that is called.
    pub environment_name: EnvironmentName,
    /// Which list of steps it walks.
    pub kind: OperationKind,
    /// What was asked for beside the kind.
    pub input: Value,
    /// Who asked for it.
    pub requested_by: Requester,
    /// Where it stands.
    pub state: OperationState,
    /// Why it needs a person, where it does.
    pub attention: Option<Attention>,
    /// When a worker looks at it next.
    pub wake_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When a worker first looked at it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Its journal, in the order of the list; empty until a worker has looked at it.
    pub steps: Vec<JournalEntry>,
}
