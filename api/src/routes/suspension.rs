//! Routes that suspend and resume a tenant, without a countdown to the deletion of its environments.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use freehold_tenancy::db::lifecycle::{LifecycleResult, NewSuspension, SuspensionResult};
use freehold_tenancy::tenant::SuspensionReason;
use freehold_tenancy::{TenantId, db};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::legal_hold::Reason;
use super::offboarding::accepted_response;
use super::schema::enums;
use super::schema::tenant::Tenant;
use super::tenants::etag::check_if_match;
use crate::app::App;
use crate::audit::{record_change, record_id};
use crate::auth::Caller;
use crate::etag::{IfMatch, precondition_failed};
use crate::extract::{JsonFields, PathParam};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// Request to suspend a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendRequest {
    /// Reason for the suspension.
    #[schema(value_type = enums::SuspensionReason, example = "non_payment")]
    pub reason: String,
    /// Details for your staff, 1 to 500 characters; required with the reason `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Invoice 4711 is two months overdue.", min_length = 1, max_length = 500)]
    pub note: Option<String>,
}

/// Request to end the suspension of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// Reason, as a sentence of 1 to 500 characters.
    #[schema(example = "Invoice 4711 is paid.", min_length = 1, max_length = 500)]
    pub reason: String,
}

/// Suspend a tenant
///
/// The accounts of all environments are moved to quarantine and all access is revoked, as at the start of an
/// offboarding, but nothing is deleted. Replaces open operations except offboardings; an onboarding in progress
/// continues when the tenant is resumed. If the tenant is suspended already, only reason and note change. A legal hold
/// does not prevent the suspension. The suspension ends only when the tenant is resumed.
#[utoipa::path(
    post,
    path = "/v1/tenants/{id}/suspend",
    operation_id = "suspendTenant",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        (
            "If-Match" = Option<String>, Header,
            description = "ETag from your last read of the tenant; the request is refused if the tenant has changed \
                since then"
        ),
    ),
    request_body = SuspendRequest,
    responses(
        (status = 202, description = "One operation per environment suspends it", body = Tenant),
        (
            status = 409,
            description = "The tenant is offboarded (`tenant_offboarded`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 412,
            description = "The tenant has changed since you read the ETag (`precondition_failed`); nothing was changed",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn suspend_tenant(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    if_match: Option<IfMatch>,
    JsonFields(mut fields): JsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::tenant_not_found)?;
    let reason: Option<SuspensionReason> = fields.required("reason");
    let is_note_missing = !fields.has_value("note") && reason == Some(SuspensionReason::Other);
    let note = fields.optional("note").map(|Reason(note)| note);
    if is_note_missing {
        fields.error("note", "missing", "must be given with the reason `other`");
    }
    let new = fields.finish(reason.map(|reason| NewSuspension { reason, note }))?;
    let expected = check_if_match(&app, id, if_match.as_ref()).await?;
    let (by, now) = (caller.requester(), app.clock.now());
    let result = db::lifecycle::suspend(&app.pool, id, &new, expected, &by, now).await?;
    respond(&app, id, result, Some(new.reason)).await
}

/// Resume a suspended tenant
///
/// The accounts are moved back, the access is assigned again, and each environment is verified before it is `ready`. An
/// environment that is being offboarded is not resumed, but it can be restored from now on. Also succeeds if the tenant
/// is not suspended.
#[utoipa::path(
    post,
    path = "/v1/tenants/{id}/resume",
    operation_id = "resumeTenant",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        (
            "If-Match" = Option<String>, Header,
            description = "ETag from your last read of the tenant; the request is refused if the tenant has changed \
                since then"
        ),
    ),
    request_body = ResumeRequest,
    responses(
        (status = 202, description = "One operation per environment ends the suspension", body = Tenant),
        (
            status = 409,
            description = "The suspension still searches for an account that was being created \
                (`operation_in_progress`); repeat the request when the named operation has ended",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 412,
            description = "The tenant has changed since you read the ETag (`precondition_failed`); nothing was changed",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn resume_tenant(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    if_match: Option<IfMatch>,
    JsonFields(mut fields): JsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::tenant_not_found)?;
    let reason: Option<Reason> = fields.required("reason");
    let Reason(reason) = fields.finish(reason)?;
    let expected = check_if_match(&app, id, if_match.as_ref()).await?;
    let (by, now) = (caller.requester(), app.clock.now());
    let result = db::lifecycle::resume(&app.pool, id, &reason, expected, &by, now).await?;
    respond(&app, id, result, None).await
}

async fn respond(
    app: &App,
    tenant: TenantId,
    SuspensionResult { result, before }: SuspensionResult,
    after: Option<SuspensionReason>,
) -> Result<Response, ApiError> {
    match result {
        LifecycleResult::Started(operations) => {
            operations.iter().for_each(record_id);
            record_change("suspension", before, after);
            accepted_response(app, tenant).await
        }
        LifecycleResult::Outdated => Err(precondition_failed()),
        LifecycleResult::AlreadyOffboarded => {
            Err(ApiError::new(Code::TenantOffboarded, "The tenant is offboarded, so there is nothing to suspend."))
        }
        LifecycleResult::Busy(id) => Err(ApiError::new(
            Code::OperationInProgress,
            format!(
                "The operation {id} (suspend) still searches for an account that was being created. Repeat the request \
                 when this operation has ended."
            ),
        )
        .with_operation(id)),
        _ => Err(ApiError::tenant_not_found()),
    }
}
