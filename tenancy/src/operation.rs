//! Operation: a long-running piece of work on one environment.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::attention::Attention;
use crate::environment::EnvironmentState;
pub use crate::requester::Requester;
use crate::step::JournalEntry;
use crate::string_enum::string_enum;
use crate::{EnvironmentId, EnvironmentName, OperationId, TenantId};

string_enum! {
    /// Kind of an operation, which determines its workflow.
    OperationKind {
        /// Onboarding of an environment, from the signup until the environment is ready.
        Onboard = "onboard",
        /// Offboarding of an environment: suspends it and deletes its stacks after the cooling-off period.
        Offboard = "offboard",
        /// Restore of an environment during the cooling-off period.
        Restore = "restore",
        /// Repair of differences between AWS and the database.
        Repair = "repair",
        /// Upgrade of the baseline, while the environment stays ready.
        UpgradeBaseline = "upgrade_baseline",
        /// Suspension of an environment, without a countdown to its deletion.
        Suspend = "suspend",
        /// End of a suspension, after which the environment is ready again.
        Resume = "resume",
        /// Deployment of replicas, while the environment stays ready.
        ChangeRegions = "change_regions",
        /// Deletion of replicas that were removed, while the environment stays ready.
        RemoveRegions = "remove_regions",
        /// Move of the home to a replica, while the environment stays ready.
        MoveHome = "move_home",
        /// Observation of the regions of an environment, and the signed proof of it.
        ProveResidency = "prove_residency",
        /// Update of the tenant stacks of an environment to a release, while the environment stays ready.
        Update = "update",
        /// Preview of what a release would change in an environment. Nothing is changed.
        Preview = "preview",
    }
}

string_enum! {
    /// State of an operation.
    OperationState {
        /// The operation was accepted but not yet claimed by a worker.
        Pending = "pending",
        /// The operation has started and is not finished.
        Running = "running",
        /// The operation is stopped or late, and a person must act.
        NeedsAttention = "needs_attention",
        /// All steps of the workflow are done.
        Succeeded = "succeeded",
        /// The operation finished without success.
        Failed = "failed",
        /// The operation was cancelled by a request to cancel, restore or offboard, or by the rejection of an
        /// approval.
        Canceled = "canceled",
    }
}

impl OperationKind {
    /// Returns the state of the environment while an operation of this kind is open.
    pub fn state_while_open(self) -> EnvironmentState {
        match self {
            Self::Onboard => EnvironmentState::Onboarding,
            // A suspended environment is stored as offboarding, see `EnvironmentState::Suspended`.
            Self::Offboard | Self::Suspend => EnvironmentState::Offboarding,
            Self::Restore | Self::Repair | Self::Resume => EnvironmentState::Restoring,
            Self::UpgradeBaseline
            | Self::ChangeRegions
            | Self::RemoveRegions
            | Self::MoveHome
            | Self::ProveResidency
            | Self::Update
            | Self::Preview => EnvironmentState::Ready,
        }
    }

    /// Returns whether the environment keeps its state while an operation of this kind is open or needs attention, and
    /// if it fails. Such an operation changes or observes an environment that continues to serve.
    pub fn keeps_environment_state(self) -> bool {
        matches!(
            self,
            Self::UpgradeBaseline
                | Self::ChangeRegions
                | Self::RemoveRegions
                | Self::MoveHome
                | Self::ProveResidency
                | Self::Update
                | Self::Preview
        )
    }

    /// Returns the state of the environment after an operation of this kind has succeeded.
    pub fn state_when_done(self) -> EnvironmentState {
        match self {
            Self::Offboard => EnvironmentState::Offboarded,
            Self::Suspend => EnvironmentState::Offboarding,
            Self::Onboard
            | Self::Restore
            | Self::Repair
            | Self::UpgradeBaseline
            | Self::Resume
            | Self::ChangeRegions
            | Self::RemoveRegions
            | Self::MoveHome
            | Self::ProveResidency
            | Self::Update
            | Self::Preview => EnvironmentState::Ready,
        }
    }
}

/// Side that has started an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initiator {
    /// A token with access to every tenant.
    Operator,
    /// A token of the tenant itself. It cannot undo what an operator has started.
    Tenant,
}

/// Long-running piece of work on one environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub id: OperationId,
    pub tenant_id: TenantId,
    pub environment_id: EnvironmentId,
    pub environment_name: EnvironmentName,
    pub kind: OperationKind,
    /// Parameters of the request, as a JSON object.
    pub input: Value,
    pub requested_by: Requester,
    pub state: OperationState,
    pub attention: Option<Attention>,
    /// Cause of a failed operation.
    pub failure: Option<Attention>,
    /// Time at which a worker continues the operation; `None` if it waits for a person or has finished.
    pub wake_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// Time of the first claim by a worker.
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    /// Journal entries of the steps, in the order of the workflow; empty until a worker has claimed the operation.
    pub steps: Vec<JournalEntry>,
}
