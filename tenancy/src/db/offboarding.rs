//! What people decide about an environment as a whole: let it go, bring it back, stop what has begun.
//!
//! Whoever decides holds the tenant's advisory lock, so that two decisions about one tenant come one after the other; then
//! the rows of its operations, in order, as everywhere.

mod ending;
mod gone;
mod rows;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{PgPool, Result, approvals, finish_transaction};
use crate::environment::EnvironmentState;
use crate::operation::{OperationKind, Requester};
use crate::{EnvironmentId, EnvironmentName, OperationId, TenantId};
use ending::{cancel_operation, mark_canceled, open_operation};
use gone::erase_personal_data;
use rows::{
    active_environments, exists, has_account, has_unclosed_account, is_step_done, legal_hold, open, owner_of_operation,
};

pub(super) use ending::{cancel_if_open, lock_tenant_of};
pub(super) use gone::{close_tenant, release_accounts};
pub(super) use rows::lock;

/// What became of a wish about the environments of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifecycleResult {
    /// Done: these operations follow; those that were under way already included.
    Yes(Vec<OperationId>),
    /// There is no such tenant, or it has no such environment.
    Unknown,
    /// Nothing of the tenant may be destroyed, for this reason.
    LegalHold(String),
    /// It is gone, and its account was not asked to be closed then.
    Gone,
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
) -> Result<LifecycleResult> {
    let mut tx = pool.begin().await?;
    let answer = offboard_in_tx(&mut tx, tenant, name, close_account, by, now).await;
    finish_transaction(tx, answer, |decided| matches!(decided, LifecycleResult::Yes(_))).await
}

async fn offboard_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
    close_account: bool,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<LifecycleResult> {
    lock(tx, tenant).await?;
    if let Some(reason) = legal_hold(tx, tenant).await? {
        return Ok(LifecycleResult::LegalHold(reason));
    }
    let active_environments = active_environments(tx, tenant, name).await?;
    if active_environments.is_empty() && !exists(tx, tenant, name).await? {
        return Ok(LifecycleResult::Unknown);
    }
    if close_account && active_environments.is_empty() && has_unclosed_account(tx, tenant, name).await? {
        return Ok(LifecycleResult::Gone);
    }
    let mut operations = Vec::new();
    for environment in active_environments {
        let id = match environment.open {
            Some(open) if open.kind == OperationKind::Offboard => Some(open.id),
            Some(open) => cancel_operation(tx, environment.id, &open, by, now).await?,
            None => Some(open_operation(tx, OperationKind::Offboard, environment.id, &json!({}), by, now, now).await?),
        };
        if let Some(id) = id {
            if close_account {
                approvals::request_closing(tx, id, by, now).await?;
            }
            operations.push(id);
        }
    }
    Ok(LifecycleResult::Yes(operations))
}

/// Brings the environments of a tenant back that are in their cooling-off period, or the one called `name`.
pub async fn restore(
    pool: &PgPool,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<LifecycleResult> {
    let mut tx = pool.begin().await?;
    let answer = restore_in_tx(&mut tx, tenant, name, by, now).await;
    finish_transaction(tx, answer, |decided| matches!(decided, LifecycleResult::Yes(_))).await
}

async fn restore_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<LifecycleResult> {
    lock(tx, tenant).await?;
    let active_environments = active_environments(tx, tenant, name).await?;
    if active_environments.is_empty() && !exists(tx, tenant, name).await? {
        return Ok(LifecycleResult::Unknown);
    }
    let mut operations = Vec::new();
    for environment in active_environments {
        match environment.open {
            Some(open) if open.kind == OperationKind::Offboard && !is_step_done(tx, open.id, "cool-off").await? => {
                if !has_account(tx, environment.id).await? {
                    return Ok(LifecycleResult::Not("it never had an account; sign it up anew"));
                }
                let from = mark_canceled(tx, &open, by, now).await?;
                let kind = OperationKind::Restore;
                operations.push(open_operation(tx, kind, environment.id, &json!({}), by, now, from).await?);
            }
            Some(open) if open.kind == OperationKind::Restore => operations.push(open.id),
            _ => {}
        }
    }
    if operations.is_empty() {
        return Ok(LifecycleResult::Not("nothing of it is in a cooling-off period"));
    }
    Ok(LifecycleResult::Yes(operations))
}

/// Stops an onboarding: cleanly where no account was asked for yet; else what was made is taken away again, by an offboarding.
pub async fn cancel(pool: &PgPool, id: OperationId, by: &Requester, now: DateTime<Utc>) -> Result<LifecycleResult> {
    let mut tx = pool.begin().await?;
    let answer = cancel_in_tx(&mut tx, id, by, now).await;
    finish_transaction(tx, answer, |decided| matches!(decided, LifecycleResult::Yes(_))).await
}

async fn cancel_in_tx(
    tx: &mut PgConnection,
    id: OperationId,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<LifecycleResult> {
    let Some((tenant, environment)) = owner_of_operation(tx, id).await? else { return Ok(LifecycleResult::Unknown) };
    lock(tx, tenant).await?;
    let Some(open) = open(tx, environment).await?.filter(|open| open.id == id) else {
        return Ok(LifecycleResult::Not("it has ended"));
    };
    if open.kind != OperationKind::Onboard {
        return Ok(LifecycleResult::Not(match open.kind {
            OperationKind::Offboard => "an offboarding is undone by restoring the environment",
            _ => "only an onboarding is canceled; to get rid of the environment, offboard it",
        }));
    }
    if let Some(reason) = legal_hold(tx, tenant).await? {
        return Ok(LifecycleResult::LegalHold(reason));
    }
    let followed_by = cancel_operation(tx, environment, &open, by, now).await?;
    Ok(LifecycleResult::Yes(followed_by.into_iter().collect()))
}

/// Puts a legal hold on a tenant, or lifts it; answers whether there is such a tenant.
pub async fn set_legal_hold(pool: &PgPool, tenant: TenantId, reason: Option<&str>, now: DateTime<Utc>) -> Result<bool> {
    let mut tx = pool.begin().await?;
    let answer = set_legal_hold_in_tx(&mut tx, tenant, reason, now).await;
    finish_transaction(tx, answer, |known| *known).await
}

async fn set_legal_hold_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool> {
    lock(tx, tenant).await?;
    // Whoever waits for it to be lifted looks at once, as does whoever was about to destroy. The operations before the tenant:
    // whoever ends the last of them goes that way.
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
    erase_personal_data(&mut *tx, tenant).await?;
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
    let answer = open_repair_in_tx(&mut tx, environment, input, by, now).await;
    finish_transaction(tx, answer, Option::is_some).await
}

async fn open_repair_in_tx(
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
    let id = open_operation(tx, OperationKind::Repair, environment, input, by, now, now).await?;
    Ok(Some(id))
}
