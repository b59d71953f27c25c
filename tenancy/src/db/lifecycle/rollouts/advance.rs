//! Continues a rollout: records what has ended, decides, and carries out the decision, in one transaction.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::begin::begin_updates;
use super::catch_up::make_default;
use super::record::record_ended;
use super::write_state::{Claimed, finish_wave, start_wave, write_state};
use crate::db::rollout_members::MemberCounts;
use crate::db::rollouts::RolloutClaim;
use crate::db::{DbError, PgPool, Result, change_freeze, finish_transaction, rollout_members, rollout_waves, rollouts};
use crate::rollout::{Decide, Decision, MemberState, Rollout, RolloutProgress, RolloutState};

/// Maximum time between two checks for failures in a bake, or for the end of a change freeze.
const CHECK_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// Maximum age of the last read of the alarms at the end of a bake. Workers read them once a minute.
const MAX_ALARMS_AGE: TimeDelta = TimeDelta::minutes(2);

/// Time between two checks whether the alarms have been read.
const ALARMS_INTERVAL: TimeDelta = TimeDelta::seconds(5);

/// Reason of a rollout that a change freeze stops.
const FROZEN: &str = "waits for the end of the change freeze";

/// Result of a turn by [`advance_rollout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutTurn {
    pub state: RolloutState,
    /// Whether the state has changed.
    pub has_changed: bool,
    /// Whether the rollout waits and the claim is released. Otherwise the rollout can be continued at once.
    pub is_released: bool,
}

/// Continues a rollout by one decision of `decide`. Fails with [`DbError::LeaseLost`] if another worker has claimed the
/// rollout.
pub async fn advance_rollout(
    pool: &PgPool,
    claim: &RolloutClaim,
    decide: Decide,
    now: DateTime<Utc>,
) -> Result<RolloutTurn> {
    let mut tx = pool.begin().await?;
    let result = advance_in_tx(&mut tx, claim, decide, now).await;
    finish_transaction(tx, result, |_| true).await
}

async fn advance_in_tx(
    tx: &mut PgConnection,
    claim: &RolloutClaim,
    decide: Decide,
    now: DateTime<Utc>,
) -> Result<RolloutTurn> {
    let rollout = rollouts::lock(tx, claim.rollout_id, Some(claim.fence)).await?;
    let mut rollout = rollout.ok_or(DbError::LeaseLost)?;
    let before = rollout.state;
    record_ended(tx, &rollout, now).await?;
    let claimed = if rollout.state.starts_updates() || rollout.state == RolloutState::RollingBack {
        let progress = progress(tx, &rollout, now).await?;
        let decision = decide(&rollout.plan, &progress, now);
        carry_out(tx, &mut rollout, &progress, decision, now).await?
    } else {
        let counts = rollout_members::count(tx, rollout.id, None, now).await?;
        // An aborted rollout finishes together with its last update.
        let is_waited_for = rollout.state == RolloutState::Aborted && counts.updating > 0;
        let (state, reason) = (rollout.state, rollout.reason.clone());
        let claimed = Claimed::Release(is_waited_for.then(|| now + CHECK_INTERVAL));
        write_state(tx, &mut rollout, state, reason.as_deref(), claimed, now).await?;
        claimed
    };
    let is_released = matches!(claimed, Claimed::Release(_));
    Ok(RolloutTurn { state: rollout.state, has_changed: rollout.state != before, is_released })
}

/// Returns the progress of the current wave, or of all environments while the rollout is rolled back.
async fn progress(tx: &mut PgConnection, rollout: &Rollout, now: DateTime<Utc>) -> Result<RolloutProgress> {
    let is_rolling_back = rollout.state == RolloutState::RollingBack;
    let counts = rollout_members::count(tx, rollout.id, (!is_rolling_back).then_some(rollout.wave), now).await?;
    let MemberCounts { waiting, startable, updating, failed, failed_in_bake, next_check_at, last_waiting_wave } =
        counts;
    let wave = last_waiting_wave.and_then(|wave| usize::try_from(wave).ok()).filter(|_| is_rolling_back);
    let wave = wave.unwrap_or(rollout.wave);
    let times = rollout_waves::times(tx, rollout.id, wave).await?;
    let missing = || DbError::UnexpectedValue(format!("the rollout {} has no wave {wave}", rollout.id));
    let times = times.ok_or_else(missing)?;
    let unread_alarms = match times.bake_until {
        // A person who ends the bake early does not wait for alarms.
        Some(until) if until <= now && !times.is_promoted => {
            rollout_members::count_unread_alarms(tx, rollout.id, wave, until - MAX_ALARMS_AGE).await?
        }
        _ => 0,
    };
    let freeze = change_freeze::in_force(tx, now).await?;
    let number = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    Ok(RolloutProgress {
        wave,
        has_next_wave: times.has_next,
        is_rolling_back,
        waiting: number(waiting),
        startable: number(startable),
        updating: number(updating),
        failed: number(failed),
        failed_in_bake: number(failed_in_bake),
        unread_alarms: number(unread_alarms),
        next_check_at,
        // A person can end a freeze at any time.
        frozen_until: freeze.map(|freeze| freeze.until.map_or(now + CHECK_INTERVAL, |at| at.min(now + CHECK_INTERVAL))),
        is_approved: times.is_approved,
        started_at: times.started_at,
        bake_until: times.bake_until,
        finished_at: times.finished_at,
    })
}

