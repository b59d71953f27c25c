//! Updates the `needs_attention` state of an operation: the state is set while a step of the operation is parked or
//! late.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use crate::OperationId;
use crate::attention::Attention;
use crate::db::{Result, events, parse_json};
use crate::event::{EventType, NewEvent};
use crate::operation::{OperationKind, OperationState};

/// Sets or clears the `needs_attention` state of an operation and, unless it keeps its state, of its environment. A
/// parked step takes precedence over a late one. The caller must have locked the operation.
pub(super) async fn recompute_attention(tx: &mut PgConnection, id: OperationId, now: DateTime<Utc>) -> Result<()> {
    let row = sqlx::query!(
        r#"/* db::lifecycle::recompute_attention */
        select o.kind as "kind: OperationKind", o.state as "state: OperationState", (
            select s.attention from operation_steps s where s.operation_id = o.id and s.attention is not null
            and s.state <> 'failed'
            order by s.state = 'parked' desc, s.position limit 1
        ) as attention
        from operations o where o.id = $1"#,
        id.as_uuid(),
    )
    .fetch_one(&mut *tx)
    .await?;
    match row.attention.map(|value| parse_json::<Attention>(value, "an attention")).transpose()? {
        Some(attention) => set_attention(tx, id, row.kind, &attention, now).await,
        None if row.state == OperationState::NeedsAttention => {
            clear_attention(&mut *tx, id, row.kind, now).await?;
            let news = [NewEvent { event_type: EventType::OperationRecovered, data: json!({}) }];
            events::append(tx, id, &news, now).await
        }
        None => Ok(()),
    }
}

async fn set_attention(
    tx: &mut PgConnection,
    id: OperationId,
    kind: OperationKind,
    attention: &Attention,
    now: DateTime<Utc>,
) -> Result<()> {
    let remedies: Vec<String> = attention.remedies.iter().map(ToString::to_string).collect();
    sqlx::query!(
        r#"/* db::lifecycle::set_attention */
        with operation as (
            update operations set state = 'needs_attention', updated_at = $5,
                attention_code = $2, attention_message = $3, attention_remedies = $4, attention_aws_request_id = $6
            where id = $1 returning id, environment_id
        )
        update environments e set state = 'needs_attention', updated_at = $5
        from operation where e.id = operation.environment_id and not $7
            -- A replica that needs attention leaves the environment in service: it is degraded.
            and not exists (select from events v where v.operation_id = operation.id and v.type = $8)"#,
        id.as_uuid(),
        attention.code,
        attention.message,
        &remedies,
        now,
        attention.aws_request_id,
        kind.keeps_environment_state(),
        EventType::EnvironmentReady.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn clear_attention(
    tx: &mut PgConnection,
    id: OperationId,
    kind: OperationKind,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::lifecycle::clear_attention */
        with operation as (
            update operations set state = 'running', wake_at = coalesce(wake_at, $3), updated_at = $3,
                attention_code = null, attention_message = null, attention_remedies = null,
                attention_aws_request_id = null
            where id = $1 returning id, environment_id
        )
        update environments e set updated_at = $3, state = case
            when exists (select from events v where v.operation_id = operation.id and v.type = $4) then 'ready'
            else $2 end
        from operation where e.id = operation.environment_id"#,
        id.as_uuid(),
        kind.state_while_open().as_str(),
        now,
        EventType::EnvironmentReady.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}
