//! Routes that create, show and change rollouts.

pub(crate) mod actions;
mod request;
pub(crate) mod schema;
mod view;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use freehold_tenancy::db::lifecycle::{self, CreateRolloutResult, PlanRolloutResult, RolloutForecast};
use freehold_tenancy::db::rollout_members::{self, MemberFilter};
use freehold_tenancy::db::{rollout_waves, rollouts};
use freehold_tenancy::rollout::{self, MemberState, RolloutPlan};
use freehold_tenancy::{RolloutId, WaveName};

use crate::app::App;
use crate::audit::record_id;
use crate::auth::Caller;
use crate::extract::{JsonFields, PathParam, QueryFields};
use crate::pagination::Page;
use crate::problem::{ApiError, Code, FieldError, MEDIA_TYPE, Problem};
use crate::routes::releases;
use schema::{LeftOutEnvironment, Rollout, RolloutEnvironmentPage, RolloutPage, RolloutPreview, WavePreview};

/// Create a rollout of a release
///
/// A worker updates the environments wave by wave and halts when more updates fail than a wave tolerates. The members
/// are the environments of this moment; the first wave that selects an environment has it. One rollout runs at a time.
/// With `dry_run=true`, nothing is created, and the answer shows the waves with their expected durations.
#[utoipa::path(
    post,
    path = "/v1/rollouts",
    operation_id = "createRollout",
    tag = "rollouts",
    params((
        "dry_run" = Option<bool>, Query,
        description = "With `true`, the rollout is only planned",
    )),
    request_body = schema::NewRollout,
    responses(
        (status = 200, description = "Plan of the rollout, with `dry_run`", body = RolloutPreview),
        (status = 201, description = "The rollout is created", body = Rollout, headers(
            ("Location" = String, description = "Path of the rollout"),
        )),
        (
            status = 409,
            description = "Another rollout has not finished (`rollout_in_progress`), a change freeze is in force \
                (`change_freeze`), or the release is not ready (`release_not_ready`) or not approved \
                (`release_not_approved`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn create_rollout(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    QueryFields(mut query): QueryFields,
    JsonFields(fields): JsonFields,
) -> Result<Response, ApiError> {
    let dry_run = query.optional("dry_run").unwrap_or(false);
    query.finish(Some(()))?;
    let request = request::parse(fields, &app.config)?;
    let (by, now) = (caller.requester(), app.clock.now());
    let new = lifecycle::NewRollout {
        release: request.release,
        plan_name: request.plan_name.as_ref(),
        plan: &request.plan,
        by: &by,
        non_production: &app.config.releases.non_production,
    };
    if dry_run {
        let seconds = app.config.expected_durations.update_seconds();
        return match lifecycle::plan_rollout(&app.pool, &new, seconds, now).await? {
            PlanRolloutResult::Planned(forecast) => Ok(Json(preview(&request.plan, forecast)).into_response()),
            refusal => Err(refused(&refusal)),
        };
    }
    let id = match lifecycle::create_rollout(&app.pool, &new, now).await? {
        CreateRolloutResult::Created(id) => id,
        CreateRolloutResult::InProgress(other) => return Err(in_progress(other)),
        CreateRolloutResult::Frozen { reason, until } => return Err(ApiError::change_freeze(&reason, until)),
        CreateRolloutResult::Refused(refusal) => return Err(refused(&refusal)),
    };
    record_id(id);
    app.work_notifier.notify();
    let location = HeaderValue::from_str(&format!("/v1/rollouts/{id}")).map_err(|_| ApiError::internal())?;
    let body = Json(load(&app, id).await?);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], body).into_response())
}

/// List rollouts, newest first
#[utoipa::path(
    get,
    path = "/v1/rollouts",
    operation_id = "listRollouts",
    tag = "rollouts",
    responses((status = 200, description = "Page of rollouts", body = RolloutPage)),
)]
pub(crate) async fn list_rollouts(
    State(app): State<App>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<RolloutPage>, ApiError> {
    let page = Page::from_query("rollouts", &mut query)?;
    query.finish(Some(()))?;
    let mut rollouts = rollouts::list(&app.pool, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut rollouts, |rollout| rollout.id.as_uuid());
    Ok(Json(RolloutPage {
        rollouts: rollouts.iter().map(|rollout| view::summary(rollout, &[])).collect(),
        next_page_token,
    }))
}

/// Get a rollout with its waves
#[utoipa::path(
    get,
    path = "/v1/rollouts/{id}",
    operation_id = "getRollout",
    tag = "rollouts",
    params(("id" = String, Path, description = "Rollout id", example = "rol_01k2m8v3x9e7rt4s5q6w7y8z9g")),
    responses((status = 200, description = "Rollout", body = Rollout)),
)]
pub(crate) async fn get_rollout(
    State(app): State<App>,
    PathParam(id): PathParam<RolloutId>,
) -> Result<Json<Rollout>, ApiError> {
    Ok(Json(load(&app, id.ok_or_else(not_found)?).await?))
}

