//! Starts the refresh of an environment's residency proof.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::open_operation::open_operation;
use super::queries::{is_suspended, lock_tenant, open};
use crate::db::{PgPool, Result, finish_transaction};
use crate::environment::EnvironmentState;
use crate::operation::{OperationKind, Requester};
use crate::{EnvironmentId, EnvironmentName, OperationId, TenantId};

/// Result of [`open_residency_proof`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofRequestResult {
    /// A new operation observes the environment.
    Started(OperationId),
    /// A refresh that was requested before is still open.
    AlreadyOpen(OperationId),
    /// Another operation is open.
    Busy {
        operation: OperationId,
        kind: OperationKind,
    },
    /// The environment is in this state, in which it does not serve.
    NotReady(EnvironmentState),
    NotFound,
}

/// Opens a refresh of the residency proof of the environment `name`, unless the environment has an open operation.
pub async fn open_residency_proof(
    pool: &PgPool,
    tenant: TenantId,
    name: &EnvironmentName,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<ProofRequestResult> {
    let mut tx = pool.begin().await?;
    let answer = open_in_tx(&mut tx, tenant, name, by, now).await;
    finish_transaction(tx, answer, |result| matches!(result, ProofRequestResult::Started(_))).await
}

async fn open_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: &EnvironmentName,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<ProofRequestResult> {
    lock_tenant(tx, tenant).await?;
    // The name of an offboarded environment can be used again.
    let row = sqlx::query!(
        r#"/* db::lifecycle::open_residency_proof */
        select id, state as "state: EnvironmentState" from environments
        where tenant_id = $1 and name = $2 order by id desc limit 1"#,
        tenant.as_uuid(),
        name.as_str(),
    );
    let Some(row) = row.fetch_optional(&mut *tx).await? else { return Ok(ProofRequestResult::NotFound) };
    let environment = EnvironmentId::from(row.id);
    if let Some(open) = open(tx, environment).await? {
        return Ok(match open.kind {
            OperationKind::ProveResidency => ProofRequestResult::AlreadyOpen(open.id),
            kind => ProofRequestResult::Busy { operation: open.id, kind },
        });
    }
    if is_suspended(tx, tenant).await? {
        return Ok(ProofRequestResult::NotReady(EnvironmentState::Suspended));
    }
    if row.state != EnvironmentState::Ready {
        return Ok(ProofRequestResult::NotReady(row.state));
    }
    let operation = open_operation(tx, OperationKind::ProveResidency, environment, &json!({}), by, now, now).await?;
    Ok(ProofRequestResult::Started(operation))
}
