//! Creates, reads, updates and deletes webhook endpoints.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::lock_cursor;
use crate::WebhookEndpointId;
use crate::db::idempotency::{self, Reservation, StoredResponse};
use crate::db::{PgPool, Result, feed, finish_transaction, parse_text};
use crate::feed::FeedType;
use crate::webhook::{DisabledReason, Endpoint, WebhookFormat};

/// Maximum number of endpoints. The number is limited because each event is compared with each endpoint.
pub const MAX_ENDPOINTS: i64 = 100;

struct Row {
    id: uuid::Uuid,
    url: String,
    description: String,
    format: WebhookFormat,
    types: Option<Vec<String>>,
    disabled_at: Option<DateTime<Utc>>,
    disabled_reason: Option<DisabledReason>,
    failing_since: Option<DateTime<Utc>>,
    paused_until: Option<DateTime<Utc>>,
    previous_secret_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn read(self) -> Result<Endpoint> {
        Ok(Endpoint {
            id: self.id.into(),
            url: parse_text(self.url)?,
            description: self.description,
            format: self.format,
            // Event types that only a newer version defines are left out.
            types: self.types.map(|types| types.iter().filter_map(|name| name.parse().ok()).collect()),
            disabled: self.disabled_at.zip(self.disabled_reason),
            failing_since: self.failing_since,
            paused_until: self.paused_until,
            previous_secret_until: self.previous_secret_until,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

fn type_names(types: Option<&[FeedType]>) -> Option<Vec<String>> {
    types.map(|types| types.iter().map(ToString::to_string).collect())
}

/// Creates an endpoint that receives the events after the current end of the feed, and stores the response. Returns
/// false if the maximum number of endpoints is reached.
pub async fn create(
    pool: &PgPool,
    endpoint: &Endpoint,
    sealed: &[u8],
    reservation: Option<&Reservation>,
    answer: &StoredResponse,
) -> Result<bool> {
    feed::advance(pool, endpoint.created_at).await?;
    let mut tx = pool.begin().await?;
    let made = async {
        let made = insert(&mut tx, endpoint, sealed).await?;
        if made {
            idempotency::complete_in_tx(&mut tx, reservation, answer).await?;
        }
        Ok(made)
    };
    let made = made.await;
    finish_transaction(tx, made, |made| *made).await
}

async fn insert(tx: &mut PgConnection, endpoint: &Endpoint, sealed: &[u8]) -> Result<bool> {
    let head = lock_cursor(tx).await?;
    let types = type_names(endpoint.types.as_deref());
    let made = sqlx::query!(
        r#"/* db::webhooks::endpoints::create */
        insert into webhook_endpoints
            (id, url, description, types, secret, after_position, created_at, updated_at, format)
        select $1, $2, $3, $4, $5, $6, $7, $7, $9 where (select count(*) from webhook_endpoints) < $8"#,
        endpoint.id.as_uuid(),
        endpoint.url.as_str(),
        endpoint.description,
        types.as_deref(),
        sealed,
        head,
        endpoint.created_at,
        MAX_ENDPOINTS,
        endpoint.format.as_str(),
    );
    Ok(made.execute(tx).await?.rows_affected() == 1)
}

/// Returns at most `limit` endpoints that are older than the endpoint `before`, newest first.
pub async fn list(pool: &PgPool, before: Option<WebhookEndpointId>, limit: i64) -> Result<Vec<Endpoint>> {
    let rows = sqlx::query_as!(
        Row,
        r#"/* db::webhooks::endpoints::list */
        select id, url, description, format as "format: WebhookFormat", types, disabled_at,
            disabled_reason as "disabled_reason: DisabledReason", failing_since, paused_until, previous_secret_until,
            created_at, updated_at
        from webhook_endpoints where $1::uuid is null or id < $1 order by id desc limit $2"#,
        before.map(WebhookEndpointId::as_uuid),
        limit,
    );
    rows.fetch_all(pool).await?.into_iter().map(Row::read).collect()
}

pub async fn get(database: impl PgExecutor<'_>, id: WebhookEndpointId) -> Result<Option<Endpoint>> {
    let row = sqlx::query_as!(
        Row,
        r#"/* db::webhooks::endpoints::get */
        select id, url, description, format as "format: WebhookFormat", types, disabled_at,
            disabled_reason as "disabled_reason: DisabledReason", failing_since, paused_until, previous_secret_until,
            created_at, updated_at
        from webhook_endpoints where id = $1"#,
        id.as_uuid(),
    );
    row.fetch_optional(database).await?.map(Row::read).transpose()
}

/// Writes the changed fields of an endpoint. Returns false if the endpoint was changed in the meantime. A new URL
/// resets the failure state.
pub async fn update(pool: &PgPool, endpoint: &Endpoint, now: DateTime<Utc>) -> Result<bool> {
    let types = type_names(endpoint.types.as_deref());
    let done = sqlx::query!(
        r#"/* db::webhooks::endpoints::update */
        update webhook_endpoints set url = $3, description = $4, types = $5, format = $7,
            failing_since = case when url = $3 then failing_since end,
            paused_until = case when url = $3 then paused_until end,
            updated_at = greatest($6, updated_at + interval '1 microsecond')
        where id = $1 and updated_at = $2"#,
        endpoint.id.as_uuid(),
        endpoint.updated_at,
        endpoint.url.as_str(),
        endpoint.description,
        types.as_deref(),
        now,
        endpoint.format.as_str(),
    );
    Ok(done.execute(pool).await?.rows_affected() == 1)
}

/// Deletes an endpoint with its deliveries. Returns the deleted endpoint, or `None` if it did not exist.
pub async fn delete(pool: &PgPool, id: WebhookEndpointId) -> Result<Option<Endpoint>> {
    let row = sqlx::query_as!(
        Row,
        r#"/* db::webhooks::endpoints::delete */
        delete from webhook_endpoints where id = $1
        returning id, url, description, format as "format: WebhookFormat", types, disabled_at,
            disabled_reason as "disabled_reason: DisabledReason", failing_since, paused_until, previous_secret_until,
            created_at, updated_at"#,
        id.as_uuid(),
    );
    row.fetch_optional(pool).await?.map(Row::read).transpose()
}

/// Disables an endpoint. Its pending deliveries are kept until the endpoint is enabled again.
pub async fn disable(pool: &PgPool, id: WebhookEndpointId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::webhooks::endpoints::disable */
        update webhook_endpoints set disabled_at = $2, disabled_reason = $3,
            updated_at = greatest($2, updated_at + interval '1 microsecond')
        where id = $1 and disabled_at is null"#,
        id.as_uuid(),
        now,
        DisabledReason::ByRequest.as_str(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Enables an endpoint, which then receives its pending deliveries and the events after the current end of the feed.
pub async fn enable(pool: &PgPool, id: WebhookEndpointId, now: DateTime<Utc>) -> Result<()> {
    feed::advance(pool, now).await?;
    let mut tx = pool.begin().await?;
    let done = enable_in_tx(&mut tx, id, now).await;
    finish_transaction(tx, done, |()| true).await
}

async fn enable_in_tx(tx: &mut PgConnection, id: WebhookEndpointId, now: DateTime<Utc>) -> Result<()> {
    let head = lock_cursor(tx).await?;
    sqlx::query!(
        r#"/* db::webhooks::endpoints::enable */
        update webhook_endpoints set disabled_at = null, disabled_reason = null, failing_since = null,
            paused_until = null,
            after_position = $2, updated_at = greatest($3, updated_at + interval '1 microsecond')
        where id = $1 and disabled_at is not null"#,
        id.as_uuid(),
        head,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the number of endpoints per disabled reason, and under `None` the number of enabled endpoints.
pub async fn counts(pool: &PgPool) -> Result<Vec<(Option<DisabledReason>, i64)>> {
    let rows = sqlx::query!(
        r#"/* db::webhooks::endpoints::counts */
        select disabled_reason as "reason: DisabledReason", count(*) as "count!" from webhook_endpoints group by 1"#
    );
    Ok(rows.fetch_all(pool).await?.into_iter().map(|row| (row.reason, row.count)).collect())
}
