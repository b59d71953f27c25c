//! Claims due deliveries with a lease and a fence, up to a limit per endpoint.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::secrets::EncryptedSecrets;
use crate::db::{PgPool, Result, feed};
use crate::feed::Entry;
use crate::webhook::WebhookFormat;
use crate::{EnvironmentId, TenantId, WebhookDeliveryId, WebhookEndpointId};

/// Claim of a worker on a due delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub id: WebhookDeliveryId,
    /// Fence of the delivery. A write with an older fence is refused.
    pub fence: i64,
    pub endpoint_id: WebhookEndpointId,
    /// Number of attempts since the delivery was created or replayed.
    pub tries: i32,
    /// Time at which the delivery was created or last replayed.
    pub started_at: DateTime<Utc>,
    pub url: String,
    /// Encrypted signing secrets.
    pub sealed: EncryptedSecrets,
    pub format: WebhookFormat,
    pub content: DeliveryContent,
    /// Company name of the tenant, for messages to people; `None` for an event without tenant.
    pub company_name: Option<String>,
}

/// Content of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum DeliveryContent {
    /// Event of the feed.
    Event(Entry),
    /// Test event, which is not in the feed.
    Test { created_at: DateTime<Utc> },
    /// Event that was deleted from the feed, or whose type this version does not support.
    Missing,
}

/// Limits for claiming deliveries.
#[derive(Debug, Clone)]
pub struct ClaimLimits<'a> {
    /// True to claim from failing endpoints only, false to claim from healthy endpoints only.
    pub failing: bool,
    /// Maximum number of deliveries to claim.
    pub max_deliveries: i64,
    /// Maximum number of deliveries in progress per endpoint.
    pub each: i64,
    /// Number of deliveries in progress for each endpoint.
    pub busy: &'a [(WebhookEndpointId, i64)],
}

/// Claims due deliveries with leases that end at `lease_until`. Endpoints with the fewest deliveries in progress come
/// first.
pub async fn claim(
    pool: &PgPool,
    limits: &ClaimLimits<'_>,
    lease_until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<Claim>> {
    let (busy, counts): (Vec<Uuid>, Vec<i64>) = limits.busy.iter().map(|(id, count)| (id.as_uuid(), *count)).unzip();
    let rows = sqlx::query!(
        r#"/* db::webhooks::claims::claim */
        with due as (
            select d.id from webhook_endpoints e
            left join unnest($5::uuid[], $6::bigint[]) busy (id, count) on busy.id = e.id
            cross join lateral (
                select id, next_attempt_at, position from webhook_deliveries
                where endpoint_id = e.id and next_attempt_at <= $1
                order by next_attempt_at, position limit greatest($4 - coalesce(busy.count, 0), 0)
                for no key update skip locked
            ) d
            where e.disabled_at is null and (e.paused_until is null or e.paused_until <= $1)
                and (e.failing_since is not null) = $3
            -- Endpoints with the fewest deliveries in progress come first, so that a busy endpoint does not delay the others.
            order by
                coalesce(busy.count, 0) + row_number() over (partition by e.id order by d.next_attempt_at, d.position),
                d.next_attempt_at, d.position
            limit $7
        ),
        claimed as (
            -- Should the worker die, the delivery is due when the lease is over.
            update webhook_deliveries d set fence = d.fence + 1, lease_until = $2, next_attempt_at = $2
            from due where d.id = due.id
            returning d.id, d.fence, d.endpoint_id, d.tries, d.started_at, d.position, d.created_at
        )
        select c.id, c.fence, c.endpoint_id, c.tries, c.started_at, c.position, c.created_at, e.url, e.secret,
            e.format as "format: WebhookFormat", t.company_name as "company_name?",
            case when e.previous_secret_until > $1 then e.previous_secret end as previous_secret,
            f.operation_id as "operation_id?", f.seq as "seq?", f.tenant_id as "tenant_id?",
            f.environment_id as "environment_id?", f.type as "feed_type?", f.data as "data?: Value",
            f.occurred_at as "occurred_at?"
        from claimed c join webhook_endpoints e on e.id = c.endpoint_id left join feed f on f.position = c.position
            left join tenants t on t.id = f.tenant_id and e.format <> 'freehold'
        order by c.position"#,
        now,
        lease_until,
        limits.failing,
        limits.each,
        &busy,
        &counts,
        limits.max_deliveries,
    );
    let claims = rows.fetch_all(pool).await?.into_iter().map(|row| {
        let entry = || {
            Some(Entry {
                position: row.position,
                tenant_id: row.tenant_id.map(TenantId::from),
                environment_id: row.environment_id.map(EnvironmentId::from),
                operation: feed::operation_event(row.operation_id, row.seq),
                feed_type: row.feed_type.as_ref()?.parse().ok()?,
                data: row.data.clone()?,
                occurred_at: row.occurred_at?,
            })
        };
        let content = match entry() {
            _ if row.position < 0 => DeliveryContent::Test { created_at: row.created_at },
            Some(entry) => DeliveryContent::Event(entry),
            None => DeliveryContent::Missing,
        };
        Claim {
            content,
            format: row.format,
            company_name: row.company_name,
            id: row.id.into(),
            fence: row.fence,
            endpoint_id: row.endpoint_id.into(),
            tries: row.tries,
            started_at: row.started_at,
            url: row.url,
            sealed: EncryptedSecrets {
                endpoint_id: row.endpoint_id.into(),
                secret: row.secret,
                previous: row.previous_secret,
            },
        }
    });
    Ok(claims.collect())
}

/// Postpones a delivery that could not be sent because of an error in Freehold. This does not count as an attempt.
pub async fn postpone(pool: &PgPool, claim: &Claim, until: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::webhooks::claims::postpone */
        update webhook_deliveries set next_attempt_at = $3, lease_until = null where id = $1 and fence = $2"#,
        claim.id.as_uuid(),
        claim.fence,
        until,
    )
    .execute(pool)
    .await?;
    Ok(())
}
