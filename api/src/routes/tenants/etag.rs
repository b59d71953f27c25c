//! ETags and `If-Match` checks of tenants.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use freehold_tenancy::{Config, TenantId, db, tenant};

use crate::app::App;
use crate::etag::{ETag, IfMatch};
use crate::problem::ApiError;
use crate::routes::schema::tenant::Tenant;

/// Returns the ETag of a tenant, computed from its JSON representation.
pub(in crate::routes) fn compute_etag(tenant: tenant::Tenant, config: &Config) -> Result<ETag, ApiError> {
    serde_json::to_string(&Tenant::of(tenant, config))
        .map(|json| ETag::for_body(&json))
        .map_err(|_| ApiError::internal())
}

/// Fails if the request has an `If-Match` header that does not contain the current ETag of the tenant. Otherwise
/// returns the time of the last change of the tenant, or `None` if the request has no such header or accepts each
/// version.
pub(in crate::routes) async fn check_if_match(
    app: &App,
    id: TenantId,
    if_match: Option<&IfMatch>,
) -> Result<Option<DateTime<Utc>>, ApiError> {
    let Some(if_match) = if_match else { return Ok(None) };
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::tenant_not_found)?;
    let updated_at = tenant.updated_at;
    if_match.check(&compute_etag(tenant, &app.config)?)?;
    Ok((!if_match.is_any()).then_some(updated_at))
}

/// Returns a response with a tenant and its ETag.
pub(super) fn response_with_etag(tenant: tenant::Tenant, config: &Config) -> Result<Response, ApiError> {
    let body = serde_json::to_string(&Tenant::of(tenant, config)).map_err(|_| ApiError::internal())?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::ETAG, ETag::for_body(&body).header()?),
    ];
    Ok((headers, body).into_response())
}
