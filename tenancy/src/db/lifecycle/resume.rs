//! Ends the suspension of a tenant: moves its accounts back, assigns the access again and verifies the environments.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::LifecycleResult;
use super::cancel::{mark_canceled, move_slots};
use super::open_operation::open_operation;
use super::queries::{active_environments, exists, has_account, is_step_done, lock_row, lock_tenant};
use super::suspend::SuspensionResult;
use crate::db::{PgPool, Result, finish_transaction, parse_json};
use crate::operation::{OperationKind, Requester};
use crate::quota::Quota;
use crate::step::StepName;
use crate::{EnvironmentId, OperationId, TenantId};

/// Ends the suspension of a tenant for the given reason. A tenant that is not suspended stays unchanged. An environment
/// that is being offboarded stays so, and can be restored from now on. `expected` is as for [`super::suspend`].
pub async fn resume(
    pool: &PgPool,
    tenant: TenantId,
    reason: &str,
    expected: Option<DateTime<Utc>>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<SuspensionResult> {
    let mut tx = pool.begin().await?;
    let answer = resume_in_tx(&mut tx, tenant, reason, expected, by, now).await;
    finish_transaction(tx, answer, |decided| matches!(decided.result, LifecycleResult::Started(_))).await
}

async fn resume_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    reason: &str,
    expected: Option<DateTime<Utc>>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<SuspensionResult> {
    lock_tenant(tx, tenant).await?;
    let environments = active_environments(tx, tenant, None).await?;
    if environments.is_empty() && !exists(tx, tenant, None).await? {
        return Ok(LifecycleResult::NotFound.into());
    }
    let Some(locked) = lock_row(tx, tenant).await? else { return Ok(LifecycleResult::NotFound.into()) };
    if locked.is_outdated(expected) {
        return Ok(LifecycleResult::Outdated.into());
    }
    let (mut operations, before) = (Vec::new(), locked.suspension);
    if before.is_none() {
        return Ok(LifecycleResult::Started(operations).into());
    }
    for environment in environments {
        let has_account = has_account(tx, environment.id).await?;
        match environment.open {
            Some(open) if open.kind == OperationKind::Suspend => {
                // The account of an interrupted onboarding may still be created. Another onboarding would request a
                // second one.
                if !has_account && !is_step_done(tx, open.id, StepName::SettleAccount).await? {
                    return Ok(LifecycleResult::Busy(open.id).into());
                }
                let from = mark_canceled(tx, &open, by, now).await?;
                let id = open_next(tx, environment.id, has_account, reason, by, now, from).await?;
                if has_account {
                    delete_creation_slot(tx, open.id).await?;
                }
                move_slots(tx, open.id, id).await?;
                operations.push(id);
            }
            Some(_) => {}
            None => operations.push(open_next(tx, environment.id, has_account, reason, by, now, now).await?),
        }
    }
    sqlx::query!(
        r#"/* db::lifecycle::resume */
        update tenants set suspended_at = null, suspension_reason = null, suspension_note = null, suspended_by = null,
            updated_at = greatest($2, updated_at + interval '1 microsecond')
        where id = $1"#,
        tenant.as_uuid(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(SuspensionResult { result: LifecycleResult::Started(operations), before })
}

/// Deletes the slot of an account creation that an interrupted onboarding has left behind. The account exists.
async fn delete_creation_slot(tx: &mut PgConnection, id: OperationId) -> Result<()> {
    sqlx::query!(
        "/* db::lifecycle::delete_creation_slot */ delete from slots where operation_id = $1 and quota = $2",
        id.as_uuid(),
        Quota::AccountCreations.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Opens the operation that makes an environment ready again: a resumption, or an onboarding if the suspension has
/// interrupted the first one before the environment had an account.
async fn open_next(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    has_account: bool,
    reason: &str,
    by: &Requester,
    now: DateTime<Utc>,
    from: DateTime<Utc>,
) -> Result<OperationId> {
    let input = json!({ "reason": reason });
    if has_account {
        return open_operation(tx, OperationKind::Resume, environment, &input, by, now, from).await;
    }
    // The account needs the same approval as before, and its requester stays the same person.
    let first = sqlx::query!(
        r#"/* db::lifecycle::repeat_onboarding */
        select approval_required, requested_by from operations
        where environment_id = $1 and kind = 'onboard' order by id limit 1"#,
        environment.as_uuid(),
    );
    let first = first.fetch_one(&mut *tx).await?;
    let requester = parse_json(first.requested_by, "a requester")?;
    let id = open_operation(tx, OperationKind::Onboard, environment, &input, &requester, now, from).await?;
    sqlx::query!(
        "/* db::lifecycle::repeat_onboarding */ update operations set approval_required = $2 where id = $1",
        id.as_uuid(),
        first.approval_required,
    )
    .execute(tx)
    .await?;
    Ok(id)
}
