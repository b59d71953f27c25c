//! Changes of a rollout that a person requests.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::catch_up::restore_default;
use super::record::{WAITS_FOR_ROLLBACK, record_ended};
use super::write_state::{Claimed, append_wave_event, write_state};
use crate::RolloutId;
use crate::db::{PgPool, Result, finish_transaction, rollout_members, rollout_waves, rollouts};
use crate::feed::FeedType;
use crate::operation::Requester;
use crate::rollout::{MemberState, Rollout, RolloutAction, RolloutState};

/// Request of a person to change a rollout. A reason is shown with the new state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutRequest<'a> {
    Pause {
        reason: Option<&'a str>,
    },
    Resume,
    /// Ends the bake early.
    Promote {
        reason: &'a str,
    },
    /// Approves the current wave. `sha256` is the hash that the approver has reviewed.
    Approve {
        sha256: &'a str,
    },
    Reject {
        reason: Option<&'a str>,
    },
    Abort {
        reason: Option<&'a str>,
    },
    RollBack {
        reason: Option<&'a str>,
    },
    RetryFailed,
}

impl RolloutRequest<'_> {
    pub fn action(&self) -> RolloutAction {
        match self {
            Self::Pause { .. } => RolloutAction::Pause,
            Self::Resume => RolloutAction::Resume,
            Self::Promote { .. } => RolloutAction::Promote,
            Self::Approve { .. } => RolloutAction::Approve,
            Self::Reject { .. } => RolloutAction::Reject,
            Self::Abort { .. } => RolloutAction::Abort,
            Self::RollBack { .. } => RolloutAction::RollBack,
            Self::RetryFailed => RolloutAction::RetryFailed,
        }
    }
}

/// Result of a change by [`change_rollout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutChangeResult {
    Changed,
    /// A rollout in this state does not allow the request.
    InvalidTransition(RolloutState),
    /// The hash in the request is not that of the wave.
    HashMismatch,
    /// The author of the rollout cannot approve its waves.
    SamePerson,
    /// No environment has failed.
    NoFailures,
    /// This rollout has not finished, or was created later.
    OtherRollout(RolloutId),
    NotFound,
}

/// Changes a rollout on behalf of `by`. Updates in progress finish in any case.
pub async fn change_rollout(
    pool: &PgPool,
    id: RolloutId,
    request: &RolloutRequest<'_>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<RolloutChangeResult> {
    let mut tx = pool.begin().await?;
    let result = change_in_tx(&mut tx, id, request, by, now).await;
    finish_transaction(tx, result, |result| *result == RolloutChangeResult::Changed).await
}

async fn change_in_tx(
    tx: &mut PgConnection,
    id: RolloutId,
    request: &RolloutRequest<'_>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<RolloutChangeResult> {
    let Some(mut rollout) = rollouts::lock(tx, id, None).await? else { return Ok(RolloutChangeResult::NotFound) };
    let rollout = &mut rollout;
    if !rollout.state.allows(request.action()) {
        return Ok(RolloutChangeResult::InvalidTransition(rollout.state));
    }
    // Environments of an earlier rollout may have a later release by now.
    if rollout.finished_at.is_some()
        && let Some(latest) = rollouts::latest_in_tx(tx).await?.filter(|latest| *latest != id)
    {
        return Ok(RolloutChangeResult::OtherRollout(latest));
    }
    record_ended(tx, rollout, now).await?;
    let (state, reason, claimed) = match *request {
        RolloutRequest::Pause { reason } => (RolloutState::Paused, reason, Claimed::Wake),
        RolloutRequest::Resume => (RolloutState::Running, None, Claimed::Wake),
        RolloutRequest::Promote { reason } => {
            rollout_waves::promote(tx, id, rollout.wave, reason, now).await?;
            (RolloutState::Running, Some(reason), Claimed::Wake)
        }
        RolloutRequest::Approve { sha256 } => {
            if let Some(refusal) = approve(tx, rollout, sha256, by, now).await? {
                return Ok(refusal);
            }
            (RolloutState::Running, None, Claimed::Wake)
        }
        RolloutRequest::Reject { reason } => {
            (RolloutState::Halted, reason.or(Some("the wave was rejected")), Claimed::Wake)
        }
        RolloutRequest::Abort { reason } => (RolloutState::Aborted, reason, abort(tx, rollout, now).await?),
        RolloutRequest::RollBack { reason } => {
            let never = [MemberState::Waiting, MemberState::Skipped];
            rollout_members::replace_state(tx, id, None, never, Some("the rollout was rolled back"), now).await?;
            rollout_members::queue_rollback(tx, id, WAITS_FOR_ROLLBACK).await?;
            restore_default(tx, rollout, now).await?;
            (RolloutState::RollingBack, reason, Claimed::Wake)
        }
        RolloutRequest::RetryFailed => {
            match rollout_members::first_wave_in(tx, id, MemberState::Failed).await? {
                Some(wave) => rollout.wave = wave,
                // A rollout that halted because a wave was rejected asks for its approval again.
                None if rollout.state == RolloutState::Halted => {}
                None => return Ok(RolloutChangeResult::NoFailures),
            }
            let retried = [MemberState::Failed, MemberState::Waiting];
            rollout_members::replace_state(tx, id, None, retried, None, now).await?;
            rollout_waves::reopen(tx, id, now).await?;
            (RolloutState::Running, None, Claimed::Wake)
        }
    };
    write_state(tx, rollout, state, reason, claimed, now).await?;
    Ok(RolloutChangeResult::Changed)
}

/// Approves the current wave. Returns the reason why this is refused.
async fn approve(
    tx: &mut PgConnection,
    rollout: &Rollout,
    sha256: &str,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<Option<RolloutChangeResult>> {
    let times = rollout_waves::times(tx, rollout.id, rollout.wave).await?;
    if times.and_then(|times| times.approval_sha256).as_deref() != Some(sha256) {
        return Ok(Some(RolloutChangeResult::HashMismatch));
    }
    if *by == rollout.created_by {
        return Ok(Some(RolloutChangeResult::SamePerson));
    }
    rollout_waves::approve(tx, rollout.id, rollout.wave, by, now).await?;
    append_wave_event(tx, rollout, FeedType::RolloutApproved, now).await?;
    Ok(None)
}

/// Ends the part of a rollout that has not started. Returns the next wake-up, if updates are in progress.
async fn abort(tx: &mut PgConnection, rollout: &Rollout, now: DateTime<Utc>) -> Result<Claimed> {
    for (change, reason) in [
        ([MemberState::Waiting, MemberState::Skipped], Some("the rollout was aborted")),
        ([MemberState::Baking, MemberState::Succeeded], None),
    ] {
        rollout_members::replace_state(tx, rollout.id, None, change, reason, now).await?;
    }
    let counts = rollout_members::count(tx, rollout.id, None, now).await?;
    Ok(if counts.updating > 0 { Claimed::Wake } else { Claimed::Release(None) })
}
