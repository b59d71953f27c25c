//! The parsers, as the fuzz targets in `fuzz/` reach them. Nothing else uses this, and nobody should.

use axum::body::Body as HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use freehold_tenancy::feed::FeedType;
use freehold_tenancy::{Clock, Config};
use futures::FutureExt;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::etag::{ETag, IfMatch};
use crate::extract::{Fields, Instant, JsonFields, QueryFields};
use crate::idempotency::{self, Key};
use crate::problem::ApiError;
use crate::routes::account_mappings::export;
use crate::routes::account_mappings::format::Format;
use crate::routes::events::FeedQuery;
use crate::routes::schema::tenant::Tenant;
use crate::routes::tenants::{signup as signups, update};
use crate::{auth, middleware, pagination};

/// What a route would take out of these headers.
fn taken<T: FromRequestParts<()>>(request: Request) -> Option<T> {
    let (mut parts, _) = request.into_parts();
    T::from_request_parts(&mut parts, &()).now_or_never()?.ok()
}

fn with(headers: &HeaderMap) -> Request {
    let mut request = Request::new(HttpBody::empty());
    *request.headers_mut() = headers.clone();
    request
}

/// The media type of the format that `Accept` gets.
pub fn format(headers: &HeaderMap) -> Option<&'static str> {
    taken(with(headers)).map(Format::media_type)
}

/// The key in `Idempotency-Key`.
pub fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    taken(with(headers)).map(Key::into_text)
}

/// The tag of something that is shown like this.
pub fn etag(shown: &str) -> String {
    ETag::of(shown).header().ok().and_then(|tag| tag.to_str().ok().map(ToOwned::to_owned)).unwrap_or_default()
}

/// Whether `If-Match` allows something to be changed that is shown like this; `None` where it is missing.
pub fn if_match(headers: &HeaderMap, shown: &str) -> Option<bool> {
    taken(with(headers)).map(|tags: IfMatch| tags.check(&ETag::of(shown)).is_ok())
}

/// What a request is called that has these headers.
pub fn request_id(headers: &HeaderMap) -> String {
    middleware::request_id(headers)
}

/// The bearer token.
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    auth::bearer(headers).map(ToOwned::to_owned)
}

/// The token of the page after this row, of a list without filters.
pub fn page_token(list: &str, after: u128, position: Option<i64>) -> String {
    pagination::encode(Uuid::from_u128(after), pagination::digest(list, &Map::new()), position)
}

/// What a token of such a list says.
pub fn page_token_read(list: &str, token: &str) -> Option<(u128, Option<i64>)> {
    let read = pagination::decode(token, pagination::digest(list, &Map::new())).ok();
    read.map(|(after, position)| (after.as_u128(), position))
}

/// `after`, `page_size`, `wait` and `types` of the feed's query.
#[expect(clippy::type_complexity, reason = "it is what there is")]
pub fn feed_query(query: &str) -> Option<(Option<i64>, Option<i64>, Option<i64>, Option<Vec<FeedType>>)> {
    let QueryFields(query) = taken(Request::get(format!("/v1/events?{query}")).body(HttpBody::empty()).ok()?)?;
    let FeedQuery { after, size, wait, types, .. } = FeedQuery::read(query).ok()?;
    Some((after, size, wait, types))
}

/// An instant as the query has it.
pub fn instant(text: &str) -> Option<DateTime<Utc>> {
    text.parse().ok().map(|Instant(at)| at)
}

/// A field as the CSV has it.
pub fn csv_field(out: &mut Vec<u8>, field: &str) {
    export::put_field(out, field);
}

/// What makes two bodies the same.
pub fn request_hash(body: &Map<String, Value>) -> [u8; 32] {
    idempotency::hash(body)
}

fn fields(body: &[u8]) -> Result<Fields, ApiError> {
    let request = Request::post("/v1/tenants").header(header::CONTENT_TYPE, "application/json");
    let request = request.body(HttpBody::from(body.to_vec())).map_err(|_| ApiError::internal())?;
    let JsonFields(fields) = JsonFields::from_request(request, &()).now_or_never().ok_or_else(ApiError::internal)??;
    Ok(fields)
}

fn problem(refusal: ApiError) -> Value {
    serde_json::from_str(&refusal.body("fuzzing")).unwrap_or_default()
}

fn shown(tenant: freehold_tenancy::tenant::Tenant) -> Value {
    serde_json::to_value(Tenant::from(tenant)).unwrap_or_default()
}

/// The tenant that a signup asks for, or the problem with it.
pub fn signup(body: &[u8], config: &Config) -> Result<Value, Value> {
    let read = fields(body).and_then(|fields| signups::read(fields, config, Clock::real().now()));
    read.map(shown).map_err(problem)
}

/// The tenant of a signup before and after a patch, or the problem with the patch.
pub fn tenant_patch(patch: &[u8], signup: &[u8], config: &Config) -> Result<(Value, Value), Value> {
    let read = || {
        let before = signups::read(fields(signup)?, config, Clock::real().now())?;
        let mut after = before.clone();
        update::read(fields(patch)?, config, &before)?.apply(&mut after);
        Ok((shown(before), shown(after)))
    };
    read().map_err(problem)
}
