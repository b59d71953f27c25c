//! Ending what is under way for an environment, and beginning what follows.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::gone::close_tenant;
use super::rows::{Open, account_never_requested, lock, open, owner_of_operation};
use crate::db::{Result, approvals, events};
use crate::event::{EventType, NewEvent};
use crate::operation::{OperationKind, OperationState, Requester};
use crate::{EnvironmentId, OperationId};

/// Takes the advisory lock of the tenant whose operation it is; answers whether there is such an operation.
pub(in crate::db) async fn lock_tenant_of(tx: &mut PgConnection, id: OperationId) -> Result<bool> {
    let Some((tenant, _)) = owner_of_operation(tx, id).await? else { return Ok(false) };
    lock(tx, tenant).await?;
    Ok(true)
}

/// Stops an operation, if it is open still, whatever is on hold: for one that has made nothing. Within a transaction that holds the
/// tenant's lock.
pub(in crate::db) async fn cancel_if_open(
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

/// Ends an open operation and begins the offboarding of what it has made; `None` where nothing was asked for.
pub(super) async fn cancel_operation(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    open: &Open,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<Option<OperationId>> {
    let clean = open.kind == OperationKind::Onboard && account_never_requested(&mut *tx, open.id).await?;
    let from = mark_canceled(&mut *tx, open, by, now).await?;
    if clean {
        sqlx::query!(
            r#"/* db::offboarding::cancel_operation */
            update environments set state = 'offboarded', offboarded_at = $2, updated_at = $2 where id = $1"#,
            environment.as_uuid(),
            now,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "/* db::offboarding::cancel_operation */ delete from slots where operation_id = $1",
            open.id.as_uuid()
        )
        .execute(&mut *tx)
        .await?;
        close_tenant(tx, open.id, now).await?;
        return Ok(None);
    }
    let id = open_operation(&mut *tx, OperationKind::Offboard, environment, &json!({}), by, now, from).await?;
    // What AWS is doing still counts against its quotas; a place in line is of no use any more.
    sqlx::query!(
        r#"/* db::offboarding::cancel_operation */
        with gone as (delete from slots where operation_id = $1 and granted_at is null)
        update slots set operation_id = $2, step = 'settle-account' where operation_id = $1 and granted_at is not null"#,
        open.id.as_uuid(),
        id.as_uuid(),
    )
    .execute(tx)
    .await?;
    Ok(Some(id))
}

/// Ends an operation because somebody asked for that, and answers from when on another may work on the environment: no call
/// that its worker has begun is under way then.
pub(super) async fn mark_canceled(
    tx: &mut PgConnection,
    open: &Open,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>> {
    sqlx::query!(
        r#"/* db::offboarding::mark_canceled */
        update operations set state = 'canceled', finished_at = $2, updated_at = $2, wake_at = null,
            lease_until = null, leased_by = null, fence = fence + 1,
            attention_code = null, attention_message = null, attention_remedies = null
        where id = $1"#,
        open.id.as_uuid(),
        now,
    )
    .execute(&mut *tx)
    .await?;
    approvals::withdraw(&mut *tx, open.id, by, now).await?;
    let news = [NewEvent { event_type: EventType::OperationCanceled, data: json!({ "by": by.subject }) }];
    events::append(tx, open.id, &news, now).await?;
    // The lease is prolonged every third of its length; a call takes less than the whole.
    let left =
        open.lease_until.map_or_else(chrono::TimeDelta::zero, |until| (until - now).max(chrono::TimeDelta::zero()));
    Ok(now + left + left / 2)
}

/// Begins an operation on an environment that has none open; it is due at `from`.
pub(super) async fn open_operation(
    tx: &mut PgConnection,
    kind: OperationKind,
    environment: EnvironmentId,
    input: &Value,
    by: &Requester,
    now: DateTime<Utc>,
    from: DateTime<Utc>,
) -> Result<OperationId> {
    let id = OperationId::new(now);
    sqlx::query!(
        r#"/* db::offboarding::open_operation */
        with environment as (
            update environments set state = $3, updated_at = $6 where id = $2
            returning id, tenant_id, name, home_region
        ),
        operation as (
            insert into operations
                (id, tenant_id, environment_id, kind, input, requested_by, created_at, state, wake_at, last_seq, updated_at,
                    traceparent)
            select $1, tenant_id, id, $4, $5, $7, $6, $8, $9, 1, $6, $11 from environment
        )
        insert into events (operation_id, seq, tenant_id, environment_id, type, data, occurred_at)
        select $1, 1, tenant_id, id, $10,
            jsonb_build_object('kind', $4::text, 'environment', name, 'home_region', home_region), $6
        from environment"#,
        id.as_uuid(),
        environment.as_uuid(),
        kind.state_while_open().as_str(),
        kind.as_str(),
        input,
        now,
        json!(by),
        OperationState::Pending.as_str(),
        from,
        EventType::OperationAccepted.as_str(),
        crate::trace::traceparent(),
    )
    .execute(tx)
    .await?;
    Ok(id)
}
