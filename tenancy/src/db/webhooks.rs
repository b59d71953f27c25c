//! Stores webhook endpoints, deliveries and attempts.

pub mod attempts;
pub mod claims;
pub mod deliveries;
pub mod endpoints;
pub mod fanout;
pub mod secrets;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PgPool, Result};

/// Pending work of the delivery loop, which sends webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingWork {
    /// Whether a webhook endpoint exists.
    pub any: bool,
    /// Whether there are new events for at least one enabled endpoint.
    pub news: bool,
    /// Time at which the next delivery is due.
    pub next_at: Option<DateTime<Utc>>,
}

/// Returns the pending work of the delivery loop.
pub async fn pending_work(pool: &PgPool) -> Result<PendingWork> {
    let pending_work = sqlx::query_as!(
        PendingWork,
        r#"/* db::webhooks::pending_work */
        select exists (select from webhook_endpoints) as "any!",
            exists (select from webhook_endpoints where disabled_at is null)
                and (exists (select from feed_pending)
                    or (select position from feed_head) > (select position from webhook_cursor)) as "news!",
            (select min(greatest(due.at, e.paused_until)) from webhook_endpoints e
                cross join lateral (
                    select min(next_attempt_at) as at from webhook_deliveries
                    where endpoint_id = e.id and next_attempt_at is not null
                ) due
                where e.disabled_at is null and due.at is not null) as next_at"#
    );
    Ok(pending_work.fetch_one(pool).await?)
}

/// Locks the cursor of the fan-out and returns the latest feed position. No fan-out runs until the transaction ends, so
/// that the fan-out of later events uses the changes of this transaction.
async fn lock_cursor(tx: &mut PgConnection) -> Result<i64> {
    sqlx::query!("/* db::webhooks::lock_cursor */ select position from webhook_cursor for update")
        .fetch_one(&mut *tx)
        .await?;
    let head = sqlx::query_scalar!("/* db::webhooks::lock_cursor */ select position from feed_head");
    Ok(head.fetch_one(tx).await?)
}
