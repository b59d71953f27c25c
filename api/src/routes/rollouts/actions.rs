//! Routes with which a person changes a rollout. Updates in progress finish in any case.

use axum::extract::State;
use axum::{Extension, Json};
use freehold_tenancy::RolloutId;
use freehold_tenancy::db::lifecycle::{self, RolloutChangeResult, RolloutRequest};
use freehold_tenancy::db::rollouts;
use freehold_tenancy::rollout::RolloutState;

use super::schema::{Rollout, RolloutChange, RolloutPromotion, WaveApproval};
use super::{load, not_found, view};
use crate::app::App;
use crate::audit::record_change;
use crate::auth::Caller;
use crate::extract::{JsonFields, OptionalJsonFields, PathParam};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use crate::routes::legal_hold::Reason;

/// Pause a rollout
///
/// No further update starts until the rollout is resumed. Updates in progress finish.
#[utoipa::path(
    post,
    path = "/v1/rollouts/{id}/pause",
    operation_id = "pauseRollout",
    tag = "rollouts",
    params(("id" = String, Path, description = "Rollout id", example = "rol_01k2m8v3x9e7rt4s5q6w7y8z9g")),
    request_body = Option<RolloutChange>,
    responses(
        (status = 200, description = "The rollout is paused", body = Rollout),
        (
            status = 409,
            description = "The state of the rollout does not allow the request (`invalid_transition`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn pause_rollout(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<RolloutId>,
    OptionalJsonFields(fields): OptionalJsonFields,
) -> Result<Json<Rollout>, ApiError> {
    let reason = optional_reason(fields)?;
    change(&app, &caller, id, &RolloutRequest::Pause { reason: reason.as_deref() }).await
}

/// Resume a paused rollout
///
/// The rollout continues where it was paused.
#[utoipa::path(
    post,
    path = "/v1/rollouts/{id}/resume",
    operation_id = "resumeRollout",
    tag = "rollouts",
    params(("id" = String, Path, description = "Rollout id", example = "rol_01k2m8v3x9e7rt4s5q6w7y8z9g")),
    responses(
        (status = 200, description = "The rollout continues", body = Rollout),
        (
            status = 409,
            description = "The state of the rollout does not allow the request (`invalid_transition`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn resume_rollout(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<RolloutId>,
) -> Result<Json<Rollout>, ApiError> {
    change(&app, &caller, id, &RolloutRequest::Resume).await
}

/// End the bake of a wave early
///
/// The next wave starts at once, or asks for its approval.
#[utoipa::path(
    post,
    path = "/v1/rollouts/{id}/promote",
    operation_id = "promoteRollout",
    tag = "rollouts",
    params(("id" = String, Path, description = "Rollout id", example = "rol_01k2m8v3x9e7rt4s5q6w7y8z9g")),
    request_body = RolloutPromotion,
    responses(
        (status = 200, description = "The bake has ended", body = Rollout),
        (
            status = 409,
            description = "The state of the rollout does not allow the request (`invalid_transition`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn promote_rollout(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<RolloutId>,
    JsonFields(mut fields): JsonFields,
) -> Result<Json<Rollout>, ApiError> {
    let reason: Option<Reason> = fields.required("reason");
    let Reason(reason) = fields.finish(reason)?;
    change(&app, &caller, id, &RolloutRequest::Promote { reason: &reason }).await
}

/// Approve the current wave of a rollout
///
/// Another person than the author approves a wave that its plan marks with `approval`, or a program with a token of its
/// own, such as an external gate. The approval is bound to the hash of the release, the wave and its environments.
#[utoipa::path(
    post,
    path = "/v1/rollouts/{id}/approve",
    operation_id = "approveWave",
    tag = "rollouts",
    params(("id" = String, Path, description = "Rollout id", example = "rol_01k2m8v3x9e7rt4s5q6w7y8z9g")),
    request_body = WaveApproval,
    responses(
        (status = 200, description = "The wave is approved and starts", body = Rollout),
        (
            status = 409,
            description = "The state of the rollout does not allow the request (`invalid_transition`), or the wave \
                has another hash (`wave_hash_mismatch`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn approve_wave(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<RolloutId>,
    JsonFields(mut fields): JsonFields,
) -> Result<Json<Rollout>, ApiError> {
    let sha256: Option<String> = fields.required("sha256");
    let sha256 = fields.finish(sha256)?;
    change(&app, &caller, id, &RolloutRequest::Approve { sha256: &sha256 }).await
}

/// Reject the current wave of a rollout
///
/// The rollout halts. Retry, roll back or abort it afterwards.
#[utoipa::path(
    post,
    path = "/v1/rollouts/{id}/reject",
    operation_id = "rejectWave",
    tag = "rollouts",
    params(("id" = String, Path, description = "Rollout id", example = "rol_01k2m8v3x9e7rt4s5q6w7y8z9g")),
    request_body = Option<RolloutChange>,
    responses(
        (status = 200, description = "The rollout is halted", body = Rollout),
        (
            status = 409,
            description = "The state of the rollout does not allow the request (`invalid_transition`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn reject_wave(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<RolloutId>,
    OptionalJsonFields(fields): OptionalJsonFields,
) -> Result<Json<Rollout>, ApiError> {
    let reason = optional_reason(fields)?;
    change(&app, &caller, id, &RolloutRequest::Reject { reason: reason.as_deref() }).await
}

/// Abort a rollout
///
/// Updates in progress finish; all other environments keep their releases. Updated environments keep the release of the
/// rollout.
#[utoipa::path(
    post,
    path = "/v1/rollouts/{id}/abort",
    operation_id = "abortRollout",
    tag = "rollouts",
    params(("id" = String, Path, description = "Rollout id", example = "rol_01k2m8v3x9e7rt4s5q6w7y8z9g")),
    request_body = Option<RolloutChange>,
    responses(
        (status = 200, description = "The rollout is aborted", body = Rollout),
        (
            status = 409,
            description = "The state of the rollout does not allow the request (`invalid_transition`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn abort_rollout(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<RolloutId>,
    OptionalJsonFields(fields): OptionalJsonFields,
) -> Result<Json<Rollout>, ApiError> {
    let reason = optional_reason(fields)?;
    change(&app, &caller, id, &RolloutRequest::Abort { reason: reason.as_deref() }).await
}

/// Roll a rollout back
///
/// Each environment that the rollout has updated gets back its own release before the rollout, the last wave first.
/// Maintenance windows are ignored, because a rollback is urgent.
#[utoipa::path(
    post,
    path = "/v1/rollouts/{id}/roll-back",
    operation_id = "rollBackRollout",
    tag = "rollouts",
    params(("id" = String, Path, description = "Rollout id", example = "rol_01k2m8v3x9e7rt4s5q6w7y8z9g")),
    request_body = Option<RolloutChange>,
    responses(
        (status = 200, description = "The rollout is rolled back", body = Rollout),
        (
            status = 409,
            description = "The state of the rollout does not allow the request (`invalid_transition`), or a later \
                rollout exists (`rollout_in_progress`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn roll_back_rollout(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<RolloutId>,
    OptionalJsonFields(fields): OptionalJsonFields,
) -> Result<Json<Rollout>, ApiError> {
    let reason = optional_reason(fields)?;
    change(&app, &caller, id, &RolloutRequest::RollBack { reason: reason.as_deref() }).await
}

/// Retry the failed environments of a rollout
///
/// The failed environments are updated again, and then the rollout continues. Approvals of waves stay.
#[utoipa::path(
    post,
    path = "/v1/rollouts/{id}/retry-failed",
    operation_id = "retryFailed",
    tag = "rollouts",
    params(("id" = String, Path, description = "Rollout id", example = "rol_01k2m8v3x9e7rt4s5q6w7y8z9g")),
    responses(
        (status = 200, description = "The rollout continues", body = Rollout),
        (
            status = 409,
            description = "The state of the rollout does not allow the request (`invalid_transition`), or no \
                environment has failed (`no_failures`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn retry_failed(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<RolloutId>,
) -> Result<Json<Rollout>, ApiError> {
    change(&app, &caller, id, &RolloutRequest::RetryFailed).await
}

fn optional_reason(fields: Option<crate::extract::Fields>) -> Result<Option<String>, ApiError> {
    let Some(mut fields) = fields else { return Ok(None) };
    let reason = fields.optional("reason").map(|Reason(reason)| reason);
    fields.finish(Some(reason))
}

/// Changes a rollout and wakes the worker.
async fn change(
    app: &App,
    caller: &Caller,
    id: Option<RolloutId>,
    request: &RolloutRequest<'_>,
) -> Result<Json<Rollout>, ApiError> {
    let id = id.ok_or_else(not_found)?;
    let before = rollouts::find(&app.pool, id).await?.ok_or_else(not_found)?.state;
    match lifecycle::change_rollout(&app.pool, id, request, &caller.requester(), app.clock.now()).await? {
        RolloutChangeResult::Changed => {}
        RolloutChangeResult::InvalidTransition(state) => return Err(invalid_transition(state, request)),
        RolloutChangeResult::HashMismatch => {
            let message = "The wave has another hash. Read the rollout again, review the wave, and send its \
                           `approval_sha256`.";
            return Err(ApiError::new(Code::WaveHashMismatch, message));
        }
        RolloutChangeResult::SamePerson => {
            let message = "You have created the rollout; another person must approve its waves.";
            return Err(ApiError::new(Code::ApproverIsRequester, message));
        }
        RolloutChangeResult::NoFailures => {
            return Err(ApiError::new(Code::NoFailures, "No environment of the rollout has failed."));
        }
        RolloutChangeResult::OtherRollout(other) => {
            let message =
                format!("The rollout {other} is later; only the latest rollout can be changed after its end.");
            return Err(ApiError::new(Code::RolloutInProgress, message));
        }
        RolloutChangeResult::NotFound => return Err(not_found()),
    }
    app.work_notifier.notify();
    let rollout = load(app, id).await?;
    record_change("state", before.as_str(), rollout.state.as_str());
    Ok(Json(rollout))
}

fn invalid_transition(state: RolloutState, request: &RolloutRequest<'_>) -> ApiError {
    let (action, allowed) = (view::path_of(request.action()), view::actions(state));
    let allowed = match allowed.as_slice() {
        [] => "nothing".to_owned(),
        allowed => allowed.join(", "),
    };
    let message = format!("A rollout that is {state} does not allow {action}; it allows {allowed}.");
    ApiError::new(Code::InvalidTransition, message)
}