/// Carries out a decision. The rollout is locked.
async fn carry_out(
    tx: &mut PgConnection,
    rollout: &mut Rollout,
    progress: &RolloutProgress,
    decision: Decision,
    now: DateTime<Utc>,
) -> Result<Claimed> {
    let is_rolling_back = rollout.state == RolloutState::RollingBack;
    let running = if is_rolling_back { RolloutState::RollingBack } else { RolloutState::Running };
    let reason = rollout.reason.clone().filter(|reason| rollout.state == running && reason != FROZEN);
    let is_frozen = progress.waiting > 0 && progress.frozen_until.is_some();
    if matches!(decision, Decision::Begin { .. } | Decision::Wait { .. }) && !is_frozen && !is_rolling_back {
        start_wave(tx, rollout, now).await?;
    }
    let (state, reason, claimed) = match decision {
        Decision::Begin { count } => {
            begin_updates(tx, rollout, count, now).await?;
            (running, reason, Claimed::Continue)
        }
        Decision::SkipRest { reason: skipped } => {
            let change = [MemberState::Waiting, MemberState::Skipped];
            rollout_members::replace_state(tx, rollout.id, Some(rollout.wave), change, Some(&skipped), now).await?;
            (running, reason, Claimed::Continue)
        }
        Decision::Wait { until } if is_frozen => (running, Some(FROZEN.to_owned()), Claimed::Release(until)),
        Decision::Wait { until } => (running, reason, Claimed::Release(until)),
        Decision::AwaitApproval => {
            let name = rollout.plan.wave(rollout.wave).map(|wave| wave.name.to_string()).unwrap_or_default();
            let reason = format!("the wave {name} needs the approval of another person");
            (RolloutState::AwaitingApproval, Some(reason), Claimed::Release(None))
        }
        Decision::Bake { until } => {
            if progress.bake_until.is_none() {
                rollout_waves::start_bake(tx, rollout.id, rollout.wave, until, now).await?;
            }
            (RolloutState::Baking, None, Claimed::Release(Some(until.min(now + CHECK_INTERVAL))))
        }
        Decision::AwaitAlarms { environments } => {
            let of_environments =
                if environments == 1 { "1 environment" } else { &format!("{environments} environments") };
            let reason = format!(
                "the alarms of {of_environments} could not be read at the end of the bake and are read again; promote the \
                 rollout to go on without them"
            );
            (RolloutState::Baking, Some(reason), Claimed::Release(Some(now + ALARMS_INTERVAL)))
        }
        Decision::NextWave => {
            finish_wave(tx, rollout, now).await?;
            rollout.wave += 1;
            (running, None, Claimed::Continue)
        }
        Decision::Halt { reason } => (RolloutState::Halted, Some(reason), Claimed::Release(None)),
        Decision::Finish if is_rolling_back => {
            let reason = match progress.failed {
                0 => reason,
                1 => Some("1 environment could not be rolled back".to_owned()),
                failed => Some(format!("{failed} environments could not be rolled back")),
            };
            (RolloutState::RolledBack, reason, Claimed::Release(None))
        }
        Decision::Finish => {
            finish_wave(tx, rollout, now).await?;
            if rollout.plan.makes_default && !rollout.has_made_default && make_default(tx, rollout, now).await? {
                rollout.wave += 1;
                (running, None, Claimed::Continue)
            } else {
                (RolloutState::Succeeded, None, Claimed::Release(None))
            }
        }
    };
    write_state(tx, rollout, state, reason.as_deref(), claimed, now).await?;
    Ok(claimed)
}
