//! Writes the state of a rollout and its events. Every change of the state goes through these functions.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use crate::db::rollouts::{self, StateChange};
use crate::db::{Result, events, rollout_members, rollout_waves};
use crate::feed::FeedType;
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
    let before = std::mem::replace(&mut rollout.state, state);
    rollout.reason = reason.map(str::to_owned);
    match event_of(before, state) {
        Some(FeedType::RolloutAwaitingApproval) => {
            append_wave_event(tx, rollout, FeedType::RolloutAwaitingApproval, now).await
        }
        Some(event) => append_event(tx, rollout, event, now).await,
        None => Ok(()),
    }
}

/// Returns the event of a change of state; `None` if the waves of the rollout have the event.
fn event_of(before: RolloutState, state: RolloutState) -> Option<FeedType> {
    match state {
        _ if state == before => None,
        RolloutState::Running => {
            let resumes = matches!(before, RolloutState::Paused | RolloutState::Halted | RolloutState::Succeeded);
            resumes.then_some(FeedType::RolloutResumed)
        }
        RolloutState::Pending | RolloutState::Baking => None,
        RolloutState::AwaitingApproval => Some(FeedType::RolloutAwaitingApproval),
        RolloutState::Paused => Some(FeedType::RolloutPaused),
        RolloutState::Halted => Some(FeedType::RolloutHalted),
        RolloutState::RollingBack => Some(FeedType::RolloutRollingBack),
        RolloutState::RolledBack => Some(FeedType::RolloutRolledBack),
        RolloutState::Succeeded => Some(FeedType::RolloutSucceeded),
        RolloutState::Aborted => Some(FeedType::RolloutAborted),
    }
}

/// Appends an event of a rollout to the feed.
pub(super) async fn append_event(
    tx: &mut PgConnection,
    rollout: &Rollout,
    event: FeedType,
    now: DateTime<Utc>,
) -> Result<()> {
    let data = json!({ "rollout_id": rollout.id, "release_id": rollout.release_id });
    events::append_fleet_event(tx, event, &data, now).await
}

/// Appends an event of the current wave to the feed.
pub(super) async fn append_wave_event(
    tx: &mut PgConnection,
    rollout: &Rollout,
    event: FeedType,
    now: DateTime<Utc>,
) -> Result<()> {
    let wave = rollout.plan.wave(rollout.wave).map(|wave| wave.name);
    let data = json!({ "rollout_id": rollout.id, "release_id": rollout.release_id, "wave": wave });
    events::append_fleet_event(tx, event, &data, now).await
}

/// Starts the current wave, unless it has started before.
pub(super) async fn start_wave(tx: &mut PgConnection, rollout: &Rollout, now: DateTime<Utc>) -> Result<()> {
    if rollout_waves::start(tx, rollout.id, rollout.wave, now).await? {
        append_wave_event(tx, rollout, FeedType::RolloutWaveStarted, now).await?;
    }
    Ok(())
}

/// Ends the current wave: the bake of its environments is over.
pub(super) async fn finish_wave(tx: &mut PgConnection, rollout: &Rollout, now: DateTime<Utc>) -> Result<()> {
    let change = [MemberState::Baking, MemberState::Succeeded];
    rollout_members::replace_state(tx, rollout.id, Some(rollout.wave), change, None, now).await?;
    if rollout_waves::finish(tx, rollout.id, rollout.wave, now).await? {
        append_wave_event(tx, rollout, FeedType::RolloutWaveFinished, now).await?;
    }
    Ok(())
}
