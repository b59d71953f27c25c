//! Starts the upgrade of an environment's baseline.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::open_operation::open_operation;
use super::queries::{is_suspended, lock_tenant, open};
use crate::baseline::BaselineVersion;
use crate::db::{PgPool, Result, finish_transaction, parse_text};
use crate::environment::EnvironmentState;
use crate::operation::{OperationKind, Requester};
use crate::{EnvironmentId, EnvironmentName, OperationId, TenantId};

/// Result of [`open_baseline_upgrade`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpgradeResult {
    /// A new operation upgrades the baseline.
    Started {
        operation: OperationId,
        from: BaselineVersion,
    },
    /// An upgrade that was requested before is still open.
    AlreadyOpen {
        operation: OperationId,
        from: BaselineVersion,
    },
    /// The baseline needs no upgrade.
    Current(BaselineVersion),
    /// Another operation is open.
    Busy {
        operation: OperationId,
        kind: OperationKind,
    },
    /// The environment is in this state and has no baseline to upgrade.
    NotReady(EnvironmentState),
    NotFound,
}

/// Opens an upgrade of the baseline of the environment `name` to the version `target`, unless the baseline is current
/// or the environment has an open operation.
pub async fn open_baseline_upgrade(
    pool: &PgPool,
    tenant: TenantId,
    name: &EnvironmentName,
    target: &BaselineVersion,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<UpgradeResult> {
    let mut tx = pool.begin().await?;
    let answer = open_in_tx(&mut tx, tenant, name, target, by, now).await;
    finish_transaction(tx, answer, |result| matches!(result, UpgradeResult::Started { .. })).await
}

async fn open_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: &EnvironmentName,
    target: &BaselineVersion,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<UpgradeResult> {
    lock_tenant(tx, tenant).await?;
    // The name of an offboarded environment can be used again.
    let row = sqlx::query!(
        r#"/* db::lifecycle::open_baseline_upgrade */
        select id, state as "state: EnvironmentState", baseline_version from environments
        where tenant_id = $1 and name = $2 order by id desc limit 1"#,
        tenant.as_uuid(),
        name.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(UpgradeResult::NotFound) };
    let environment = EnvironmentId::from(row.id);
    let from = row.baseline_version.map_or_else(|| Ok(BaselineVersion::first()), parse_text)?;
    if let Some(open) = open(tx, environment).await? {
        let (operation, kind) = (open.id, open.kind);
        return Ok(match kind {
            OperationKind::UpgradeBaseline => UpgradeResult::AlreadyOpen { operation, from },
            _ => UpgradeResult::Busy { operation, kind },
        });
    }
    if is_suspended(tx, tenant).await? {
        return Ok(UpgradeResult::NotReady(EnvironmentState::Suspended));
    }
    if row.state != EnvironmentState::Ready {
        return Ok(UpgradeResult::NotReady(row.state));
    }
    if !from.is_older_than(target) {
        return Ok(UpgradeResult::Current(from));
    }
    let input = json!({ "from": from.to_string(), "to": target.to_string() });
    let operation = open_operation(tx, OperationKind::UpgradeBaseline, environment, &input, by, now, now).await?;
    Ok(UpgradeResult::Started { operation, from })
}
