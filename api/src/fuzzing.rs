//! Parser functions for the fuzz targets in `fuzz/`. No other code may use this module.

use axum::body::Body as HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use freehold_tenancy::feed::FeedType;
use freehold_tenancy::needed_types::NeededTypes;
use freehold_tenancy::{Clock, Config};
use futures::FutureExt;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::etag::{ETag, IfMatch};
use crate::extract::{Fields, Instant, JsonFields, QueryFields};
use crate::idempotency::{self, Key};
use crate::problem::ApiError;
use crate::routes::account_mappings::csv;
use crate::routes::account_mappings::format::Format;
use crate::routes::events::FeedQuery;
use crate::routes::region_rules::RegionRules;
use crate::routes::schema::tenant::Tenant;
use crate::routes::tenants::{signup as signups, update};
use crate::{auth, middleware, pagination};

fn extract<T: FromRequestParts<()>>(request: Request) -> Option<T> {
    let (mut parts, _) = request.into_parts();
    T::from_request_parts(&mut parts, &()).now_or_never()?.ok()
}

fn request_with(headers: &HeaderMap) -> Request {
    let mut request = Request::new(HttpBody::empty());
    *request.headers_mut() = headers.clone();
    request
}

/// Returns the media type that the `Accept` header selects.
pub fn select_format(headers: &HeaderMap) -> Option<&'static str> {
    extract(request_with(headers)).map(Format::media_type)
}

/// Parses the `Idempotency-Key` header.
pub fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    extract(request_with(headers)).map(Key::into_text)
}

/// Returns the ETag of a resource with this body.
pub fn etag(body: &str) -> String {
    ETag::for_body(body).header().ok().and_then(|tag| tag.to_str().ok().map(ToOwned::to_owned)).unwrap_or_default()
}

/// Returns whether the `If-Match` header allows changing a resource with this body, or `None` without the header.
pub fn if_match(headers: &HeaderMap, body: &str) -> Option<bool> {
    extract(request_with(headers)).map(|tags: IfMatch| tags.check(&ETag::for_body(body)).is_ok())
}

/// Returns the id of a request with these headers.
pub fn request_id(headers: &HeaderMap) -> String {
    middleware::request_id(headers)
}

/// Returns the bearer token in the `Authorization` header.
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    auth::bearer(headers).map(ToOwned::to_owned)
}

/// Returns the page token for the rows after the row with the id `after`, in a list without filters.
pub fn page_token(list: &str, after: u128, position: Option<i64>) -> String {
    pagination::encode(Uuid::from_u128(after), pagination::digest(list, &Map::new()), position)
}

/// Parses the page token of a list without filters.
pub fn parse_page_token(list: &str, token: &str) -> Option<(u128, Option<i64>)> {
    let read = pagination::decode(token, pagination::digest(list, &Map::new())).ok();
    read.map(|(after, position)| (after.as_u128(), position))
}

/// Parses `after`, `page_size`, `wait` and `types` of the feed's query.
#[expect(clippy::type_complexity, reason = "used once")]
pub fn feed_query(query: &str) -> Option<(Option<i64>, Option<i64>, Option<i64>, Option<Vec<FeedType>>)> {
    let QueryFields(query) = extract(Request::get(format!("/v1/events?{query}")).body(HttpBody::empty()).ok()?)?;
    let FeedQuery { after, size, wait, types, .. } = FeedQuery::from_query(query).ok()?;
    Some((after, size, wait, types))
}

/// Parses a time in RFC 3339 format.
pub fn instant(text: &str) -> Option<DateTime<Utc>> {
    text.parse().ok().map(|Instant(at)| at)
}

/// Writes a row of the CSV export.
pub fn write_csv_row(out: &mut Vec<u8>, fields: &[&str]) {
    csv::write_csv_row(out, fields.iter().copied());
}

/// Returns the hash of a request body.
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

fn tenant_json(tenant: freehold_tenancy::tenant::Tenant, config: &Config) -> Value {
    serde_json::to_value(Tenant::of(tenant, config)).unwrap_or_default()
}

fn parse_signup(fields: Fields, config: &Config) -> Result<freehold_tenancy::tenant::Tenant, ApiError> {
    let types = NeededTypes::default();
    signups::parse_signup(fields, RegionRules { config, types: &types }, Clock::real().now())
}

/// Parses a signup and returns the tenant, or the problem if the signup is invalid.
pub fn signup(body: &[u8], config: &Config) -> Result<Value, Value> {
    let read = fields(body).and_then(|fields| parse_signup(fields, config));
    read.map(|tenant| tenant_json(tenant, config)).map_err(problem)
}

/// Returns the tenant of a signup before and after a patch, or the problem if one of them is invalid.
pub fn tenant_patch(patch: &[u8], signup: &[u8], config: &Config) -> Result<(Value, Value), Value> {
    let read = || {
        let before = parse_signup(fields(signup)?, config)?;
        let mut after = before.clone();
        update::parse_patch(fields(patch)?, config, &before)?.apply(&mut after);
        Ok((tenant_json(before, config), tenant_json(after, config)))
    };
    read().map_err(problem)
}
