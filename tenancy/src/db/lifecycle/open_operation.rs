//! Opens an operation on an existing environment.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::db::{Result, findings};
use crate::event::EventType;
use crate::operation::{OperationKind, OperationState, Requester};
use crate::{EnvironmentId, OperationId};

/// Opens an operation that is due at `from`. The environment must have no open operation.
pub(super) async fn open_operation(
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
        r#"/* db::lifecycle::open_operation */
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
        kind.state_while_open().as_str(),
        kind.as_str(),
        input,
        now,
        json!(by),
        OperationState::Pending.as_str(),
        from,
        EventType::OperationAccepted.as_str(),
        crate::trace::traceparent(),
    )
    .execute(&mut *tx)
    .await?;
    if matches!(kind, OperationKind::Restore | OperationKind::Resume) {
        // The offboarding or suspension had ended the state.
        findings::write_degraded(tx, environment, now).await?;
    }
    Ok(id)
}
