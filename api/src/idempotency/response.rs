//! Conversion of stored responses into HTTP responses.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::idempotency::{IdempotencyKey, StoredResponse, find_existing};

use super::key::stored_response;
use crate::problem::ApiError;

/// Header that marks a response as replayed from the database.
const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotency-replayed");

/// `Retry-After` value of an accepted request, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Returns the `202 Accepted` response of a request that a worker completes later.
pub(crate) fn accepted_response(stored: StoredResponse) -> Response {
    let mut response = to_http_response(stored);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

/// Returns the stored response of a request that was accepted before under the same key, and otherwise the `refusal`.
///
/// A repeated request gets its first response even if the configuration has changed since then and the request would
/// now be refused. The key is searched only after a refusal, so that it costs accepted requests no time.
pub(crate) async fn replay_or_refuse(
    pool: &PgPool,
    key: &IdempotencyKey,
    request_hash: [u8; 32],
    refusal: ApiError,
) -> Result<Response, ApiError> {
    match find_existing(pool, key, request_hash).await? {
        Some(existing) => Ok(mark_as_replayed(accepted_response(stored_response(existing)?))),
        None => Err(refusal),
    }
}

/// Adds the header that marks a response as replayed.
pub(crate) fn mark_as_replayed(mut response: Response) -> Response {
    response.headers_mut().insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    response
}

pub(crate) fn is_replayed(response: &Response) -> bool {
    response.headers().contains_key(REPLAYED_HEADER)
}

pub(super) fn to_http_response(stored: StoredResponse) -> Response {
    let status = u16::try_from(stored.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::OK);
    let mut response = match status {
        StatusCode::NO_CONTENT => status.into_response(),
        _ => (status, [(header::CONTENT_TYPE, "application/json")], stored.body).into_response(),
    };
    if let Some(location) = HeaderValue::from_str(&stored.location).ok().filter(|location| !location.is_empty()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
