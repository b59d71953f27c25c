//! Retries the steps of an operation that are parked or late.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::attention::clear_attention;
use crate::OperationId;
use crate::attention::Remedy;
use crate::db::{PgPool, Result, events, steps};
use crate::event::{EventType, NewEvent};
use crate::operation::{OperationKind, OperationState};

/// Result of [`retry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryResult {
    /// The operation will run again immediately.
    Scheduled,
    /// The operation is in this state and does not need attention.
    NotNeeded(OperationState),
    /// The operation does not accept a retry as a remedy.
    NotOffered,
    NotFound,
}

/// Retries the steps of an operation that are parked or late.
pub async fn retry(pool: &PgPool, id: OperationId, by: &str, now: DateTime<Utc>) -> Result<RetryResult> {
    let mut tx = pool.begin().await?;
    let found = sqlx::query!(
        r#"/* db::lifecycle::retry */
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
        // The rollback is explicit, because a worker skips the locked row when it claims operations.
        tx.rollback().await?;
        return Ok(found.map_or(RetryResult::NotFound, |row| RetryResult::NotNeeded(row.state)));
    };
    if !row.offered {
        tx.rollback().await?;
        return Ok(RetryResult::NotOffered);
    }
    retry_in_tx(&mut tx, id, row.kind, by, now).await?;
    tx.commit().await?;
    Ok(RetryResult::Scheduled)
}

/// Retries an operation like [`retry`]. The caller must have locked the operation.
pub(super) async fn retry_in_tx(
    tx: &mut PgConnection,
    id: OperationId,
    kind: OperationKind,
    by: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    steps::reset_for_retry(&mut *tx, id, now).await?;
    clear_attention(&mut *tx, id, kind, now).await?;
    sqlx::query!(
        "/* db::lifecycle::retry_in_tx */ update operations set wake_at = $2 where id = $1",
        id.as_uuid(),
        now,
    )
    .execute(&mut *tx)
    .await?;
    let news = [NewEvent { event_type: EventType::OperationRetried, data: json!({ "by": by }) }];
    events::append(tx, id, &news, now).await
}
