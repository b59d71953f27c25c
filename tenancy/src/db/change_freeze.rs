//! Stores the change freeze, a time in which no update starts in any environment.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{PgPool, Result, events, finish_transaction, parse_json};
use crate::change_freeze::ChangeFreeze;
use crate::feed::FeedType;

/// Returns the freeze that is in force, or `None` if updates may start.
pub async fn find(pool: &PgPool, now: DateTime<Utc>) -> Result<Option<ChangeFreeze>> {
    in_force(&mut *pool.acquire().await?, now).await
}

/// Returns the freeze that is in force, in the transaction of the caller.
pub(super) async fn in_force(tx: &mut PgConnection, now: DateTime<Utc>) -> Result<Option<ChangeFreeze>> {
    let row = sqlx::query!(
        r#"/* db::change_freeze::in_force */
        select reason as "reason!", until, set_by as "set_by!", set_at as "set_at!" from change_freeze
        where reason is not null and (until is null or until > $1)"#,
        now,
    );
    let Some(row) = row.fetch_optional(tx).await? else { return Ok(None) };
    let set_by = parse_json(row.set_by, "the author of the change freeze")?;
    Ok(Some(ChangeFreeze { reason: row.reason, until: row.until, set_by, set_at: row.set_at }))
}

/// Sets a freeze, or replaces the present one. Writes an event if none was in force. Returns the freeze before.
pub async fn set(pool: &PgPool, freeze: &ChangeFreeze) -> Result<Option<ChangeFreeze>> {
    let mut tx = pool.begin().await?;
    let result = set_in_tx(&mut tx, freeze).await;
    finish_transaction(tx, result, |_| true).await
}

async fn set_in_tx(tx: &mut PgConnection, freeze: &ChangeFreeze) -> Result<Option<ChangeFreeze>> {
    lock(tx).await?;
    let before = in_force(tx, freeze.set_at).await?;
    if before.as_ref().is_some_and(|before| before.reason == freeze.reason && before.until == freeze.until) {
        return Ok(before);
    }
    sqlx::query!(
        r#"/* db::change_freeze::set */
        update change_freeze set reason = $1, until = $2, set_by = $3, set_at = $4"#,
        freeze.reason,
        freeze.until,
        json!(freeze.set_by),
        freeze.set_at,
    )
    .execute(&mut *tx)
    .await?;
    if before.is_none() {
        events::append_fleet_event(tx, FeedType::ChangeFreezeStarted, &json!({}), freeze.set_at).await?;
    }
    Ok(before)
}

/// Ends the freeze with an event. Returns the freeze, or `None` if none was in force.
pub async fn end(pool: &PgPool, now: DateTime<Utc>) -> Result<Option<ChangeFreeze>> {
    let mut tx = pool.begin().await?;
    let result = end_in_tx(&mut tx, now).await;
    finish_transaction(tx, result, Option::is_some).await
}

async fn end_in_tx(tx: &mut PgConnection, now: DateTime<Utc>) -> Result<Option<ChangeFreeze>> {
    lock(tx).await?;
    let Some(before) = in_force(tx, now).await? else { return Ok(None) };
    sqlx::query!(
        r#"/* db::change_freeze::end */
        update change_freeze set reason = null, until = null, set_by = null, set_at = null"#,
    )
    .execute(&mut *tx)
    .await?;
    events::append_fleet_event(tx, FeedType::ChangeFreezeEnded, &json!({}), now).await?;
    Ok(Some(before))
}

/// Locks the row, so that each change is compared with the one before.
async fn lock(tx: &mut PgConnection) -> Result<()> {
    sqlx::query!("/* db::change_freeze::lock */ select from change_freeze for update").execute(tx).await?;
    Ok(())
}
