//! What people decide about an environment as a whole: let it go, bring it back, stop what has begun.
//!
//! Whoever decides holds the tenant's advisory lock, so that two decisions about one tenant come one after the other; then
//! the rows of its operations, in order, as everywhere.

mod gone;
mod rows;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{PgPool, Result, approvals, ended, events};
use crate::environment::EnvironmentState;
use crate::event::{EventType, NewEvent};
use crate::operation::{OperationKind, OperationState, Requester};
use crate::{EnvironmentId, EnvironmentName, OperationId, TenantId};
use gone::forget;
use rows::{Open, exists, has_account, legal_hold, nothing_was_asked, open, past, standing, whose};

pub(super) use gone::{close_tenant, let_go};
pub(super) use rows::lock;

/// What became of a wish about the environments of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// Done: these operations follow; those that were under way already included.
    Yes(Vec<OperationId>),
    /// There is no such tenant, or it has no such environment.
    Unknown,
    /// Nothing of the tenant may be destroyed, for this reason.
    LegalHold(String),
    /// It cannot be done, for this reason: the end of "it cannot be done: …".
    Not(&'static str),
}

/// Lets the environments of a tenant go, or the one called `name`: suspends them at once; what destroys follows after the
/// cooling-off period. What is under way for them ends. That they are on their way out already is a success.
pub async fn offboard(
    pool: &PgPool,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
    close_account: bool,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<Decided> {
    let mut tx = pool.begin().await?;
    let answer = offboard_in(&mut tx, tenant, name, close_account, by, now).await;
    ended(tx, answer, |decided| matches!(decided, Decided::Yes(_))).await
}

async fn offboard_in(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
    close_account: bool,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<Decided> {
    lock(tx, tenant).await?;
    if let Some(reason) = legal_hold(tx, tenant).await? {
        return Ok(Decided::LegalHold(reason));
    }
    let standing = standing(tx, tenant, name).await?;
    if standing.is_empty() && !exists(tx, tenant, name).await? {
        return Ok(Decided::Unknown);
    }
    let mut operations = Vec::new();
    for environment in standing {
        let id = match environment.open {
            Some(open) if open.kind == OperationKind::Offboard => Some(open.id),
            Some(open) => stop(tx, environment.id, &open, by, now).await?,
            None => Some(begin(tx, OperationKind::Offboard, environment.id, &json!({}), by, now, now).await?),
        };
        if let Some(id) = id {
            if close_account {
                approvals::ask_to_close(tx, id, by, now).await?;
            }
            operations.push(id);
        }
    }
    Ok(Decided::Yes(operations))
}

/// Brings the environments of a tenant back that are in their cooling-off period, or the one called `name`.
pub async fn restore(
    pool: &PgPool,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<Decided> {
    let mut tx = pool.begin().await?;
    let answer = restore_in(&mut tx, tenant, name, by, now).await;
    ended(tx, answer, |decided| matches!(decided, Decided::Yes(_))).await
}

async fn restore_in(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<Decided> {
    lock(tx, tenant).await?;
    let standing = standing(tx, tenant, name).await?;
    if standing.is_empty() && !exists(tx, tenant, name).await? {
        return Ok(Decided::Unknown);
    }
    let mut operations = Vec::new();
    for environment in standing {
        match environment.open {
            Some(open) if open.kind == OperationKind::Offboard && !past(tx, open.id, "cool-off").await? => {
                if !has_account(tx, environment.id).await? {
                    return Ok(Decided::Not("it never had an account; sign it up anew"));
                }
                let from = end(tx, &open, by, now).await?;
                let kind = OperationKind::Restore;
                operations.push(begin(tx, kind, environment.id, &json!({}), by, now, from).await?);
            }
            Some(open) if open.kind == OperationKind::Restore => operations.push(open.id),
            _ => {}
        }
    }
    if operations.is_empty() {
        return Ok(Decided::Not("nothing of it is in a cooling-off period"));
    }
    Ok(Decided::Yes(operations))
}

/// Stops an onboarding: cleanly where no account was asked for yet; else what was made is taken away again, by an offboarding.
pub async fn cancel(pool: &PgPool, id: OperationId, by: &Requester, now: DateTime<Utc>) -> Result<Decided> {
    let mut tx = pool.begin().await?;
    let answer = cancel_in(&mut tx, id, by, now).await;
    ended(tx, answer, |decided| matches!(decided, Decided::Yes(_))).await
}

async fn cancel_in(tx: &mut PgConnection, id: OperationId, by: &Requester, now: DateTime<Utc>) -> Result<Decided> {
    let Some((tenant, environment)) = whose(tx, id).await? else { return Ok(Decided::Unknown) };
    lock(tx, tenant).await?;
    let Some(open) = open(tx, environment).await?.filter(|open| open.id == id) else {
        return Ok(Decided::Not("it has ended"));
    };
    if open.kind != OperationKind::Onboard {
        return Ok(Decided::Not(match open.kind {
            OperationKind::Offboard => "an offboarding is undone by restoring the environment",
            _ => "only an onboarding is canceled; to get rid of the environment, offboard it",
        }));
    }
    if let Some(reason) = legal_hold(tx, tenant).await? {
        return Ok(Decided::LegalHold(reason));
    }
    let followed_by = stop(tx, environment, &open, by, now).await?;
    Ok(Decided::Yes(followed_by.into_iter().collect()))
}

/// Takes the advisory lock of the tenant whose operation it is; answers whether there is such an operation.
pub(super) async fn lock_of(tx: &mut PgConnection, id: OperationId) -> Result<bool> {
    let Some((tenant, _)) = whose(tx, id).await? else { return Ok(false) };
    lock(tx, tenant).await?;
    Ok(true)
}

/// Stops an operation, if it is open still, whatever is on hold: for one that has made nothing. Within a transaction that holds the
/// tenant's lock.
pub(super) async fn give_up(tx: &mut PgConnection, id: OperationId, by: &Requester, now: DateTime<Utc>) -> Result<()> {
    let Some((_, environment)) = whose(tx, id).await? else { return Ok(()) };
    if let Some(open) = open(tx, environment).await?.filter(|open| open.id == id) {
        stop(tx, environment, &open, by, now).await?;
    }
    Ok(())
}

/// Puts a legal hold on a tenant, or lifts it; answers whether there is such a tenant.
pub async fn set_legal_hold(pool: &PgPool, tenant: TenantId, reason: Option<&str>, now: DateTime<Utc>) -> Result<bool> {
    let mut tx = pool.begin().await?;
    let answer = set_legal_hold_in(&mut tx, tenant, reason, now).await;
    ended(tx, answer, |known| *known).await
}

async fn set_legal_hold_in(
    tx: &mut PgConnection,
    tenant: TenantId,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool> {
    lock(tx, tenant).await?;
    let done = sqlx::query!(
        r#"/* db::offboarding::set_legal_hold */
        update tenants set legal_hold_reason = $2, updated_at = $3,
            legal_hold_at = case when $2::text is not null then coalesce(legal_hold_at, $3) end
        where id = $1"#,
        tenant.as_uuid(),
        reason,
        now,
    )
    .execute(&mut *tx)
    .await?;
    // Whoever waits for it to be lifted looks at once, as does whoever was about to destroy.
    sqlx::query!(
        r#"/* db::offboarding::set_legal_hold */
        with held as (
            select id from operations where tenant_id = $1 and kind = 'offboard' and wake_at is not null
            order by id for no key update
        ),
        told as (
            update operation_steps s set check_at = $2 from held
            where s.operation_id = held.id and s.state = 'waiting' and s.check_at > $2 and s.name <> 'cool-off'
        )
        update operations o set wake_at = least(o.wake_at, $2) from held where o.id = held.id"#,
        tenant.as_uuid(),
        now,
    )
    .execute(&mut *tx)
    .await?;
    forget(&mut *tx, tenant).await?;
    Ok(done.rows_affected() == 1)
}

/// Opens an operation on an environment that has none open, on Freehold's own initiative or somebody's; `None` where it has
/// one, or is gone.
pub async fn open_repair(
    pool: &PgPool,
    environment: EnvironmentId,
    input: &Value,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<Option<OperationId>> {
    let mut tx = pool.begin().await?;
    let answer = open_repair_in(&mut tx, environment, input, by, now).await;
    ended(tx, answer, Option::is_some).await
}

async fn open_repair_in(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    input: &Value,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<Option<OperationId>> {
    let row = sqlx::query!(
        r#"/* db::offboarding::open_repair */
        select tenant_id, state as "state: EnvironmentState" from environments where id = $1"#,
        environment.as_uuid(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    lock(tx, row.tenant_id.into()).await?;
    if row.state == EnvironmentState::Offboarded || open(tx, environment).await?.is_some() {
        return Ok(None);
    }
    let id = begin(tx, OperationKind::Repair, environment, input, by, now, now).await?;
    Ok(Some(id))
}

/// Ends an open operation and begins the offboarding of what it has made; `None` where nothing was asked for.
async fn stop(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    open: &Open,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<Option<OperationId>> {
    let clean = open.kind == OperationKind::Onboard && nothing_was_asked(&mut *tx, open.id).await?;
    let from = end(&mut *tx, open, by, now).await?;
    if clean {
        sqlx::query!(
            r#"/* db::offboarding::stop */
            update environments set state = 'offboarded', offboarded_at = $2, updated_at = $2 where id = $1"#,
            environment.as_uuid(),
            now,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("/* db::offboarding::stop */ delete from slots where operation_id = $1", open.id.as_uuid())
            .execute(&mut *tx)
            .await?;
        close_tenant(tx, open.id, now).await?;
        return Ok(None);
    }
    let id = begin(&mut *tx, OperationKind::Offboard, environment, &json!({}), by, now, from).await?;
    // What AWS is doing still counts against its quotas; a place in line is of no use any more.
    sqlx::query!(
        r#"/* db::offboarding::stop */
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
async fn end(tx: &mut PgConnection, open: &Open, by: &Requester, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    sqlx::query!(
        r#"/* db::offboarding::end */
        update operations set state = 'canceled', finished_at = $2, updated_at = $2, wake_at = null,
            lease_until = null, leased_by = null, fence = fence + 1,
            attention_code = null, attention_sentence = null, attention_remedies = null
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
async fn begin(
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
        r#"/* db::offboarding::begin */
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
        kind.underway().as_str(),
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
