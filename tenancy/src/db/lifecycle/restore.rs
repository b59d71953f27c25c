//! Restores environments that are in their cooling-off period.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::LifecycleResult;
use super::cancel::mark_canceled;
use super::open_operation::open_operation;
use super::queries::{
    active_environments, exists, has_account, is_started_by_tenant, is_step_done, is_suspended, lock_tenant,
};
use crate::db::{PgPool, Result, finish_transaction};
use crate::operation::{Initiator, OperationKind, Requester};
use crate::step::StepName;
use crate::{EnvironmentName, TenantId};

/// Restores all environments of a tenant that are in their cooling-off period, or only the environment called `name`.
/// A token of the tenant does not restore what an operator has offboarded, and no token restores an environment of a
/// suspended tenant.
pub async fn restore(
    pool: &PgPool,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
    by: &Requester,
    initiator: Initiator,
    now: DateTime<Utc>,
) -> Result<LifecycleResult> {
    let mut tx = pool.begin().await?;
    let answer = restore_in_tx(&mut tx, tenant, name, by, initiator, now).await;
    finish_transaction(tx, answer, |decided| matches!(decided, LifecycleResult::Started(_))).await
}

async fn restore_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
    by: &Requester,
    initiator: Initiator,
    now: DateTime<Utc>,
) -> Result<LifecycleResult> {
    lock_tenant(tx, tenant).await?;
    let active_environments = active_environments(tx, tenant, name).await?;
    if active_environments.is_empty() && !exists(tx, tenant, name).await? {
        return Ok(LifecycleResult::NotFound);
    }
    if is_suspended(tx, tenant).await? {
        return Ok(LifecycleResult::Suspended);
    }
    let mut is_reserved = false;
    let mut operations = Vec::new();
    for environment in active_environments {
        match environment.open {
            Some(open)
                if open.kind == OperationKind::Offboard && !is_step_done(tx, open.id, StepName::CoolOff).await? =>
            {
                if !has_account(tx, environment.id).await? {
                    return Ok(LifecycleResult::NotAllowed("it never had an account; create a new signup"));
                }
                if initiator == Initiator::Tenant && !is_started_by_tenant(tx, open.id).await? {
                    is_reserved = true;
                    continue;
                }
                let from = mark_canceled(tx, &open, by, now).await?;
                let kind = OperationKind::Restore;
                operations.push(open_operation(tx, kind, environment.id, &json!({}), by, now, from).await?);
            }
            Some(open) if open.kind == OperationKind::Restore => operations.push(open.id),
            _ => {}
        }
    }
    if operations.is_empty() && is_reserved {
        return Ok(LifecycleResult::ReservedForOperator);
    }
    if operations.is_empty() {
        return Ok(LifecycleResult::NotAllowed("none of its environments is in its cooling-off period"));
    }
    Ok(LifecycleResult::Started(operations))
}
