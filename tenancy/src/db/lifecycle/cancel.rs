//! Cancels an operation. An offboarding then deletes the resources that an onboarding has created.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::LifecycleResult;
use super::finish::close_tenant;
use super::open_operation::open_operation;
use super::queries::{
    OpenOperation, account_never_requested, legal_hold, lock_tenant, open, owner_of_operation, set_initiator,
};
use crate::db::{PgPool, Result, approvals, environment_pins, events, finish_transaction, steps};
use crate::event::{EventType, NewEvent};
use crate::operation::{Initiator, OperationKind, Requester};
use crate::{EnvironmentId, OperationId};

/// Cancels an onboarding, a change of regions, or a move of the home. If an account was already requested, an
/// offboarding deletes everything that the onboarding has created; if the environment is ready already, it stays
/// ready.
pub async fn cancel(
    pool: &PgPool,
    id: OperationId,
    by: &Requester,
    initiator: Initiator,
    now: DateTime<Utc>,
) -> Result<LifecycleResult> {
    let mut tx = pool.begin().await?;
    let answer = cancel_in_tx(&mut tx, id, by, initiator, now).await;
    finish_transaction(tx, answer, |decided| matches!(decided, LifecycleResult::Started(_))).await
}

async fn cancel_in_tx(
    tx: &mut PgConnection,
    id: OperationId,
    by: &Requester,
    initiator: Initiator,
    now: DateTime<Utc>,
) -> Result<LifecycleResult> {
    let Some((tenant, environment)) = owner_of_operation(tx, id).await? else { return Ok(LifecycleResult::NotFound) };
    lock_tenant(tx, tenant).await?;
    let Some(open) = open(tx, environment).await?.filter(|open| open.id == id) else {
        return Ok(LifecycleResult::NotAllowed("it has ended"));
    };
    if matches!(open.kind, OperationKind::ChangeRegions | OperationKind::MoveHome) {
        return cancel_replica_steps(tx, &open, by, now).await;
    }
    if open.kind != OperationKind::Onboard {
        return Ok(LifecycleResult::NotAllowed(match open.kind {
            OperationKind::Offboard => "to undo an offboarding, restore the environment",
            OperationKind::Suspend => "to undo a suspension, resume the tenant",
            OperationKind::Resume => "to undo the end of a suspension, suspend the tenant again",
            OperationKind::UpgradeBaseline => "an upgrade of the baseline ends by itself or is retried",
            OperationKind::RemoveRegions => "the deletion of a region cannot be undone",
            OperationKind::Update => "an update ends by itself: CloudFormation restores the release before if it fails",
            OperationKind::Preview => "a preview ends by itself",
            OperationKind::ProveResidency => "the refresh of a residency proof ends by itself",
            _ => "only an onboarding can be canceled; offboard the environment instead",
        }));
    }
    if let Some(reason) = legal_hold(tx, tenant).await? {
        return Ok(LifecycleResult::LegalHold(reason));
    }
    if !events::has_none(&mut *tx, id, EventType::EnvironmentReady).await? {
        return cancel_replica_steps(tx, &open, by, now).await;
    }
    let followed_by = cancel_operation(tx, environment, &open, by, now).await?;
    if let Some(id) = followed_by {
        set_initiator(tx, id, initiator).await?;
    }
    Ok(LifecycleResult::Started(followed_by.into_iter().collect()))
}

/// Cancels an operation of which only steps of replicas remain. The environment stays ready, and its replicas keep
/// their states; another change of the regions deploys or removes them.
async fn cancel_replica_steps(
    tx: &mut PgConnection,
    open: &OpenOperation,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<LifecycleResult> {
    mark_canceled(&mut *tx, open, by, now).await?;
    delete_slots(tx, open.id).await?;
    Ok(LifecycleResult::Started(Vec::new()))
}

/// Cancels an operation that is still open. A legal hold is ignored, because the operation has created nothing. The
/// caller must hold the tenant's lock.
pub(super) async fn cancel_if_open(
    tx: &mut PgConnection,
    id: OperationId,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<()> {
    let Some((_, environment)) = owner_of_operation(tx, id).await? else { return Ok(()) };
    if let Some(open) = open(tx, environment).await?.filter(|open| open.id == id) {
        cancel_operation(tx, environment, &open, by, now).await?;
    }
    Ok(())
}

/// Cancels an open operation and opens an offboarding that deletes everything it has created. Returns the id of the
/// offboarding, or `None` if no account was requested.
pub(super) async fn cancel_operation(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    open: &OpenOperation,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<Option<OperationId>> {
    let clean = open.kind == OperationKind::Onboard && account_never_requested(&mut *tx, open.id).await?;
    let from = mark_canceled(&mut *tx, open, by, now).await?;
    if clean {
        sqlx::query!(
            r#"/* db::lifecycle::cancel_operation */
            update environments set state = 'offboarded', offboarded_at = $2, updated_at = $2 where id = $1"#,
            environment.as_uuid(),
            now,
        )
        .execute(&mut *tx)
        .await?;
        environment_pins::delete(&mut *tx, environment).await?;
        delete_slots(&mut *tx, open.id).await?;
        close_tenant(tx, open.id, now).await?;
        return Ok(None);
    }
    let id = open_operation(&mut *tx, OperationKind::Offboard, environment, &json!({}), by, now, from).await?;
    move_slots(tx, open.id, id).await?;
    Ok(Some(id))
}

async fn delete_slots(tx: &mut PgConnection, id: OperationId) -> Result<()> {
    sqlx::query!("/* db::lifecycle::delete_slots */ delete from slots where operation_id = $1", id.as_uuid())
        .execute(tx)
        .await?;
    Ok(())
}

/// Moves the slots of work in progress to the operation that follows, because AWS still counts that work against its
/// quotas. Queued slots are deleted.
pub(super) async fn move_slots(tx: &mut PgConnection, from: OperationId, to: OperationId) -> Result<()> {
    sqlx::query!(
        r#"/* db::lifecycle::move_slots */
        with gone as (delete from slots where operation_id = $1 and granted_at is null)
        update slots set operation_id = $2, step = 'settle-account' where operation_id = $1
            and granted_at is not null"#,
        from.as_uuid(),
        to.as_uuid(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Marks an open operation as cancelled. Returns the earliest time at which the next operation may start. At that
/// time, no AWS call of the cancelled operation can still be in progress.
pub(super) async fn mark_canceled(
    tx: &mut PgConnection,
    open: &OpenOperation,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>> {
    sqlx::query!(
        r#"/* db::lifecycle::mark_canceled */
        update operations set state = 'canceled', finished_at = $2, updated_at = $2, wake_at = null,
            lease_until = null, leased_by = null, fence = fence + 1,
            attention_code = null, attention_message = null, attention_remedies = null,
            attention_aws_request_id = null
        where id = $1"#,
        open.id.as_uuid(),
        now,
    )
    .execute(&mut *tx)
    .await?;
    steps::end_waits(&mut *tx, open.id).await?;
    approvals::withdraw(&mut *tx, open.id, by, now).await?;
    let news = [NewEvent { event_type: EventType::OperationCanceled, data: json!({ "by": by.subject }) }];
    events::append(tx, open.id, &news, now).await?;
    // A lease is extended after each third of its duration, and an AWS call takes less than one lease.
    let left =
        open.lease_until.map_or_else(chrono::TimeDelta::zero, |until| (until - now).max(chrono::TimeDelta::zero()));
    Ok(now + left + left / 2)
}
