//! Starts the updates of environments of a rollout.

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::PgConnection;

use super::record::bakes;
use crate::db::Result;
use crate::db::lifecycle::open_update::{UpdateRequest, UpdateResult, open_update_in_tx};
use crate::db::rollout_members::{self, MemberChange, StartableMember};
use crate::environment::EnvironmentState;
use crate::operation::OperationKind;
use crate::rollout::{MemberState, Rollout, RolloutState};

/// Maximum number of updates that one transaction starts, which limits how long it holds the locks of their tenants.
const MAX_PER_TRANSACTION: u32 = 20;

/// Starts at most `count` updates of the current wave, or rollbacks of all waves in reverse order. An environment that
/// cannot be updated is skipped; one that cannot be updated yet waits. The caller must have locked the rollout and
/// decided on its state in this transaction.
pub(super) async fn begin_updates(
    tx: &mut PgConnection,
    rollout: &Rollout,
    count: u32,
    now: DateTime<Utc>,
) -> Result<()> {
    let wave = (rollout.state != RolloutState::RollingBack).then_some(rollout.wave);
    let members = rollout_members::startable(tx, rollout.id, wave, count.min(MAX_PER_TRANSACTION), now).await?;
    for member in members {
        let start = start(tx, rollout, &member, now).await?;
        let reason = start.reason.as_deref();
        let change = MemberChange {
            state: start.state,
            reason,
            started: start.started,
            blocked_by: start.blocked_by,
            check_at: start.check_at,
            ..MemberChange::default()
        };
        rollout_members::change(tx, rollout.id, member.environment_id, &change, now).await?;
    }
    Ok(())
}

/// Result of the attempt to start the update of one environment, with the fields of [`MemberChange`].
#[derive(Default)]
struct Start {
    state: Option<MemberState>,
    reason: Option<String>,
    started: Option<crate::OperationId>,
    blocked_by: Option<crate::OperationId>,
    check_at: Option<DateTime<Utc>>,
}

impl Start {
    fn ended(state: MemberState, reason: impl Into<String>) -> Self {
        Self { state: Some(state), reason: Some(reason.into()), ..Self::default() }
    }
}

async fn start(
    tx: &mut PgConnection,
    rollout: &Rollout,
    member: &StartableMember,
    now: DateTime<Utc>,
) -> Result<Start> {
    let is_rollback = rollout.state == RolloutState::RollingBack;
    let ended = if is_rollback { MemberState::Failed } else { MemberState::Skipped };
    let release = match (is_rollback, member.previous_release_id) {
        (false, _) => rollout.release_id,
        (true, Some(previous)) => previous,
        (true, None) => return Ok(Start::ended(ended, "its release before the rollout is not known")),
    };
    if let Some((operation, message)) = &member.parked_operation {
        // The update of this rollout is still stuck: retrying the rollout does not retry it.
        if member.operation_id == Some(*operation) {
            return Ok(Start::ended(MemberState::Failed, message.clone()));
        }
        return Ok(Start::ended(ended, format!("the operation {operation} needs a person: {message}")));
    }
    let request = UpdateRequest {
        release,
        rollout: Some(rollout.id),
        parameters: None,
        // The creation of the rollout has checked the approval; a release before was deployed already.
        allows_unapproved: true,
        // A rollback is urgent.
        ignores_window: is_rollback || !rollout.plan.respect_windows,
        reason: None,
        by: &rollout.created_by,
    };
    let result = open_update_in_tx(tx, member.tenant_id, member.environment_id, &request, now).await?;
    Ok(match result {
        UpdateResult::Started(operation) | UpdateResult::AlreadyOpen(operation) => {
            Start { state: Some(MemberState::Updating), started: Some(operation), ..Start::default() }
        }
        UpdateResult::Current if is_rollback => Start { state: Some(MemberState::RolledBack), ..Start::default() },
        UpdateResult::Current => {
            let state = if bakes(rollout, member.wave) { MemberState::Baking } else { MemberState::Succeeded };
            Start::ended(state, "has the release already")
        }
        // These end after the cooling-off period, or when a person resumes the tenant.
        UpdateResult::Busy { kind: OperationKind::Offboard, .. } => {
            Start::ended(ended, format!("is {}", EnvironmentState::Offboarding))
        }
        UpdateResult::Busy { kind: OperationKind::Suspend, .. } => {
            Start::ended(ended, format!("is {}", EnvironmentState::Suspended))
        }
        UpdateResult::Busy { operation, kind } => {
            let reason = Some(format!("waits for the end of {kind} {operation}"));
            Start { reason, blocked_by: Some(operation), ..Start::default() }
        }
        UpdateResult::NotReady(state) => Start::ended(ended, format!("is {state}")),
        UpdateResult::Pinned { reason, .. } => Start::ended(ended, format!("pinned to its release: {reason}")),
        // The next decision waits for the end of the freeze.
        UpdateResult::Frozen { reason, .. } => {
            Start { reason: Some(format!("waits for the end of the change freeze: {reason}")), ..Start::default() }
        }
        UpdateResult::OutsideWindow { next: Some(at) } => {
            let time = at.to_rfc3339_opts(SecondsFormat::Secs, true);
            let reason = Some(format!("waits for the maintenance window at {time}"));
            Start { reason, check_at: Some(at), ..Start::default() }
        }
        UpdateResult::OutsideWindow { next: None } => {
            Start::ended(ended, "no maintenance window of the tenant ever starts")
        }
        UpdateResult::ReleaseNotReady(state) => Start::ended(ended, format!("the release is {state}")),
        UpdateResult::ReleaseNotApproved => Start::ended(ended, "the release has no approval"),
        UpdateResult::ReleaseNotFound => Start::ended(ended, "the release does not exist"),
        UpdateResult::NotFound => Start::ended(ended, "the environment does not exist"),
    })
}
