//! Letting tenants and environments go, and bringing them back.

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
use crate::auth::Caller;
use crate::etag::IfMatch;
use crate::extract::{PathParam, QueryFields};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// Let a tenant go
///
/// Its environments are suspended at once: nobody gets in. They can be restored until their cooling-off period ends; after
/// that their stacks are deleted, and where that was asked for and another person has approved it, their AWS accounts are
/// closed. It may be sent again.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{id}",
    operation_id = "offboardTenant",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "The tenant", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the tenant as you have seen it, where nothing is to be done if it has changed since"),
        ("close_account" = Option<bool>, Query, description = "Whether the AWS accounts are closed for good in the end; another person has to approve that"),
    ),
    responses(
        (status = 202, description = "Its environments are on their way out, an operation each", body = Tenant),
        (status = 409, description = "A legal hold is on the tenant (`legal_hold`), accounts are never closed here (`account_closing_disabled`), or it is gone already with its account left open (`tenant_offboarded`)", body = Problem, content_type = MEDIA_TYPE),
        (status = 412, description = "The tenant has changed since (`precondition_failed`); nothing was done", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn offboard_tenant(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    if_match: Option<IfMatch>,
    asked: QueryFields,
) -> Result<Response, ApiError> {
    offboard(app, caller, id.ok_or_else(ApiError::no_tenant)?, None, if_match, asked).await
}

/// Let one environment of a tenant go
///
/// As the whole tenant is let go; the other environments stay as they are.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{id}/environments/{name}",
    operation_id = "offboardEnvironment",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "The tenant", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "What the environment is called", example = "staging"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the tenant as you have seen it, where nothing is to be done if it has changed since"),
        ("close_account" = Option<bool>, Query, description = "Whether the AWS account is closed for good in the end; another person has to approve that"),
    ),
    responses(
        (status = 202, description = "The environment is on its way out", body = Tenant),
        (status = 409, description = "A legal hold is on the tenant (`legal_hold`), accounts are never closed here (`account_closing_disabled`), or it is gone already with its account left open (`tenant_offboarded`)", body = Problem, content_type = MEDIA_TYPE),
        (status = 412, description = "The tenant has changed since (`precondition_failed`); nothing was done", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn offboard_environment(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
    if_match: Option<IfMatch>,
    asked: QueryFields,
) -> Result<Response, ApiError> {
    let name = name.ok_or_else(environments::not_found)?;
    offboard(app, caller, id.ok_or_else(ApiError::no_tenant)?, Some(name), if_match, asked).await
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
            "Accounts are never closed here: close_accounts of [offboarding] says so. Leave close_account out.",
        ));
    }
    check_if_match(&app, tenant, if_match.as_ref()).await?;
    let (by, now) = (caller.requester(), app.clock.now());
    let decided = db::lifecycle::offboard(&app.pool, tenant, name.as_ref(), close, &by, now).await?;
    answer(&app, tenant, name.is_some(), decided).await
}

/// Bring a tenant back
///
/// Its environments that are in their cooling-off period become what they were, an operation each.
#[utoipa::path(
    post,
    path = "/v1/tenants/{id}/restore",
    operation_id = "restoreTenant",
    tag = "tenants",
    params(("id" = String, Path, description = "The tenant", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")),
    responses(
        (status = 202, description = "Its environments are being brought back", body = Tenant),
        (status = 409, description = "Nothing of it is in a cooling-off period (`not_restorable`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn restore_tenant(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
) -> Result<Response, ApiError> {
    restore(app, caller, id.ok_or_else(ApiError::no_tenant)?, None).await
}

/// Bring one environment of a tenant back
#[utoipa::path(
    post,
    path = "/v1/tenants/{id}/environments/{name}/restore",
    operation_id = "restoreEnvironment",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "The tenant", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "What the environment is called", example = "staging"),
    ),
    responses(
        (status = 202, description = "The environment is being brought back", body = Tenant),
        (status = 409, description = "It is not in a cooling-off period (`not_restorable`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn restore_environment(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
) -> Result<Response, ApiError> {
    let name = name.ok_or_else(environments::not_found)?;
    restore(app, caller, id.ok_or_else(ApiError::no_tenant)?, Some(name)).await
}

async fn restore(
    app: App,
    caller: Caller,
    tenant: TenantId,
    name: Option<EnvironmentName>,
) -> Result<Response, ApiError> {
    let (by, now) = (caller.requester(), app.clock.now());
    let decided = db::lifecycle::restore(&app.pool, tenant, name.as_ref(), &by, now).await?;
    answer(&app, tenant, name.is_some(), decided).await
}

async fn answer(app: &App, tenant: TenantId, named: bool, decided: LifecycleResult) -> Result<Response, ApiError> {
    match decided {
        LifecycleResult::Yes(_) => app.work_notifier.notify(),
        LifecycleResult::Unknown if named => return Err(environments::not_found()),
        LifecycleResult::Unknown => return Err(ApiError::no_tenant()),
        LifecycleResult::LegalHold(why) => return Err(ApiError::legal_hold(&why)),
        LifecycleResult::Gone => {
            return Err(ApiError::new(
                Code::TenantOffboarded,
                "It is gone already, and nobody had asked for its account to be closed. Close the account in AWS; \
                 GET /v1/account-mappings?at=… says which it was.",
            ));
        }
        LifecycleResult::Not(why) => {
            return Err(ApiError::new(Code::NotRestorable, format!("There is nothing to be restored: {why}.")));
        }
    }
    let found = db::tenants::get(&app.pool, tenant).await?.ok_or_else(ApiError::no_tenant)?;
    let location = HeaderValue::from_str(&format!("/v1/tenants/{tenant}")).map_err(|_| ApiError::internal())?;
    let headers = [(header::LOCATION, location), (header::RETRY_AFTER, HeaderValue::from_static("5"))];
    Ok((StatusCode::ACCEPTED, headers, Json(Tenant::from(found))).into_response())
}
