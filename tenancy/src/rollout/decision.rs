//! Progress of a rollout, and the decision on its next action. `rollouts::decide` of the worker is the function that
//! decides; the transition that records progress and carries out the decision calls it in its transaction.

use chrono::{DateTime, Utc};

use super::plan::RolloutPlan;

/// Function that decides on the next action of a rollout.
pub type Decide = fn(&RolloutPlan, &RolloutProgress, DateTime<Utc>) -> Decision;

/// Progress of the current wave, or of all environments while the rollout is rolled back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RolloutProgress {
    /// Number of the wave, counted from 0.
    pub wave: usize,
    /// Whether another wave follows.
    pub has_next_wave: bool,
    /// Whether the environments get back their releases before the rollout.
    pub is_rolling_back: bool,
    /// Environments whose update has not started.
    pub waiting: u32,
    /// Those of `waiting` that can be started now. The others wait for a maintenance window or another operation.
    pub startable: u32,
    pub updating: u32,
    /// Environments whose update has failed.
    pub failed: u32,
    /// Environments that got a critical finding, or whose alarm fired, after their update.
    pub failed_in_bake: u32,
    /// Environments whose alarms could not be read at the end of the bake.
    pub unread_alarms: u32,
    /// Earliest time at which another environment can be started; `None` if none waits for a time.
    pub next_check_at: Option<DateTime<Utc>>,
    /// Time at which the change freeze is checked again; `None` if no freeze is in force.
    pub frozen_until: Option<DateTime<Utc>>,
    /// Whether another person has approved the wave.
    pub is_approved: bool,
    /// Time at which the wave has started; `None` before.
    pub started_at: Option<DateTime<Utc>>,
    /// End of the bake; `None` before the bake.
    pub bake_until: Option<DateTime<Utc>>,
    /// Time at which the wave ended, before updates that had failed were retried.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Next action of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Start at most this number of updates.
    Begin { count: u32 },
    /// Skip the environments of the wave that still wait.
    SkipRest { reason: String },
    /// Wait until this time; `None` until an operation ends.
    Wait { until: Option<DateTime<Utc>> },
    /// Wait until a person has approved the wave.
    AwaitApproval,
    /// Start or continue the bake, which ends at this time.
    Bake { until: DateTime<Utc> },
    /// Prolong the bake until the alarms of these environments have been read.
    AwaitAlarms { environments: u32 },
    /// Start the next wave.
    NextWave,
    /// Start nothing until a person has acted.
    Halt { reason: String },
    /// Finish, because the last wave has ended.
    Finish,
}
