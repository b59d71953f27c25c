//! The ETag of a tenant.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use freehold_tenancy::{TenantId, db, tenant};

use crate::app::App;
use crate::etag::{ETag, IfMatch};
use crate::problem::ApiError;
use crate::routes::schema::tenant::Tenant;

/// What names the state that a tenant is in: how it is shown.
pub(super) fn etag_of(tenant: tenant::Tenant) -> Result<ETag, ApiError> {
    serde_json::to_string(&Tenant::from(tenant)).map(|shown| ETag::of(&shown)).map_err(|_| ApiError::internal())
}

/// Lets something be done to a tenant, if that is still what the caller has seen, or says nothing of what that was.
pub(in crate::routes) async fn check_if_match(app: &App, id: TenantId, seen: Option<&IfMatch>) -> Result<(), ApiError> {
    let Some(seen) = seen else { return Ok(()) };
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::no_tenant)?;
    seen.check(&etag_of(tenant)?)
}

/// A tenant with its ETag.
pub(super) fn with_etag(tenant: &Tenant) -> Result<Response, ApiError> {
    let body = serde_json::to_string(tenant).map_err(|_| ApiError::internal())?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::ETAG, ETag::of(&body).header()?),
    ];
    Ok((headers, body).into_response())
}
