//! Rollout: one release for many environments, wave by wave.

mod approval;
mod decision;
mod estimate;
mod plan;
mod selection;

use chrono::{DateTime, Utc};

use crate::operation::Requester;
use crate::string_enum::string_enum;
use crate::{EnvironmentId, EnvironmentName, OperationId, Region, ReleaseId, RolloutId, TenantId, WaveName};

pub use approval::approval_sha256;
pub use decision::{Decide, Decision, RolloutProgress};
pub use estimate::{WaveEstimate, estimate};
pub use plan::{
    CATCH_UP_WAVE, ConcurrencyMode, MAX_BAKE_SECONDS, MAX_CONCURRENT, MAX_FAILURES, MAX_SELECTED, MAX_WAVES,
    PlanProblem, RolloutPlan, Selection, WINDOW_DEADLINE_SECONDS, Wave,
};
pub use selection::{Candidate, EmptyWave, LeftOut, LeftOutReason, Member, Membership, assign};

string_enum! {
    /// State of a rollout.
    RolloutState {
        /// No worker has continued the rollout yet.
        Pending = "pending",
        /// Updates of the current wave run or wait.
        Running = "running",
        /// Another person than the author must approve the current wave.
        AwaitingApproval = "awaiting_approval",
        /// The updates of the current wave have ended; the next wave starts after the bake.
        Baking = "baking",
        /// A person has paused the rollout. Updates in progress finish.
        Paused = "paused",
        /// Too many updates have failed, or a wave was rejected. Updates in progress finish; a person must act.
        Halted = "halted",
        /// Each environment gets back its release before the rollout.
        RollingBack = "rolling_back",
        /// Each environment that could be rolled back has its release before the rollout.
        RolledBack = "rolled_back",
        /// All waves have ended.
        Succeeded = "succeeded",
        /// A person has ended the rollout. Updates in progress finish.
        Aborted = "aborted",
    }
}

string_enum! {
    /// State of an environment in a rollout.
    MemberState {
        /// The update has not started.
        Waiting = "waiting",
        /// The update, or the one back to the release before, is in progress.
        Updating = "updating",
        /// The environment is updated, and the bake of its wave has not ended.
        Baking = "baking",
        Succeeded = "succeeded",
        /// The update failed, or the environment got a critical finding in the bake.
        Failed = "failed",
        /// The environment keeps its release, for a reason that is no failure of the release.
        Skipped = "skipped",
        /// The environment has its release before the rollout again.
        RolledBack = "rolled_back",
    }
}

string_enum! {
    /// Request of a person to change the state of a rollout.
    RolloutAction {
        Pause = "pause",
        Resume = "resume",
        /// End the bake early.
        Promote = "promote",
        Approve = "approve",
        Reject = "reject",
        Abort = "abort",
        RollBack = "roll_back",
        RetryFailed = "retry_failed",
    }
}

impl RolloutState {
    /// Returns whether a rollout in this state allows an action.
    pub fn allows(self, action: RolloutAction) -> bool {
        use RolloutAction as A;
        match self {
            Self::Pending => matches!(action, A::Pause | A::Abort),
            Self::Running => matches!(action, A::Pause | A::Abort | A::RollBack | A::RetryFailed),
            Self::AwaitingApproval => !matches!(action, A::Resume | A::Promote),
            Self::Baking => matches!(action, A::Pause | A::Promote | A::Abort | A::RollBack | A::RetryFailed),
            Self::Paused => matches!(action, A::Resume | A::Abort | A::RollBack | A::RetryFailed),
            Self::Halted => matches!(action, A::Abort | A::RollBack | A::RetryFailed),
            Self::RollingBack => action == A::Abort,
            Self::Succeeded => matches!(action, A::RollBack | A::RetryFailed),
            Self::Aborted => action == A::RollBack,
            Self::RolledBack => false,
        }
    }

    /// Returns whether updates may start in this state, apart from updates back to the release before.
    pub fn starts_updates(self) -> bool {
        matches!(self, Self::Pending | Self::Running | Self::AwaitingApproval | Self::Baking)
    }
}

/// Rollout of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    pub id: RolloutId,
    pub release_id: ReleaseId,
    /// Name of the configured plan; `None` if the request had waves of its own.
    pub plan_name: Option<String>,
    pub plan: RolloutPlan,
    pub created_by: Requester,
    pub created_at: DateTime<Utc>,
    pub state: RolloutState,
    /// Number of the current wave, counted from 0.
    pub wave: usize,
    /// Time since which the rollout has this state.
    pub since: DateTime<Utc>,
    /// Reason of the state, in plain words.
    pub reason: Option<String>,
    /// Time at which a worker continues the rollout, unless an update ends before; `None` if it waits for a person.
    pub wake_at: Option<DateTime<Utc>>,
    /// Whether new environments get the release since the last wave.
    pub has_made_default: bool,
    pub finished_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
}

/// Approval of a wave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveApproval {
    pub by: Requester,
    pub at: DateTime<Utc>,
}

/// Wave of a rollout with the numbers of its environments by state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutWave {
    pub number: usize,
    pub name: WaveName,
    pub started_at: Option<DateTime<Utc>>,
    /// Time at which the last update of the wave ended.
    pub updated_at: Option<DateTime<Utc>>,
    pub bake_until: Option<DateTime<Utc>>,
    /// Reason of the promotion that ended the bake early; `None` without one.
    pub promotion_reason: Option<String>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Hash to which an approval is bound; `None` if the wave needs none.
    pub approval_sha256: Option<String>,
    pub approval: Option<WaveApproval>,
    pub counts: Vec<(MemberState, i64)>,
}

/// Number of environments of a rollout that have a release in a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseCount {
    pub region: Region,
    /// Release of the region; `None` if it is not known.
    pub release: Option<ReleaseId>,
    pub environments: i64,
}

/// Environment of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutMember {
    pub environment_id: EnvironmentId,
    pub environment_name: EnvironmentName,
    pub tenant_id: TenantId,
    pub wave: usize,
    /// Order of the updates within the wave.
    pub position: i32,
    /// Release before the rollout; `None` if it is not known.
    pub previous_release_id: Option<ReleaseId>,
    pub state: MemberState,
    /// Reason why the environment failed, was skipped, or waits.
    pub reason: Option<String>,
    /// Latest update of the environment in the rollout.
    pub operation_id: Option<OperationId>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_allows_these_actions() {
        let allowed = |state: RolloutState| {
            let actions = RolloutAction::ALL.iter().filter(|action| state.allows(**action));
            actions.map(|action| action.as_str()).collect::<Vec<_>>().join(" ")
        };
        for (state, expected) in [
            (RolloutState::Pending, "pause abort"),
            (RolloutState::Running, "pause abort roll_back retry_failed"),
            (RolloutState::AwaitingApproval, "pause approve reject abort roll_back retry_failed"),
            (RolloutState::Baking, "pause promote abort roll_back retry_failed"),
            (RolloutState::Paused, "resume abort roll_back retry_failed"),
            (RolloutState::Halted, "abort roll_back retry_failed"),
            (RolloutState::RollingBack, "abort"),
            (RolloutState::RolledBack, ""),
            (RolloutState::Succeeded, "roll_back retry_failed"),
            (RolloutState::Aborted, "roll_back"),
        ] {
            assert_eq!(allowed(state), expected, "{state}");
        }
    }
}
