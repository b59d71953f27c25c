//! Offboards environments: suspends them, and deletes them after the cooling-off period.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::LifecycleResult;
use super::cancel::cancel_operation;
use super::open_operation::open_operation;
use super::queries::{active_environments, exists, has_unclosed_account, legal_hold, lock_tenant, set_initiator};
use super::request_approval::request_closure_approval;
use crate::db::{PgPool, Result, finish_transaction};
use crate::operation::{Initiator, OperationKind, Requester};
use crate::{EnvironmentName, TenantId};

/// Offboards all environments of a tenant, or the environment called `name`, and cancels their open operations. For an
/// environment that is already being offboarded, returns the open operation.
pub async fn offboard(
    pool: &PgPool,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
    close_account: bool,
    by: &Requester,
    initiator: Initiator,
    now: DateTime<Utc>,
) -> Result<LifecycleResult> {
    let mut tx = pool.begin().await?;
    let answer = offboard_in_tx(&mut tx, tenant, name, close_account, by, initiator, now).await;
    finish_transaction(tx, answer, |decided| matches!(decided, LifecycleResult::Started(_))).await
}

async fn offboard_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
    close_account: bool,
    by: &Requester,
    initiator: Initiator,
    now: DateTime<Utc>,
) -> Result<LifecycleResult> {
    lock_tenant(tx, tenant).await?;
    if let Some(reason) = legal_hold(tx, tenant).await? {
        return Ok(LifecycleResult::LegalHold(reason));
    }
    let active_environments = active_environments(tx, tenant, name).await?;
    if active_environments.is_empty() && !exists(tx, tenant, name).await? {
        return Ok(LifecycleResult::NotFound);
    }
    if close_account && active_environments.is_empty() && has_unclosed_account(tx, tenant, name).await? {
        return Ok(LifecycleResult::AlreadyOffboarded);
    }
    let mut operations = Vec::new();
    for environment in active_environments {
        let (id, is_new) = match environment.open {
            Some(open) if open.kind == OperationKind::Offboard => (Some(open.id), false),
            Some(open) => (cancel_operation(tx, environment.id, &open, by, now).await?, true),
            None => (
                Some(open_operation(tx, OperationKind::Offboard, environment.id, &json!({}), by, now, now).await?),
                true,
            ),
        };
        if let Some(id) = id {
            // An operator takes over the offboarding of a tenant; a tenant never takes over that of an operator.
            if is_new || initiator == Initiator::Operator {
                set_initiator(tx, id, initiator).await?;
            }
            if close_account {
                request_closure_approval(tx, id, by, now).await?;
            }
            operations.push(id);
        }
    }
    Ok(LifecycleResult::Started(operations))
}
