//! Places a legal hold on a tenant, or lifts it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::finish::erase_personal_data;
use super::queries::{lock_row, lock_tenant};
use crate::TenantId;
use crate::db::{PgPool, Result, finish_transaction};

/// Result of [`set_legal_hold`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegalHoldResult {
    /// The change was written. Contains the reason of the legal hold before it.
    Written {
        before: Option<String>,
    },
    /// The tenant has changed since the caller has read it. Nothing was changed.
    Outdated,
    NotFound,
}

/// Places a legal hold on a tenant, or lifts it if `reason` is `None`. `expected` is as for [`super::suspend`].
pub async fn set_legal_hold(
    pool: &PgPool,
    tenant: TenantId,
    reason: Option<&str>,
    expected: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<LegalHoldResult> {
    let mut tx = pool.begin().await?;
    let answer = set_legal_hold_in_tx(&mut tx, tenant, reason, expected, now).await;
    finish_transaction(tx, answer, |result| matches!(result, LegalHoldResult::Written { .. })).await
}

async fn set_legal_hold_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    reason: Option<&str>,
    expected: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<LegalHoldResult> {
    lock_tenant(tx, tenant).await?;
    // Offboardings that wait for the end of the hold, or are about to delete something, run immediately. Operations are
    // locked before the row of the tenant, in the same order as when the last operation of a tenant finishes.
    sqlx::query!(
        r#"/* db::lifecycle::set_legal_hold */
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
    let Some(locked) = lock_row(tx, tenant).await? else { return Ok(LegalHoldResult::NotFound) };
    if locked.is_outdated(expected) {
        return Ok(LegalHoldResult::Outdated);
    }
    sqlx::query!(
        r#"/* db::lifecycle::set_legal_hold */
        update tenants set legal_hold_reason = $2, updated_at = greatest($3, updated_at + interval '1 microsecond'),
            legal_hold_at = case when $2::text is not null then coalesce(legal_hold_at, $3) end
        where id = $1"#,
        tenant.as_uuid(),
        reason,
        now,
    )
    .execute(&mut *tx)
    .await?;
    erase_personal_data(&mut *tx, tenant).await?;
    Ok(LegalHoldResult::Written { before: locked.legal_hold })
}
