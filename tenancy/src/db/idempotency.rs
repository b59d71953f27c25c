//! Stores responses under idempotency keys, and reserves the keys of requests that are in progress.

use super::{DbError, PgPool, Result};
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgExecutor};

/// Retention period of stored responses.
const RETENTION: TimeDelta = TimeDelta::days(7);

/// Age after which a reservation is treated as abandoned by a dead process.
const RESERVATION_TIMEOUT: TimeDelta = TimeDelta::minutes(1);

/// Idempotency key with its scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Issuer of the caller's token.
    pub issuer: String,
    /// Client that sends the request, or the tenant if all its users share their idempotency keys.
    pub client: String,
    /// Method and path of the request, such as `POST /v1/tenants`.
    pub route: String,
    /// Value of the header `Idempotency-Key`, without quotes.
    pub key: String,
}

impl IdempotencyKey {
    /// Returns the number that identifies the advisory lock of the key.
    pub(super) fn lock(&self) -> i64 {
        let mut hash = Sha256::new();
        for part in [&self.issuer, &self.client, &self.route, &self.key] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        i64::from_be_bytes(std::array::from_fn(|index| digest[index]))
    }
}

/// Response that is stored and returned again for a repeated request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    pub status: i16,
    pub location: String,
    /// Body of the response, stored unchanged.
    pub body: String,
}

/// State of a key that has been used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExistingKey {
    /// The request was completed before; this is the stored response.
    Replayed(StoredResponse),
    /// The key was used for a different request.
    OtherRequest,
    /// Another request with this key and the same body is in progress.
    InFlight,
}

/// Result of [`reserve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReserveResult {
    /// The request may start; the key is reserved for one minute.
    Reserved(Reservation),
    /// The key has been used.
    Exists(ExistingKey),
}

/// Reserved idempotency key. After one minute, another process may reserve the key again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    key: IdempotencyKey,
    since: DateTime<Utc>,
}

/// Reserves `key` for a request unless it has been used.
pub async fn reserve(
    pool: &PgPool,
    key: &IdempotencyKey,
    request_hash: [u8; 32],
    now: DateTime<Utc>,
) -> Result<ReserveResult> {
    loop {
        let reserved = sqlx::query!(
            r#"/* db::idempotency::reserve */
            insert into idempotency_keys as known (issuer, client, route, key, request_hash, created_at)
            values ($1, $2, $3, $4, $5, $6)
            on conflict (issuer, client, route, key) do update set created_at = $6
                where known.status is null and known.request_hash = $5 and known.created_at < $7"#,
            key.issuer,
            key.client,
            key.route,
            key.key,
            request_hash.as_slice(),
            now,
            now - RESERVATION_TIMEOUT,
        );
        if reserved.execute(pool).await?.rows_affected() == 1 {
            return Ok(ReserveResult::Reserved(Reservation { key: key.clone(), since: now }));
        }
        if let Some(known) = find_existing(pool, key, request_hash).await? {
            return Ok(ReserveResult::Exists(known));
        }
        // The key was released in the meantime, so try again.
    }
}

/// Returns the state of a key that has been used, or `None` for an unused key.
pub async fn find_existing(
    database: impl PgExecutor<'_>,
    key: &IdempotencyKey,
    request_hash: [u8; 32],
) -> Result<Option<ExistingKey>> {
    let known = sqlx::query!(
        r#"/* db::idempotency::find_existing */
        select request_hash, status, location, response::text as body from idempotency_keys
        where issuer = $1 and client = $2 and route = $3 and key = $4"#,
        key.issuer,
        key.client,
        key.route,
        key.key,
    );
    Ok(known.fetch_optional(database).await?.map(|known| match (known.status, known.location, known.body) {
        _ if known.request_hash != request_hash => ExistingKey::OtherRequest,
        (Some(status), Some(location), Some(body)) => ExistingKey::Replayed(StoredResponse { status, location, body }),
        _ => ExistingKey::InFlight,
    }))
}

/// Stores a response under an unused key, in the transaction of the change.
pub(super) async fn insert(
    tx: &mut PgConnection,
    key: &IdempotencyKey,
    request_hash: [u8; 32],
    answer: &StoredResponse,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::idempotency::insert */
        insert into idempotency_keys (issuer, client, route, key, request_hash, status, location, response, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8::text::json, $9)"#,
        key.issuer,
        key.client,
        key.route,
        key.key,
        request_hash.as_slice(),
        answer.status,
        answer.location,
        answer.body,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores the response under a reserved key. Returns false if the reservation was lost or the key already has a
/// response.
pub async fn complete(
    database: impl PgExecutor<'_>,
    reservation: &Reservation,
    answer: &StoredResponse,
) -> Result<bool> {
    let Reservation { key, since } = reservation;
    let kept = sqlx::query!(
        r#"/* db::idempotency::complete */
        update idempotency_keys set status = $6, location = $7, response = $8::text::json
        where issuer = $1 and client = $2 and route = $3 and key = $4 and created_at = $5 and status is null"#,
        key.issuer,
        key.client,
        key.route,
        key.key,
        since,
        answer.status,
        answer.location,
        answer.body,
    );
    Ok(kept.execute(database).await?.rows_affected() == 1)
}

/// Stores the response in the transaction of the change. Fails if another process has reserved the key, so that the
/// change is made only once.
pub(super) async fn complete_in_tx(
    tx: &mut PgConnection,
    reservation: Option<&Reservation>,
    answer: &StoredResponse,
) -> Result<()> {
    match reservation {
        Some(reservation) if !complete(tx, reservation, answer).await? => Err(DbError::ReservationLost),
        _ => Ok(()),
    }
}

/// Releases a reserved key after a request that changed nothing.
pub async fn release(pool: &PgPool, reservation: &Reservation) -> Result<()> {
    let Reservation { key, since } = reservation;
    sqlx::query!(
        r#"/* db::idempotency::release */
        delete from idempotency_keys
        where issuer = $1 and client = $2 and route = $3 and key = $4 and created_at = $5 and status is null"#,
        key.issuer,
        key.client,
        key.route,
        key.key,
        since,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes expired responses. Returns their number.
pub async fn delete_expired(pool: &PgPool, now: DateTime<Utc>) -> Result<u64> {
    let deleted = sqlx::query!(
        "/* db::idempotency::delete_expired */ delete from idempotency_keys where created_at < $1",
        now - RETENTION,
    );
    Ok(deleted.execute(pool).await?.rows_affected())
}
