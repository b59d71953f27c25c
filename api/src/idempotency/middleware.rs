//! Any POST, once under its key. The key is reserved before and answered after, so that whoever dies in between leaves it to be
//! begun again: what most POSTs do is idempotent by the state of things, and the others write their answer in the transaction
//! of what they do ([`Reservation`]).

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use freehold_tenancy::db::idempotency::StoredResponse;
use freehold_tenancy::db::idempotency::{self, Reservation, ReserveResult};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{HEADER, REPLAYED, read, replay};
use crate::app::App;
use crate::auth::Caller;
use crate::problem::ApiError;

/// Routes that write their answer in the commit of the change itself.
const BY_THEMSELVES: [&str; 2] = ["createTenant", "createEnvironment"];

/// Marks an answer that was kept, without what is for one reader's eyes, in the transaction of what it says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseStored;

/// Lets a POST happen, once if it has a key.
pub(crate) async fn run_idempotent(
    app: &App,
    action: &str,
    caller: &Caller,
    parts: Parts,
    body: Vec<u8>,
    next: Next,
) -> Response {
    if parts.method != Method::POST || !parts.headers.contains_key(HEADER) || BY_THEMSELVES.contains(&action) {
        return next.run(Request::from_parts(parts, Body::from(body))).await;
    }
    match run_reserved(app, caller, parts, body, next).await {
        Ok(response) | Err(response) => response,
    }
}

async fn run_reserved(
    app: &App,
    caller: &Caller,
    mut parts: Parts,
    body: Vec<u8>,
    next: Next,
) -> Result<Response, Response> {
    let refuse = |refusal: ApiError| refusal.into_response();
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let key = read(&parts.headers).map_err(refuse)?.of(caller, &format!("POST {route}"));
    let hash = hash(parts.uri.path(), &body);
    let reserved = idempotency::reserve(&app.pool, &key, hash, app.clock.now()).await;
    match reserved.map_err(|error| refuse(error.into()))? {
        ReserveResult::Reserved(reservation) => {
            parts.extensions.insert(reservation.clone());
            let response = next.run(Request::from_parts(parts, Body::from(body))).await;
            Ok(store_response(app, &reservation, response).await)
        }
        ReserveResult::Exists(known) => replay(known).map(into_response).map_err(refuse),
    }
}

/// What makes two requests the same: the resource, and the fields of the body, whatever their order and blanks.
fn hash(path: &str, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(path);
    hash.update([0]);
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(fields)) => hash.update(super::hash(&fields)),
        _ => hash.update(body),
    }
    hash.finalize().into()
}

/// Keeps an answer that says that it was done; a refusal or a failure is not final.
async fn store_response(app: &App, reservation: &Reservation, response: Response) -> Response {
    if !response.status().is_success() {
        if let Err(error) = idempotency::release(&app.pool, reservation).await {
            tracing::warn!(%error, "an idempotency key could not be given back; it is free again after a minute");
        }
        return response;
    }
    if response.extensions().get::<ResponseStored>().is_some() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return ApiError::internal().into_response() };
    let text = if body.is_empty() { Value::Null.to_string() } else { String::from_utf8_lossy(&body).into_owned() };
    let location = parts.headers.get(header::LOCATION).and_then(|location| location.to_str().ok()).unwrap_or_default();
    let status = i16::try_from(parts.status.as_u16()).unwrap_or(200);
    let answer = StoredResponse { status, location: location.to_owned(), body: text };
    if let Err(error) = idempotency::complete(&app.pool, reservation, &answer).await {
        tracing::warn!(%error, "an answer could not be kept under its idempotency key");
    }
    Response::from_parts(parts, Body::from(body))
}

fn into_response(answer: StoredResponse) -> Response {
    let status = u16::try_from(answer.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::OK);
    let mut response = match status {
        StatusCode::NO_CONTENT => status.into_response(),
        _ => (status, [(header::CONTENT_TYPE, "application/json")], answer.body).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if let Some(location) = HeaderValue::from_str(&answer.location).ok().filter(|location| !location.is_empty()) {
        headers.insert(header::LOCATION, location);
    }
    response
}