/// List the environments of a rollout
///
/// The environments are in the order of their updates.
#[utoipa::path(
    get,
    path = "/v1/rollouts/{id}/environments",
    operation_id = "listRolloutEnvironments",
    tag = "rollouts",
    params(
        ("id" = String, Path, description = "Rollout id", example = "rol_01k2m8v3x9e7rt4s5q6w7y8z9g"),
        ("wave" = Option<String>, Query, description = "Name of a wave"),
        ("state" = Option<String>, Query, description = "State of the environments, such as `failed`"),
    ),
    responses((status = 200, description = "Page of environments", body = RolloutEnvironmentPage)),
)]
pub(crate) async fn list_rollout_environments(
    State(app): State<App>,
    PathParam(id): PathParam<RolloutId>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<RolloutEnvironmentPage>, ApiError> {
    let id = id.ok_or_else(not_found)?;
    let page = Page::from_query(&format!("rollout_environments {id}"), &mut query)?;
    let wave: Option<WaveName> = query.optional("wave");
    let state: Option<MemberState> = query.optional("state");
    let rollout = rollouts::find(&app.pool, id).await?.ok_or_else(not_found)?;
    let number = wave.as_ref().and_then(|name| view::wave_number(&rollout, name));
    if let (Some(name), None) = (&wave, number) {
        query.error("wave", "unknown", format!("the rollout has no wave {name}"));
    }
    query.finish(Some(()))?;
    let filter = MemberFilter { wave: number, state };
    let mut members = rollout_members::page(&app.pool, id, filter, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut members, |member| member.environment_id.as_uuid());
    let environments = members.into_iter().map(|member| view::environment(&rollout, member)).collect();
    Ok(Json(RolloutEnvironmentPage { environments, next_page_token }))
}

fn preview(plan: &RolloutPlan, forecast: RolloutForecast) -> RolloutPreview {
    let waves = forecast.waves.into_iter().zip(&plan.waves).map(|(estimate, wave)| WavePreview {
        name: estimate.name.to_string(),
        environments: estimate.environments,
        effective_concurrency: estimate.effective_concurrency,
        concurrency_limit: view::concurrency_limit(wave).to_owned(),
        seconds: estimate.seconds,
    });
    let waves: Vec<_> = waves.collect();
    let seconds = waves.iter().map(|wave| wave.seconds).sum();
    let left_out = forecast.left_out.into_iter().map(|one| LeftOutEnvironment {
        environment_id: one.environment_id.to_string(),
        reason: one.reason.to_string(),
    });
    RolloutPreview { waves, seconds, left_out: left_out.collect() }
}

/// Returns a rollout with its waves, failures and releases.
async fn load(app: &App, id: RolloutId) -> Result<Rollout, ApiError> {
    let rollout: rollout::Rollout = rollouts::find(&app.pool, id).await?.ok_or_else(not_found)?;
    let waves = rollout_waves::list(&app.pool, id).await?;
    let failures = rollout_members::failures(&app.pool, id).await?;
    let releases = rollout_members::releases(&app.pool, id).await?;
    Ok(view::details(&rollout, &waves, failures, releases))
}

fn refused(refusal: &PlanRolloutResult) -> ApiError {
    match refusal {
        PlanRolloutResult::ReleaseNotFound => releases::not_found(),
        PlanRolloutResult::ReleaseNotReady(state) => releases::not_ready(*state),
        PlanRolloutResult::ReleaseNotApproved => ApiError::new(
            Code::ReleaseNotApproved,
            "A person other than the registrant must approve the release first, because the rollout has production \
             environments or makes the release the default.",
        ),
        PlanRolloutResult::EmptyWave(name) => {
            let message = "must select an environment that no earlier wave has and that can be updated";
            let error = FieldError {
                field: format!("waves.{name}.select"),
                code: "empty".to_owned(),
                message: message.to_owned(),
            };
            let detail = format!("The wave {name} has no environment that can be updated.");
            ApiError::new(Code::ValidationFailed, detail).with_errors(vec![error])
        }
        PlanRolloutResult::Planned(_) => ApiError::internal(),
    }
}

fn in_progress(other: RolloutId) -> ApiError {
    let message = format!("The rollout {other} has not finished. Wait for its end, or abort it.");
    ApiError::new(Code::RolloutInProgress, message)
}

fn not_found() -> ApiError {
    ApiError::new(Code::RolloutNotFound, "There is no rollout with this id.")
}
