//! Suspends a tenant: moves its accounts to quarantine and revokes access, without a countdown to deletion.
//!
//! A suspension replaces each open operation except an offboarding, so that a tenant cannot avoid it by keeping
//! operations open. An onboarding in progress continues when the tenant is resumed.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::LifecycleResult;
use super::cancel::{mark_canceled, move_slots};
use super::open_operation::open_operation;
use super::queries::{active_environments, exists, lock_row, lock_tenant};
use crate::TenantId;
use crate::db::{PgPool, Result, finish_transaction};
use crate::operation::{OperationKind, Requester};
use crate::tenant::SuspensionReason;

/// Values of a request to suspend a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSuspension {
    pub reason: SuspensionReason,
    /// Text of the operator.
    pub note: Option<String>,
}

/// Result of [`suspend`] or [`super::resume`], with the reason of the suspension before it; `None` if there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspensionResult {
    pub result: LifecycleResult,
    pub before: Option<SuspensionReason>,
}

impl From<LifecycleResult> for SuspensionResult {
    fn from(result: LifecycleResult) -> Self {
        Self { result, before: None }
    }
}

/// Suspends a tenant with all its environments. If the tenant is suspended already, only reason and note change.
/// `expected` is the time of the last change of the tenant that the caller has read, if it must not have changed since.
pub async fn suspend(
    pool: &PgPool,
    tenant: TenantId,
    new: &NewSuspension,
    expected: Option<DateTime<Utc>>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<SuspensionResult> {
    let mut tx = pool.begin().await?;
    let answer = suspend_in_tx(&mut tx, tenant, new, expected, by, now).await;
    finish_transaction(tx, answer, |decided| matches!(decided.result, LifecycleResult::Started(_))).await
}

async fn suspend_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    new: &NewSuspension,
    expected: Option<DateTime<Utc>>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<SuspensionResult> {
    lock_tenant(tx, tenant).await?;
    let environments = active_environments(tx, tenant, None).await?;
    if environments.is_empty() {
        let is_known = exists(tx, tenant, None).await?;
        return Ok(if is_known { LifecycleResult::AlreadyOffboarded } else { LifecycleResult::NotFound }.into());
    }
    let Some(locked) = lock_row(tx, tenant).await? else { return Ok(LifecycleResult::NotFound.into()) };
    if locked.is_outdated(expected) {
        return Ok(LifecycleResult::Outdated.into());
    }
    let before = locked.suspension;
    let input = json!({ "reason": new.reason });
    let mut operations = Vec::new();
    for environment in environments {
        match environment.open {
            // An environment that is being offboarded is in quarantine already, or on its way there.
            Some(open) if matches!(open.kind, OperationKind::Offboard | OperationKind::Suspend) => {
                operations.push(open.id);
            }
            Some(open) => {
                let from = mark_canceled(tx, &open, by, now).await?;
                let id = open_operation(tx, OperationKind::Suspend, environment.id, &input, by, now, from).await?;
                move_slots(tx, open.id, id).await?;
                operations.push(id);
            }
            None if before.is_some() => {}
            None => {
                let kind = OperationKind::Suspend;
                operations.push(open_operation(tx, kind, environment.id, &input, by, now, now).await?);
            }
        }
    }
    sqlx::query!(
        r#"/* db::lifecycle::suspend */
        update tenants set suspended_at = coalesce(suspended_at, $2), suspension_reason = $3, suspension_note = $4,
            suspended_by = $5, updated_at = greatest($2, updated_at + interval '1 microsecond')
        where id = $1 and offboarded_at is null
            and (suspended_at is null or suspension_reason <> $3 or suspension_note is distinct from $4)"#,
        tenant.as_uuid(),
        now,
        new.reason.as_str(),
        new.note,
        json!(by),
    )
    .execute(tx)
    .await?;
    Ok(SuspensionResult { result: LifecycleResult::Started(operations), before })
}
