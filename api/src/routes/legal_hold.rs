//! Routes for legal holds, which forbid deleting the resources of a tenant.

use axum::Json;
use axum::extract::State;
use freehold_tenancy::db::lifecycle::LegalHoldResult;
use freehold_tenancy::{TenantId, db};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema::tenant::Tenant;
use super::tenants::etag::check_if_match;
use crate::app::App;
use crate::audit::record_change;
use crate::etag::{IfMatch, precondition_failed};
use crate::extract::{JsonFields, PathParam};
use crate::problem::{ApiError, MEDIA_TYPE, Problem};

/// Legal hold: no data or account of the tenant is deleted or closed until the hold is lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegalHold {
    /// Reason, as a sentence of 1 to 500 characters.
    #[schema(example = "Records are to be kept for case 4711.", min_length = 1, max_length = 500)]
    pub reason: String,
}

/// Set a legal hold on a tenant
///
/// From now on the tenant cannot be offboarded. Offboarding operations already in progress pause before they destroy
/// anything.
#[utoipa::path(
    put,
    path = "/v1/tenants/{id}/legal-hold",
    operation_id = "setLegalHold",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        (
            "If-Match" = Option<String>, Header,
            description = "ETag from your last read of the tenant; the request is refused if the tenant has changed \
                since then"
        ),
    ),
    request_body = LegalHold,
    responses(
        (status = 200, description = "The legal hold is set", body = Tenant),
        (
            status = 412,
            description = "The tenant has changed since you read the ETag (`precondition_failed`); nothing was changed",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn set_legal_hold(
    State(app): State<App>,
    PathParam(id): PathParam<TenantId>,
    if_match: Option<IfMatch>,
    JsonFields(mut fields): JsonFields,
) -> Result<Json<Tenant>, ApiError> {
    let reason: Option<Reason> = fields.required("reason");
    let Reason(reason) = fields.finish(reason)?;
    update_legal_hold(app, id, if_match, Some(reason)).await
}

/// Lift a legal hold
///
/// Needs the scope `legal-holds:lift` in addition to `tenants:delete`. Also succeeds if the tenant has no legal hold.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{id}/legal-hold",
    operation_id = "liftLegalHold",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        (
            "If-Match" = Option<String>, Header,
            description = "ETag from your last read of the tenant; the request is refused if the tenant has changed \
                since then"
        ),
    ),
    responses(
        (status = 200, description = "The tenant has no legal hold", body = Tenant),
        (
            status = 412,
            description = "The tenant has changed since you read the ETag (`precondition_failed`); nothing was changed",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn lift_legal_hold(
    State(app): State<App>,
    PathParam(id): PathParam<TenantId>,
    if_match: Option<IfMatch>,
) -> Result<Json<Tenant>, ApiError> {
    update_legal_hold(app, id, if_match, None).await
}

async fn update_legal_hold(
    app: App,
    id: Option<TenantId>,
    if_match: Option<IfMatch>,
    reason: Option<String>,
) -> Result<Json<Tenant>, ApiError> {
    let id = id.ok_or_else(ApiError::tenant_not_found)?;
    let expected = check_if_match(&app, id, if_match.as_ref()).await?;
    match db::lifecycle::set_legal_hold(&app.pool, id, reason.as_deref(), expected, app.clock.now()).await? {
        LegalHoldResult::Written { before } => record_change("legal_hold", before, reason),
        LegalHoldResult::Outdated => return Err(precondition_failed()),
        LegalHoldResult::NotFound => return Err(ApiError::tenant_not_found()),
    }
    app.work_notifier.notify();
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::tenant_not_found)?;
    Ok(Json(Tenant::of(tenant, &app.config)))
}

/// Reason that a person gives for an action.
pub(super) struct Reason(pub(super) String);

impl std::str::FromStr for Reason {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let is_valid = (1..=500).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        is_valid.then(|| Self(text.to_owned())).ok_or("must have 1 to 500 characters and no control characters")
    }
}
