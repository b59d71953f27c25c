//! Writes the state of a rollout. Every change of the state goes through these functions.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::db::rollouts::{self, StateChange};
use crate::db::{Result, rollout_members, rollout_waves};
use crate::rollout::{MemberState, Rollout, RolloutState};

/// Next action of the worker that has claimed the rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claimed {
    /// It continues at once.
    Continue,
    /// It releases the rollout until the next wake-up; `None` until a person acts or an operation ends.
    Release(Option<DateTime<Utc>>),
    /// The rollout is due now, for any worker. A claim stays valid.
    Wake,
}

/// Writes the state of a locked rollout, here and in `rollout`.
pub(super) async fn write_state(
    tx: &mut PgConnection,
    rollout: &mut Rollout,
    state: RolloutState,
    reason: Option<&str>,
    claimed: Claimed,
    now: DateTime<Utc>,
) -> Result<()> {
    let is_over = matches!(state, RolloutState::Succeeded | RolloutState::RolledBack | RolloutState::Aborted);
    // The updates in progress of an aborted rollout finish first.
    let is_finished = is_over && (state != RolloutState::Aborted || matches!(claimed, Claimed::Release(None)));
    let wake_at = match claimed {
        Claimed::Continue => rollout.wake_at,
        Claimed::Release(at) => at,
        Claimed::Wake => Some(now),
    };
    let (wave, releases_claim) = (rollout.wave, matches!(claimed, Claimed::Release(_)));
    let change = StateChange { state, wave, reason, is_finished, wake_at, releases_claim };
    rollouts::write_state(tx, rollout.id, &change, now).await?;
    rollout.state = state;
    rollout.reason = reason.map(str::to_owned);
    Ok(())
}

/// Ends the current wave: the bake of its environments is over.
pub(super) async fn finish_wave(tx: &mut PgConnection, rollout: &Rollout, now: DateTime<Utc>) -> Result<()> {
    let change = [MemberState::Baking, MemberState::Succeeded];
    rollout_members::replace_state(tx, rollout.id, Some(rollout.wave), change, None, now).await?;
    rollout_waves::finish(tx, rollout.id, rollout.wave, now).await
}
