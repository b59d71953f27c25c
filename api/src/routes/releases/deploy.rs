//! Routes that preview a release in an environment, and update an environment to a release.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use freehold_tenancy::config::OWN_STACK_PARAMETERS;
use freehold_tenancy::db::lifecycle::{self, UpdateRequest, UpdateResult};
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::{EnvironmentId, EnvironmentName, OperationId, ReleaseId, TenantId};

use super::schema::{NewPreview, NewUpdate, ReleaseOperation};
use super::{content, not_found, not_ready};
use crate::app::App;
use crate::audit::record_id;
use crate::auth::Caller;
use crate::extract::{JsonFields, PathParam};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use crate::routes::environments;
use crate::routes::legal_hold::Reason;

/// Preview a release in an environment
///
/// An operation creates a change set in each region, reads it and deletes it. The result of the operation lists the
/// resources that an update would add, modify, replace or remove. Nothing is changed.
#[utoipa::path(
    post,
    path = "/v1/releases/{id}/preview",
    operation_id = "previewRelease",
    tag = "releases",
    params(("id" = String, Path, description = "Release id", example = "rel_01k2m8v3x9e7rt4s5q6w7y8z9a")),
    request_body = NewPreview,
    responses(
        (status = 202, description = "The operation is started", body = ReleaseOperation, headers(
            ("Location" = String, description = "Path of the operation"),
            ("Retry-After" = u32, description = "Seconds after which to poll"),
        )),
        (
            status = 409,
            description = "The release is not ready (`release_not_ready`), another operation on the environment is \
                open (`operation_in_progress`), or the environment is not ready (`environment_not_ready`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn preview_release(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<ReleaseId>,
    JsonFields(mut fields): JsonFields,
) -> Result<Response, ApiError> {
    let release = id.ok_or_else(not_found)?;
    let environment: Option<EnvironmentId> = fields.required("environment_id");
    let environment = fields.finish(environment)?;
    let (by, now) = (caller.requester(), app.clock.now());
    let result = lifecycle::open_preview(&app.pool, environment, release, &by, now).await?;
    answer(&app, result)
}

/// Update an environment to a release
///
/// The environment stays `ready`. CloudFormation updates the stack of the home region, then those of the replicas; if
/// an update fails, it restores the release before, and the operation ends as `failed` with the first resource that
/// has failed. `parameters` change the environment's own parameters of the template, also without another release.
/// While an update to a release is open, another request for the same release returns the same operation.
#[utoipa::path(
    post,
    path = "/v1/tenants/{id}/environments/{name}/updates",
    operation_id = "updateToRelease",
    tag = "releases",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "Name of the environment", example = "production"),
    ),
    request_body = NewUpdate,
    responses(
        (status = 200, description = "The environment has the release already", body = ReleaseOperation),
        (status = 202, description = "The operation is started", body = ReleaseOperation, headers(
            ("Location" = String, description = "Path of the operation"),
            ("Retry-After" = u32, description = "Seconds after which to poll"),
        )),
        (
            status = 409,
            description = "Another operation on the environment is open (`operation_in_progress`, with its \
                `operation_id`), the environment is not ready (`environment_not_ready`) or pinned (`pinned`), no \
                maintenance window is open (`outside_window`), the release is not ready (`release_not_ready`) or not \
                approved (`release_not_approved`), or a change freeze is in force (`change_freeze`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn update_to_release(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
    JsonFields(mut fields): JsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::tenant_not_found)?;
    let name = name.ok_or_else(environments::not_found)?;
    let release: Option<ReleaseId> = fields.required("release");
    let ignores_window = fields.optional_bool("ignore_window").unwrap_or(false);
    let reason = fields.optional("reason").map(|Reason(reason)| reason);
    let parameters = fields.string_map("parameters");
    if let Some(parameters) = &parameters {
        content::check_parameters(&mut fields, "parameters", parameters);
        for name in OWN_STACK_PARAMETERS.iter().filter(|name| parameters.contains_key(**name)) {
            let message = "must not be set, because Freehold passes this parameter";
            fields.error(format!("parameters.{name}"), "reserved", message);
        }
    }
    let release = fields.finish(release)?;
    let by = caller.requester();
    let request = UpdateRequest {
        release,
        rollout: None,
        parameters: parameters.as_ref(),
        allows_unapproved: app.config.releases.non_production.contains(&name),
        ignores_window,
        reason: reason.as_deref(),
        by: &by,
    };
    match lifecycle::open_update(&app.pool, id, &name, &request, app.clock.now()).await? {
        UpdateResult::NotFound => Err(environments::missing(&app, id).await?),
        result => answer(&app, result),
    }
}

fn answer(app: &App, result: UpdateResult) -> Result<Response, ApiError> {
    match result {
        UpdateResult::Started(operation) => {
            record_id(operation);
            app.work_notifier.notify();
            accepted(operation)
        }
        UpdateResult::AlreadyOpen(operation) => accepted(operation),
        UpdateResult::Current => Ok(Json(ReleaseOperation { operation_id: None }).into_response()),
        UpdateResult::Busy { operation, kind } => Err(ApiError::operation_in_progress(operation, kind)),
        UpdateResult::NotReady(EnvironmentState::NeedsAttention) => Err(ApiError::new(
            Code::EnvironmentNotReady,
            "The environment needs attention; resolve the problem of its operation first.",
        )),
        UpdateResult::NotReady(state) => Err(ApiError::new(
            Code::EnvironmentNotReady,
            format!("The environment is {state}; only a ready environment is updated."),
        )),
        UpdateResult::Pinned { reason, until } => Err(ApiError::pinned(&reason, until)),
        UpdateResult::OutsideWindow { next } => {
            let next = next.map_or_else(
                || "The tenant has no maintenance window in the coming days.".to_owned(),
                |next| format!("The next maintenance window opens at {}.", next.format("%Y-%m-%d %H:%M UTC")),
            );
            let message = format!("{next} Set `ignore_window` to start the update now.");
            Err(ApiError::new(Code::OutsideWindow, message))
        }
        UpdateResult::Frozen { reason, until } => Err(ApiError::change_freeze(&reason, until)),
        UpdateResult::ReleaseNotReady(state) => Err(not_ready(state)),
        UpdateResult::ReleaseNotApproved => Err(ApiError::new(
            Code::ReleaseNotApproved,
            "A person other than the registrant must approve the release first.",
        )),
        UpdateResult::ReleaseNotFound => Err(not_found()),
        UpdateResult::NotFound => Err(environments::not_found()),
    }
}

fn accepted(operation: OperationId) -> Result<Response, ApiError> {
    let location = HeaderValue::from_str(&format!("/v1/operations/{operation}")).map_err(|_| ApiError::internal())?;
    let headers = [(header::LOCATION, location), (header::RETRY_AFTER, HeaderValue::from_static("5"))];
    let body = Json(ReleaseOperation { operation_id: Some(operation.to_string()) });
    Ok((StatusCode::ACCEPTED, headers, body).into_response())
}
