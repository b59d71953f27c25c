//! Route that upgrades the baseline of an environment.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use freehold_tenancy::baseline::BaselineVersion;
use freehold_tenancy::db::lifecycle::UpgradeResult;
use freehold_tenancy::{EnvironmentName, TenantId, db};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::environments;
use crate::app::App;
use crate::audit::record_change;
use crate::auth::Caller;
use crate::extract::PathParam;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// Upgrade of the baseline of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BaselineUpgrade {
    /// Version of the environment's baseline.
    #[schema(example = "1")]
    pub version: String,
    /// Version that this installation installs with its configuration.
    #[schema(example = "1-3f2a9c01b4d7")]
    pub target_version: String,
    /// Id of the operation that upgrades the baseline; `null` if the baseline needs no upgrade.
    #[schema(required = true, example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub operation_id: Option<String>,
}

/// Upgrade the baseline of an environment
///
/// The baseline is the stack with the roles of Freehold in the account; the permissions in `access_role.statements` of
/// the configuration are part of it. The environment stays `ready` meanwhile. If the update fails, CloudFormation rolls
/// it back, the operation ends as `failed` with the cause in `failure`, and the environment continues to serve. While
/// an upgrade is open, another request returns the same operation.
#[utoipa::path(
    post,
    path = "/v1/tenants/{id}/environments/{name}/baseline-upgrades",
    operation_id = "upgradeBaseline",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "Name of the environment", example = "production"),
    ),
    responses(
        (status = 200, description = "The baseline needs no upgrade; nothing was started", body = BaselineUpgrade),
        (status = 202, description = "The operation is started", body = BaselineUpgrade, headers(
            ("Location" = String, description = "Path of the operation"),
            ("Retry-After" = u32, description = "Seconds after which to poll"),
        )),
        (
            status = 409,
            description = "Another operation on the environment is open (`operation_in_progress`), or the environment \
                is not ready (`environment_not_ready`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn upgrade_baseline(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::tenant_not_found)?;
    let name = name.ok_or_else(environments::not_found)?;
    let target = BaselineVersion::current(&app.config.access_role);
    let (by, now) = (caller.requester(), app.clock.now());
    match db::lifecycle::open_baseline_upgrade(&app.pool, id, &name, &target, &by, now).await? {
        UpgradeResult::Started { operation, from } | UpgradeResult::AlreadyOpen { operation, from } => {
            record_change("baseline_version", from.to_string(), target.to_string());
            app.work_notifier.notify();
            let location = format!("/v1/operations/{operation}");
            let mut response = respond(StatusCode::ACCEPTED, &location, &from, &target, Some(operation.to_string()))?;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            Ok(response)
        }
        UpgradeResult::Current(from) => {
            respond(StatusCode::OK, &format!("/v1/tenants/{id}/environments/{name}"), &from, &target, None)
        }
        UpgradeResult::Busy { operation, kind } => Err(ApiError::operation_in_progress(operation, kind)),
        UpgradeResult::NotReady(state) => Err(ApiError::new(
            Code::EnvironmentNotReady,
            format!("The environment is {state}; only the baseline of a ready environment can be upgraded."),
        )),
        UpgradeResult::NotFound => Err(environments::missing(&app, id).await?),
    }
}

fn respond(
    status: StatusCode,
    location: &str,
    from: &BaselineVersion,
    target: &BaselineVersion,
    operation_id: Option<String>,
) -> Result<Response, ApiError> {
    let location = HeaderValue::from_str(location).map_err(|_| ApiError::internal())?;
    let (version, target_version) = (from.to_string(), target.to_string());
    let body = Json(BaselineUpgrade { version, target_version, operation_id });
    Ok((status, [(header::LOCATION, location)], body).into_response())
}
