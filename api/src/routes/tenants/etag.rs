//! ETags and `If-Match` checks of tenants.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use freehold_tenancy::{TenantId, db, tenant};

use crate::app::App;
use crate::etag::{ETag, IfMatch};
use crate::problem::ApiError;
use crate::routes::schema::tenant::Tenant;

/// Returns the ETag of a tenant, computed from its JSON representation.
pub(super) fn compute_etag(tenant: tenant::Tenant) -> Result<ETag, ApiError> {
    serde_json::to_string(&Tenant::from(tenant)).map(|json| ETag::for_body(&json)).map_err(|_| ApiError::internal())
}

/// Fails if the request has an `If-Match` header that does not contain the current ETag of the tenant.
pub(in crate::routes) async fn check_if_match(
    app: &App,
    id: TenantId,
    if_match: Option<&IfMatch>,
) -> Result<(), ApiError> {
    let Some(if_match) = if_match else { return Ok(()) };
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::tenant_not_found)?;
    if_match.check(&compute_etag(tenant)?)
}

/// Returns a response with a tenant and its ETag.
pub(super) fn response_with_etag(tenant: &Tenant) -> Result<Response, ApiError> {
    let body = serde_json::to_string(tenant).map_err(|_| ApiError::internal())?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::ETAG, ETag::for_body(&body).header()?),
    ];
    Ok((headers, body).into_response())
}
