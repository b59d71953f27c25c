//! What needs a person: an operation does as long as one of its steps is parked or late.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{DbError, PgPool, Result, events, steps};
use crate::OperationId;
use crate::event::{EventType, NewEvent};
use crate::operation::{Attention, OperationKind, OperationState, Remedy};

/// Lets the operation, and its environment, need a person exactly if one of its steps does; what is parked comes before what
/// is late. Within a transaction that holds the operation's row.
pub(super) async fn recompute(tx: &mut PgConnection, id: OperationId, now: DateTime<Utc>) -> Result<()> {
    let row = sqlx::query!(
        r#"/* db::attention::recompute */
        select o.kind as "kind: OperationKind", o.state as "state: OperationState", (
            select s.attention from operation_steps s where s.operation_id = o.id and s.attention is not null
            order by s.state = 'parked' desc, s.position limit 1
        ) as attention
        from operations o where o.id = $1"#,
        id.as_uuid(),
    )
    .fetch_one(&mut *tx)
    .await?;
    match row.attention.map(read).transpose()? {
        Some(attention) => set(tx, id, &attention, now).await,
        None if row.state == OperationState::NeedsAttention => {
            clear(&mut *tx, id, row.kind, now).await?;
            let news = [NewEvent { event_type: EventType::OperationRecovered, data: json!({}) }];
            events::append(tx, id, &news, now).await
        }
        None => Ok(()),
    }
}

async fn set(tx: &mut PgConnection, id: OperationId, attention: &Attention, now: DateTime<Utc>) -> Result<()> {
    let remedies: Vec<String> = attention.remedies.iter().map(ToString::to_string).collect();
    sqlx::query!(
        r#"/* db::attention::set */
        with operation as (
            update operations set state = 'needs_attention', updated_at = $5,
                attention_code = $2, attention_message = $3, attention_remedies = $4
            where id = $1 returning environment_id
        )
        update environments e set state = 'needs_attention', updated_at = $5
        from operation where e.id = operation.environment_id"#,
        id.as_uuid(),
        attention.code,
        attention.message,
        &remedies,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The operation needs nobody any more.
async fn clear(tx: &mut PgConnection, id: OperationId, kind: OperationKind, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::attention::clear */
        with operation as (
            update operations set state = 'running', wake_at = coalesce(wake_at, $3), updated_at = $3,
                attention_code = null, attention_message = null, attention_remedies = null
            where id = $1 returning environment_id
        )
        update environments e set state = $2, updated_at = $3
        from operation where e.id = operation.environment_id"#,
        id.as_uuid(),
        kind.state_while_open().as_str(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What became of a wish to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryResult {
    /// It is due at once.
    Yes,
    /// It does not need attention: it is in this state.
    Not(OperationState),
    /// What it waits for does not come about by trying again.
    NotOffered,
    /// There is no such operation.
    Unknown,
}

/// Lets what is parked or late try again.
pub async fn retry(pool: &PgPool, id: OperationId, by: &str, now: DateTime<Utc>) -> Result<RetryResult> {
    let mut tx = pool.begin().await?;
    let found = sqlx::query!(
        r#"/* db::attention::retry */
        select o.state as "state: OperationState", o.kind as "kind: OperationKind", exists (
            select from operation_steps s where s.operation_id = o.id and s.attention -> 'remedies' ? $2
        ) as "offered!"
        from operations o where o.id = $1 for no key update"#,
        id.as_uuid(),
        Remedy::Retry.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = found.as_ref().filter(|row| row.state == OperationState::NeedsAttention) else {
        // Now, and not when the connection is used next: a claim would skip the row as long as it is locked.
        tx.rollback().await?;
        return Ok(found.map_or(RetryResult::Unknown, |row| RetryResult::Not(row.state)));
    };
    if !row.offered {
        tx.rollback().await?;
        return Ok(RetryResult::NotOffered);
    }
    retry_in_tx(&mut tx, id, row.kind, by, now).await?;
    tx.commit().await?;
    Ok(RetryResult::Yes)
}

/// The same within a transaction that holds the operation's row.
pub(super) async fn retry_in_tx(
    tx: &mut PgConnection,
    id: OperationId,
    kind: OperationKind,
    by: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    steps::reset_for_retry(&mut *tx, id, now).await?;
    clear(&mut *tx, id, kind, now).await?;
    sqlx::query!(
        "/* db::attention::retry_in_tx */ update operations set wake_at = $2 where id = $1",
        id.as_uuid(),
        now,
    )
    .execute(&mut *tx)
    .await?;
    let news = [NewEvent { event_type: EventType::OperationRetried, data: json!({ "by": by }) }];
    events::append(tx, id, &news, now).await
}

/// An attention as a step's row has it.
pub(super) fn read(value: Value) -> Result<Attention> {
    serde_json::from_value(value).map_err(|error| DbError::UnexpectedValue(format!("an attention: {error}")))
}
