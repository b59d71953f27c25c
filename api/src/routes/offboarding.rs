//! Routes that offboard and restore tenants and environments.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use freehold_tenancy::config::CloseAccounts;
use freehold_tenancy::db::lifecycle::LifecycleResult;
use freehold_tenancy::{EnvironmentName, TenantId, db};

use super::environments;
use super::schema::tenant::Tenant;
use super::tenants::etag::check_if_match;
use crate::app::App;
use crate::audit::record_id;
use crate::auth::Caller;
use crate::etag::{IfMatch, precondition_failed};
use crate::extract::{PathParam, QueryFields};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// Offboard a tenant
///
/// The environments are suspended at once: all access is blocked. They can be restored until their cooling-off period
/// ends; then their stacks are deleted. Their AWS accounts are closed if `close_account` was set and a second person
/// has approved. Repeating the request is safe.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{id}",
    operation_id = "offboardTenant",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        (
            "If-Match" = Option<String>, Header,
            description = "ETag from your last read of the tenant; the request is refused if the tenant has changed \
                since then"
        ),
        (
            "close_account" = Option<bool>, Query,
            description = "Close the AWS accounts permanently at the end; a second person must approve"
        ),
    ),
    responses(
        (status = 202, description = "One offboarding operation per environment is started", body = Tenant),
        (
            status = 409,
            description = "The tenant is under a legal hold (`legal_hold`), closing accounts is disabled \
                (`account_closing_disabled`), or `close_account` is set for an environment that was already \
                offboarded without it (`tenant_offboarded`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 412,
            description = "The tenant has changed since you read the ETag (`precondition_failed`); nothing was changed",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn offboard_tenant(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    if_match: Option<IfMatch>,
    query: QueryFields,
) -> Result<Response, ApiError> {
    offboard(app, caller, id.ok_or_else(ApiError::tenant_not_found)?, None, if_match, query).await
}

/// Offboard one environment of a tenant
///
/// The other environments are not affected.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{id}/environments/{name}",
    operation_id = "offboardEnvironment",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "Name of the environment", example = "staging"),
        (
            "If-Match" = Option<String>, Header,
            description = "ETag from your last read of the tenant; the request is refused if the tenant has changed \
                since then"
        ),
        (
            "close_account" = Option<bool>, Query,
            description = "Close the AWS account permanently at the end; a second person must approve"
        ),
    ),
    responses(
        (status = 202, description = "The offboarding operation is started", body = Tenant),
        (
            status = 409,
            description = "The tenant is under a legal hold (`legal_hold`), closing accounts is disabled \
                (`account_closing_disabled`), or `close_account` is set for an environment that was already \
                offboarded without it (`tenant_offboarded`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 412,
            description = "The tenant has changed since you read the ETag (`precondition_failed`); nothing was changed",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn offboard_environment(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
    if_match: Option<IfMatch>,
    query: QueryFields,
) -> Result<Response, ApiError> {
    let name = name.ok_or_else(environments::not_found)?;
    offboard(app, caller, id.ok_or_else(ApiError::tenant_not_found)?, Some(name), if_match, query).await
}

async fn offboard(
    app: App,
    caller: Caller,
    tenant: TenantId,
    name: Option<EnvironmentName>,
    if_match: Option<IfMatch>,
    QueryFields(mut query): QueryFields,
) -> Result<Response, ApiError> {
    let close: Option<bool> = query.optional("close_account");
    let close = query.finish(Some(close.unwrap_or(false)))?;
    if close && app.config.offboarding.close_accounts == CloseAccounts::Never {
        return Err(ApiError::new(
            Code::AccountClosingDisabled,
            "Closing accounts is disabled by offboarding.close_accounts. Omit close_account.",
        ));
    }
    check_if_match(&app, tenant, if_match.as_ref()).await?;
    let (by, now) = (caller.requester(), app.clock.now());
    let initiator = caller.initiator();
    let result = db::lifecycle::offboard(&app.pool, tenant, name.as_ref(), close, &by, initiator, now).await?;
    respond(&app, tenant, name.is_some(), result).await
}

/// Restore a tenant
///
/// Starts a restore operation for each environment in its cooling-off period. A token of the tenant restores only what
/// such a token has offboarded.
#[utoipa::path(
    post,
    path = "/v1/tenants/{id}/restore",
    operation_id = "restoreTenant",
    tag = "tenants",
    params(("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")),
    responses(
        (status = 202, description = "One restore operation per environment is started", body = Tenant),
        (
            status = 403,
            description = "An operator has started the offboarding (`started_by_operator`), or the token lacks the \
                scope",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 409,
            description = "No environment is in its cooling-off period (`not_restorable`), or the tenant is suspended \
                and must be resumed first (`tenant_suspended`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn restore_tenant(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
) -> Result<Response, ApiError> {
    restore(app, caller, id.ok_or_else(ApiError::tenant_not_found)?, None).await
}

/// Restore one environment of a tenant
///
/// A token of the tenant restores only what such a token has offboarded.
#[utoipa::path(
    post,
    path = "/v1/tenants/{id}/environments/{name}/restore",
    operation_id = "restoreEnvironment",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "Name of the environment", example = "staging"),
    ),
    responses(
        (status = 202, description = "The restore operation is started", body = Tenant),
        (
            status = 403,
            description = "An operator has started the offboarding (`started_by_operator`), or the token lacks the \
                scope",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 409,
            description = "The environment is not in its cooling-off period (`not_restorable`), or the tenant is \
                suspended and must be resumed first (`tenant_suspended`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn restore_environment(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
) -> Result<Response, ApiError> {
    let name = name.ok_or_else(environments::not_found)?;
    restore(app, caller, id.ok_or_else(ApiError::tenant_not_found)?, Some(name)).await
}

async fn restore(
    app: App,
    caller: Caller,
    tenant: TenantId,
    name: Option<EnvironmentName>,
) -> Result<Response, ApiError> {
    let (by, now) = (caller.requester(), app.clock.now());
    let result = db::lifecycle::restore(&app.pool, tenant, name.as_ref(), &by, caller.initiator(), now).await?;
    respond(&app, tenant, name.is_some(), result).await
}

async fn respond(app: &App, tenant: TenantId, named: bool, result: LifecycleResult) -> Result<Response, ApiError> {
    match result {
        LifecycleResult::Started(operations) => operations.iter().for_each(record_id),
        LifecycleResult::NotFound if named => return Err(environments::not_found()),
        LifecycleResult::NotFound => return Err(ApiError::tenant_not_found()),
        LifecycleResult::Outdated => return Err(precondition_failed()),
        LifecycleResult::LegalHold(reason) => return Err(ApiError::legal_hold(&reason)),
        LifecycleResult::AlreadyOffboarded => {
            return Err(ApiError::new(
                Code::TenantOffboarded,
                "The environment is already offboarded, without close_account. Close the account in AWS; \
                 the account mappings at a time before show the account id.",
            ));
        }
        LifecycleResult::Suspended => {
            return Err(ApiError::new(
                Code::TenantSuspended,
                "The tenant is suspended. An operator must resume it before its environments can be restored.",
            ));
        }
        LifecycleResult::ReservedForOperator => {
            return Err(ApiError::new(
                Code::StartedByOperator,
                "An operator has started the offboarding, so only an operator can restore the environment.",
            ));
        }
        LifecycleResult::Busy(id) => {
            let detail = format!("The operation {id} must end first.");
            return Err(ApiError::new(Code::OperationInProgress, detail).with_operation(id));
        }
        LifecycleResult::NotAllowed(reason) => {
            return Err(ApiError::new(Code::NotRestorable, format!("The environment cannot be restored: {reason}.")));
        }
    }
    accepted_response(app, tenant).await
}

/// Notifies the workers of new operations, and responds with `202 Accepted` and the current state of the tenant.
pub(super) async fn accepted_response(app: &App, tenant: TenantId) -> Result<Response, ApiError> {
    app.work_notifier.notify();
    let current = db::tenants::get(&app.pool, tenant).await?.ok_or_else(ApiError::tenant_not_found)?;
    let location = HeaderValue::from_str(&format!("/v1/tenants/{tenant}")).map_err(|_| ApiError::internal())?;
    let headers = [(header::LOCATION, location), (header::RETRY_AFTER, HeaderValue::from_static("5"))];
    Ok((StatusCode::ACCEPTED, headers, Json(Tenant::of(current, &app.config))).into_response())
}
