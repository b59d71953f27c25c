//! Reads, replays and deletes webhook deliveries.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::fanout::{NewDelivery, columns};
use super::lock_cursor;
use crate::db::{PgPool, Result, finish_transaction};
use crate::feed::TEST_EVENT_TYPE;
use crate::webhook::{Delivery, DeliveryState};
use crate::{WebhookDeliveryId, WebhookEndpointId};

/// Retention period of deliveries and their attempts.
pub const DELIVERY_RETENTION: TimeDelta = TimeDelta::days(30);

/// Maximum number of deliveries written or deleted in one transaction.
const MAX_BATCH_SIZE: i64 = 1000;

/// Filter for the deliveries of one endpoint; a field that is `None` matches all deliveries.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryFilter {
    pub endpoint_id: WebhookEndpointId,
    pub id: Option<WebhookDeliveryId>,
    pub state: Option<DeliveryState>,
}

/// Returns at most `limit` deliveries that are older than the delivery `before`, newest first.
pub async fn list(
    pool: &PgPool,
    filter: &DeliveryFilter,
    before: Option<WebhookDeliveryId>,
    limit: i64,
) -> Result<Vec<Delivery>> {
    let rows = sqlx::query!(
        r#"/* db::webhooks::deliveries::list */
        select d.id, d.position, f.type as "event_type?", d.state as "state: DeliveryState", d.attempts,
            case when e.disabled_at is null then greatest(d.next_attempt_at, e.paused_until) end as next_attempt_at,
            d.created_at, d.next_attempt_at is not null as "waits!"
        from webhook_deliveries d join webhook_endpoints e on e.id = d.endpoint_id
            left join feed f on f.position = d.position
        where d.endpoint_id = $1 and ($2::uuid is null or d.id = $2) and ($3::text is null or d.state = $3)
            and ($4::uuid is null or d.id < $4)
        order by d.id desc limit $5"#,
        filter.endpoint_id.as_uuid(),
        filter.id.map(WebhookDeliveryId::as_uuid),
        filter.state.map(DeliveryState::as_str),
        before.map(WebhookDeliveryId::as_uuid),
        limit,
    );
    let deliveries = rows.fetch_all(pool).await?.into_iter().map(|row| Delivery {
        id: row.id.into(),
        position: row.position.max(0),
        event_type: if row.position < 0 { Some(TEST_EVENT_TYPE.to_owned()) } else { row.event_type },
        state: row.state,
        attempts: row.attempts,
        next_attempt_at: row.next_attempt_at.filter(|_| row.waits),
        created_at: row.created_at,
    });
    Ok(deliveries.collect())
}

/// Writes a delivery of a test event, which only this endpoint receives. Returns its id, or `None` if the endpoint does
/// not exist or is disabled.
pub async fn create_test(
    pool: &PgPool,
    endpoint_id: WebhookEndpointId,
    now: DateTime<Utc>,
) -> Result<Option<WebhookDeliveryId>> {
    let id = WebhookDeliveryId::new(now);
    let done = sqlx::query!(
        r#"/* db::webhooks::deliveries::create_test */
        insert into webhook_deliveries (id, endpoint_id, position, created_at, state, started_at, next_attempt_at)
        select $1, e.id, $3, $4, $5, $4, $4 from webhook_endpoints e where e.id = $2 and e.disabled_at is null"#,
        id.as_uuid(),
        endpoint_id.as_uuid(),
        test_position(id),
        now,
        DeliveryState::Pending.as_str(),
    );
    Ok((done.execute(pool).await?.rows_affected() == 1).then_some(id))
}

/// Returns a negative position from the random bits of the id, because positions of an endpoint must be unique.
fn test_position(id: WebhookDeliveryId) -> i64 {
    let (_, low) = id.as_uuid().as_u64_pair();
    // The upper two bits are constant.
    -1 - i64::try_from(low >> 1).unwrap_or_default()
}

/// Restarts a delivery with a new retry schedule. A delivery that is being sent now is left unchanged.
pub async fn replay(pool: &PgPool, id: WebhookDeliveryId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::webhooks::deliveries::replay */
        update webhook_deliveries set state = $2, tries = 0, started_at = $3, next_attempt_at = $3
        where id = $1 and (lease_until is null or lease_until <= $3)"#,
        id.as_uuid(),
        DeliveryState::Pending.as_str(),
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Schedules a delivery of every event that occurred at or after `since` and matches the endpoint, in the order of the
/// feed. Includes events that were already delivered, and events that occurred while the endpoint was disabled. Returns
/// the number of events.
pub async fn replay_since(
    pool: &PgPool,
    id: WebhookEndpointId,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<usize> {
    let (mut after, mut count) = (0, 0);
    loop {
        let mut tx = pool.begin().await?;
        let some = replay_batch(&mut tx, id, since, after, now).await;
        let some = finish_transaction(tx, some, |some| !some.is_empty()).await?;
        count += some.len();
        match some.last() {
            Some(last) if i64::try_from(some.len()).is_ok_and(|len| len == MAX_BATCH_SIZE) => after = *last,
            _ => return Ok(count),
        }
    }
}

async fn replay_batch(
    tx: &mut PgConnection,
    id: WebhookEndpointId,
    since: DateTime<Utc>,
    after: i64,
    now: DateTime<Utc>,
) -> Result<Vec<i64>> {
    let head = lock_cursor(tx).await?;
    let positions = sqlx::query_scalar!(
        r#"/* db::webhooks::deliveries::replay_since */
        select f.position from webhook_endpoints e
            join feed f on f.position > $2 and f.position <= $3 and f.occurred_at >= $4
                and (e.types is null or f.type = any(e.types))
        where e.id = $1 order by f.position limit $5"#,
        id.as_uuid(),
        after,
        head,
        since,
        MAX_BATCH_SIZE,
    );
    let positions = positions.fetch_all(&mut *tx).await?;
    let new_deliveries: Vec<_> =
        positions.iter().map(|position| NewDelivery { endpoint_id: id.as_uuid(), position: *position }).collect();
    let (ids, endpoints, positions): (Vec<Uuid>, Vec<Uuid>, Vec<i64>) = columns(&new_deliveries, now);
    sqlx::query!(
        r#"/* db::webhooks::deliveries::replay_since */
        insert into webhook_deliveries as d (id, endpoint_id, position, created_at, state, started_at, next_attempt_at)
        select w.*, $4, $5, $4, $4 from unnest($1::uuid[], $2::uuid[], $3::bigint[]) w
        on conflict (endpoint_id, position) do update
            set state = excluded.state, tries = 0, started_at = excluded.started_at,
                next_attempt_at = excluded.next_attempt_at
            where d.lease_until is null or d.lease_until <= $4"#,
        &ids,
        &endpoints,
        &positions,
        now,
        DeliveryState::Pending.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(positions)
}

/// Deletes a batch of expired deliveries. Returns the number of deleted deliveries.
pub async fn delete_expired(pool: &PgPool, now: DateTime<Utc>) -> Result<u64> {
    let dropped = sqlx::query!(
        r#"/* db::webhooks::deliveries::delete_expired */
        delete from webhook_deliveries where id in (
            select id from webhook_deliveries where started_at < $1 order by started_at limit $2)"#,
        now - DELIVERY_RETENTION,
        MAX_BATCH_SIZE,
    );
    Ok(dropped.execute(pool).await?.rows_affected())
}
