//! Creates deliveries for feed events. One transaction writes the deliveries and moves the cursor.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::{PgPool, Result, feed, finish_transaction};
use crate::feed::FeedType;
use crate::webhook::DeliveryState;
use crate::{WebhookDeliveryId, WebhookEndpointId};

/// Maximum number of events that one transaction processes.
const MAX_BATCH_SIZE: i64 = 1000;

/// Delivery that has not been written yet.
pub(super) struct NewDelivery {
    pub(super) endpoint_id: Uuid,
    pub(super) position: i64,
}

/// Writes deliveries for new feed events. Returns the number of processed events.
pub async fn fan_out(pool: &PgPool, now: DateTime<Utc>) -> Result<usize> {
    feed::advance(pool, now).await?;
    let mut total = 0;
    loop {
        let mut tx = pool.begin().await?;
        let processed = fan_out_batch(&mut tx, now).await;
        let processed = finish_transaction(tx, processed, |processed| *processed > 0).await?;
        total += processed;
        if i64::try_from(processed).unwrap_or(i64::MAX) < MAX_BATCH_SIZE {
            return Ok(total);
        }
    }
}

async fn fan_out_batch(tx: &mut PgConnection, now: DateTime<Utc>) -> Result<usize> {
    // The row lock serialises the fan-out. A transaction that had to wait sees the committed changes in its next
    // statement.
    let cursor = sqlx::query_scalar!("/* db::webhooks::fan_out */ select position from webhook_cursor for update");
    let cursor = cursor.fetch_one(&mut *tx).await?;
    // The endpoints cannot be deleted until the transaction ends.
    let endpoints = sqlx::query!(
        r#"/* db::webhooks::fan_out */
        select id, types, after_position from webhook_endpoints where disabled_at is null order by id for key share"#
    );
    let endpoints = endpoints.fetch_all(&mut *tx).await?;
    // If no endpoint is enabled, the events are skipped.
    let Some(first) = endpoints.iter().map(|endpoint| endpoint.after_position).min() else { return Ok(0) };
    let entries = sqlx::query!(
        "/* db::webhooks::fan_out */ select position, type as name from feed
            where position > $1 order by position limit $2",
        cursor.max(first),
        MAX_BATCH_SIZE,
    );
    let entries = entries.fetch_all(&mut *tx).await?;
    // Stop before an event that only a newer version supports. A process of that version continues from there.
    let known: Vec<_> = entries.into_iter().take_while(|entry| entry.name.parse::<FeedType>().is_ok()).collect();
    let Some(last) = known.last() else { return Ok(0) };
    let mut new_deliveries = Vec::new();
    for entry in &known {
        new_deliveries.extend(endpoints.iter().filter_map(|endpoint| {
            let wants = endpoint.types.as_ref().is_none_or(|types| types.contains(&entry.name));
            (wants && entry.position > endpoint.after_position)
                .then_some(NewDelivery { endpoint_id: endpoint.id, position: entry.position })
        }));
    }
    write(&mut *tx, &new_deliveries, now).await?;
    sqlx::query!("/* db::webhooks::fan_out */ update webhook_cursor set position = $1", last.position)
        .execute(tx)
        .await?;
    Ok(known.len())
}

/// Writes deliveries that are due now. A delivery that already exists, because of a replay, is left unchanged.
async fn write(tx: &mut PgConnection, new_deliveries: &[NewDelivery], now: DateTime<Utc>) -> Result<()> {
    if new_deliveries.is_empty() {
        return Ok(());
    }
    let (ids, endpoints, positions) = columns(new_deliveries, now);
    sqlx::query!(
        r#"/* db::webhooks::fan_out */
        insert into webhook_deliveries (id, endpoint_id, position, created_at, state, started_at, next_attempt_at)
        select w.*, $4, $5, $4, $4 from unnest($1::uuid[], $2::uuid[], $3::bigint[]) w on conflict do nothing"#,
        &ids,
        &endpoints,
        &positions,
        now,
        DeliveryState::Pending.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the columns of the new deliveries as arrays.
pub(super) fn columns(new_deliveries: &[NewDelivery], now: DateTime<Utc>) -> (Vec<Uuid>, Vec<Uuid>, Vec<i64>) {
    let mut ids: Vec<_> = new_deliveries.iter().map(|_| WebhookDeliveryId::new(now).as_uuid()).collect();
    // Ids that are generated in the same millisecond have a random order. They are sorted so that deliveries are listed
    // in the order of their events.
    ids.sort_unstable();
    let endpoints = new_deliveries.iter().map(|one| WebhookEndpointId::from(one.endpoint_id).as_uuid()).collect();
    (ids, endpoints, new_deliveries.iter().map(|one| one.position).collect())
}
