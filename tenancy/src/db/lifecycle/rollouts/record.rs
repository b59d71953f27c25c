//! Records the updates of a rollout that have ended.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::db::Result;
use crate::db::rollout_members::{self, EndedUpdate, MemberChange};
use crate::operation::OperationState;
use crate::rollout::{MemberState, Rollout, RolloutState};

/// Reason of an environment that waits until it can be rolled back.
pub(super) const WAITS_FOR_ROLLBACK: &str = "waits for its rollback";

/// Records ended updates and failures in the bake, and makes environments startable whose blocking operation has ended.
pub(super) async fn record_ended(tx: &mut PgConnection, rollout: &Rollout, now: DateTime<Utc>) -> Result<()> {
    rollout_members::unblock(tx, rollout.id).await?;
    for update in rollout_members::ended_updates(tx, rollout.id).await? {
        let (state, reason) = outcome(rollout, &update);
        let change = MemberChange { state: Some(state), reason: reason.as_deref(), ..MemberChange::default() };
        rollout_members::change(tx, rollout.id, update.environment_id, &change, now).await?;
    }
    rollout_members::fail_in_bake(tx, rollout.id, now).await?;
    Ok(())
}

/// Returns the new state of an environment whose update has ended or needs a person, with its reason.
fn outcome(rollout: &Rollout, update: &EndedUpdate) -> (MemberState, Option<String>) {
    let message = || update.message.clone().unwrap_or_else(|| "its update has failed; no reason is known".to_owned());
    let is_rolling_back = rollout.state == RolloutState::RollingBack;
    if update.release != Some(rollout.release_id) {
        return match update.state {
            OperationState::Succeeded => (MemberState::RolledBack, None),
            OperationState::Canceled => (MemberState::Skipped, Some("its rollback was canceled".to_owned())),
            _ => (MemberState::Failed, Some(format!("cannot be rolled back: {}", message()))),
        };
    }
    match update.state {
        OperationState::Canceled => (MemberState::Skipped, Some("its update was canceled".to_owned())),
        // An update that has failed has restored the release before in some regions at most.
        _ if is_rolling_back => (MemberState::Waiting, Some(WAITS_FOR_ROLLBACK.to_owned())),
        OperationState::Succeeded if bakes(rollout, update.wave) => (MemberState::Baking, None),
        OperationState::Succeeded => (MemberState::Succeeded, None),
        OperationState::Failed if update.code.as_deref() == Some(LEGAL_HOLD) => (MemberState::Skipped, Some(message())),
        // An update that needs a person has not been undone by itself, or makes no progress.
        _ => (MemberState::Failed, Some(message())),
    }
}

/// Returns whether a bake follows a wave of the plan.
pub(super) fn bakes(rollout: &Rollout, wave: i16) -> bool {
    let number = usize::try_from(wave).unwrap_or(0);
    let is_followed = number + 1 < rollout.plan.waves.len() && rollout.state != RolloutState::Aborted;
    is_followed && rollout.plan.waves.get(number).is_some_and(|wave| wave.bake_seconds > 0)
}

/// Code of an update that a legal hold forbids.
const LEGAL_HOLD: &str = "legal_hold";
