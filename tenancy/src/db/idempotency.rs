//! Answers under an Idempotency-Key: what is known of a request, and reserving the key of one whose change is written elsewhere
//! than its answer.

use super::{DbError, PgPool, Result};
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgExecutor};

/// How long answers are kept.
const RETENTION: TimeDelta = TimeDelta::days(7);

/// Whoever has worked on a request for so long has died.
const RESERVATION_TIMEOUT: TimeDelta = TimeDelta::minutes(1);

/// The key under which a request is made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Who issued the caller's token.
    pub issuer: String,
    /// Which client of that issuer asks, or which tenant's users of it.
    pub client: String,
    /// Method and path: `POST /v1/tenants`.
    pub route: String,
    /// The key itself, without quotes.
    pub key: String,
}

impl IdempotencyKey {
    /// What the advisory lock is taken on.
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

/// An answer as it is given, and given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The HTTP status.
    pub status: i16,
    /// The `Location` header.
    pub location: String,
    /// The body, to the letter.
    pub body: String,
}

/// What is known of a request whose key has been used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExistingKey {
    /// It was answered before.
    Replayed(StoredResponse),
    /// The key was used for another request.
    OtherRequest,
    /// It is being worked on right now.
    InFlight,
}

/// What became of a wish to begin a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReserveResult {
    /// It may begin, and nobody else will begin it for a minute.
    Reserved(Reservation),
    /// It may not: its key has been used.
    Exists(ExistingKey),
}

/// A key under which one process works on a request. Should that take it more than a minute, another may have begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    key: IdempotencyKey,
    since: DateTime<Utc>,
}

/// Reserves `key` for a request, unless it was used before.
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
        // It was given back just now.
    }
}

/// What is known of a request, where its key has been used.
pub(super) async fn find_existing(
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

/// Stores a response under a key that has not been used; within the transaction of the change that is answered.
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

/// Keeps the answer under a reserved key; answers whether that is still reserved, and not answered yet.
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

/// Keeps the answer in the transaction of what is answered; fails where somebody else has begun the same request meanwhile, so
/// that it is not done twice.
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

/// Gives a reserved key back: nothing was done under it.
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

/// Forgets the answers whose time is over.
pub async fn delete_expired(pool: &PgPool, now: DateTime<Utc>) -> Result<u64> {
    let forgotten = sqlx::query!(
        "/* db::idempotency::delete_expired */ delete from idempotency_keys where created_at < $1",
        now - RETENTION,
    );
    Ok(forgotten.execute(pool).await?.rows_affected())
}
