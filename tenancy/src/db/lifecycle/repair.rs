//! Starts the repair of an environment.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::open_operation::open_operation;
use super::queries::{is_suspended, lock_tenant, open};
use crate::db::{PgPool, Result, finish_transaction};
use crate::environment::EnvironmentState;
use crate::operation::{OperationKind, Requester};
use crate::{EnvironmentId, OperationId};

/// Opens a repair of an environment. Returns `None` if the environment has an open operation, is suspended, is
/// offboarded or does not exist.
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
        r#"/* db::lifecycle::open_repair */
        select tenant_id, state as "state: EnvironmentState" from environments where id = $1"#,
        environment.as_uuid(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    lock_tenant(tx, row.tenant_id.into()).await?;
    // A repair would move the account of a suspended tenant out of quarantine.
    let is_suspended = is_suspended(tx, row.tenant_id.into()).await?;
    if is_suspended || row.state == EnvironmentState::Offboarded || open(tx, environment).await?.is_some() {
        return Ok(None);
    }
    let id = open_operation(tx, OperationKind::Repair, environment, input, by, now, now).await?;
    Ok(Some(id))
}
