//! Reservation of idempotency keys. The key of a POST is reserved before the handler runs, and completed with the
//! response afterwards. A reservation expires, so that the key can be used again if the process crashes in between. The
//! handler may then run a second time. Most POST handlers are idempotent because they check the state in the database;
//! the others complete the [`Reservation`] in their own transaction.

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::idempotency::{self, Reservation, ReserveResult, StoredResponse};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::key::{self, IDEMPOTENCY_KEY_HEADER};
use super::response::{mark_as_replayed, to_http_response};
use crate::auth::Caller;
use crate::problem::ApiError;

/// Result of reserving an idempotency key.
pub(crate) enum ReservedKey {
    Reserved(Reservation),
    /// The request was completed before; contains the stored response.
    Replayed(Response),
}

/// Returns whether the request is a POST with an idempotency key.
pub(crate) fn has_key(parts: &Parts) -> bool {
    parts.method == Method::POST && parts.headers.contains_key(IDEMPOTENCY_KEY_HEADER)
}

/// Reserves the idempotency key of a request for this caller and route.
///
/// Fails if the key is invalid, if it was used for a different request, or if its request is still running.
pub(crate) async fn reserve(
    pool: &PgPool,
    caller: &Caller,
    parts: &Parts,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<ReservedKey, ApiError> {
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let key = key::parse_header(&parts.headers)?.into_stored_key(caller, &format!("POST {route}"));
    match idempotency::reserve(pool, &key, hash(parts.uri.path(), body), now).await? {
        ReserveResult::Reserved(reservation) => Ok(ReservedKey::Reserved(reservation)),
        ReserveResult::Exists(existing) => {
            let stored = key::stored_response(existing)?;
            Ok(ReservedKey::Replayed(mark_as_replayed(to_http_response(stored))))
        }
    }
}

/// Returns the hash of the path and body of a request. The order of fields and white space do not affect the hash.
fn hash(path: &str, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(path);
    hash.update([0]);
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(fields)) => hash.update(key::hash(&fields)),
        _ => hash.update(body),
    }
    hash.finalize().into()
}

/// Releases the idempotency key of a request that was refused or failed, so that a retry runs the handler again.
pub(crate) async fn release(pool: &PgPool, reservation: &Reservation) {
    if let Err(error) = idempotency::release(pool, reservation).await {
        tracing::warn!(%error, "cannot release an idempotency key; the reservation expires after a minute");
    }
}

/// Stores a successful response with its idempotency key.
pub(crate) async fn store_response(pool: &PgPool, reservation: &Reservation, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return ApiError::internal().into_response() };
    let text = if body.is_empty() { Value::Null.to_string() } else { String::from_utf8_lossy(&body).into_owned() };
    let location = parts.headers.get(header::LOCATION).and_then(|location| location.to_str().ok()).unwrap_or_default();
    let status = i16::try_from(parts.status.as_u16()).unwrap_or(200);
    let stored = StoredResponse { status, location: location.to_owned(), body: text };
    if let Err(error) = idempotency::complete(pool, reservation, &stored).await {
        tracing::warn!(%error, "cannot store a response under its idempotency key");
    }
    Response::from_parts(parts, Body::from(body))
}
