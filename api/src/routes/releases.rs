//! Routes that register, list, compare and approve releases of the tenant stack.

mod content;
pub(crate) mod deploy;
mod diff;
pub(crate) mod schema;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use freehold_tenancy::db::releases::{self, ApproveResult, NewRelease};
use freehold_tenancy::environment::RegionRole;
use freehold_tenancy::environment_stack::StackSlot;
use freehold_tenancy::release::ReleaseSource;
use freehold_tenancy::{ReleaseId, release};
use serde_json::json;

use crate::app::App;
use crate::audit::{record_change, record_id};
use crate::auth::Caller;
use crate::extract::{JsonFields, PathParam, QueryFields};
use crate::pagination::Page;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use schema::{Release, ReleaseApproval, ReleaseDiff, ReleasePage, ReleaseRegion, ReleaseRegionPage};

/// Register a release of the tenant stack
///
/// A release is an immutable version of the tenant stack: its template and its parameters. A worker checks it by the
/// rules of Freehold and asks CloudFormation in each region; poll `state` until it is `ready` or `refused`. Before it
/// can be deployed in production, another person must approve it.
#[utoipa::path(
    post,
    path = "/v1/releases",
    operation_id = "registerRelease",
    tag = "releases",
    request_body = schema::NewRelease,
    responses((status = 202, description = "The release is registered and will be checked", body = Release, headers(
        ("Location" = String, description = "Path of the release"),
        ("Retry-After" = u32, description = "Seconds after which to poll"),
    ))),
)]
pub(crate) async fn register_release(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    JsonFields(fields): JsonFields,
) -> Result<Response, ApiError> {
    let (content, notes) = content::parse(fields)?;
    let by = caller.requester();
    let new = NewRelease { source: ReleaseSource::Api, content: &content, notes: notes.as_deref(), registered_by: &by };
    let id = releases::register(&app.pool, &new, app.clock.now()).await?;
    record_id(id);
    let release = load(&app, id).await?;
    let location = HeaderValue::from_str(&format!("/v1/releases/{id}")).map_err(|_| ApiError::internal())?;
    let headers = [(header::LOCATION, location), (header::RETRY_AFTER, HeaderValue::from_static("5"))];
    Ok((StatusCode::ACCEPTED, headers, Json(Release::from(release))).into_response())
}

/// List releases, newest first
#[utoipa::path(
    get,
    path = "/v1/releases",
    operation_id = "listReleases",
    tag = "releases",
    responses((status = 200, description = "Page of releases", body = ReleasePage)),
)]
pub(crate) async fn list_releases(
    State(app): State<App>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<ReleasePage>, ApiError> {
    let page = Page::from_query("releases", &mut query)?;
    query.finish(Some(()))?;
    let mut releases = releases::list(&app.pool, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut releases, |release| release.id.as_uuid());
    Ok(Json(ReleasePage { releases: releases.into_iter().map(Release::from).collect(), next_page_token }))
}

/// Get a release with its content
#[utoipa::path(
    get,
    path = "/v1/releases/{id}",
    operation_id = "getRelease",
    tag = "releases",
    params(("id" = String, Path, description = "Release id", example = "rel_01k2m8v3x9e7rt4s5q6w7y8z9a")),
    responses((status = 200, description = "Release", body = Release)),
)]
pub(crate) async fn get_release(
    State(app): State<App>,
    PathParam(id): PathParam<ReleaseId>,
) -> Result<Json<Release>, ApiError> {
    let release = load(&app, id.ok_or_else(not_found)?).await?;
    let content = Some(json!(release.content));
    Ok(Json(Release { content, ..release.into() }))
}

/// Compare a release with another one
///
/// Without `against`, the release is compared with the default release, or with the release of the configuration that
/// was registered last.
#[utoipa::path(
    get,
    path = "/v1/releases/{id}/diff",
    operation_id = "diffRelease",
    tag = "releases",
    params(
        ("id" = String, Path, description = "Release id", example = "rel_01k2m8v3x9e7rt4s5q6w7y8z9a"),
        ("against" = Option<String>, Query, description = "Id of the release to compare with"),
    ),
    responses((status = 200, description = "Difference", body = ReleaseDiff)),
)]
pub(crate) async fn diff_release(
    State(app): State<App>,
    PathParam(id): PathParam<ReleaseId>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<ReleaseDiff>, ApiError> {
    let id = id.ok_or_else(not_found)?;
    let against: Option<ReleaseId> = query.optional("against");
    query.finish(Some(()))?;
    let release = load(&app, id).await?;
    let against = match against {
        Some(against) => load(&app, against).await?,
        None => releases::predecessor(&app.pool, id).await?.ok_or_else(not_found)?,
    };
    Ok(Json(diff::diff(&against, &release)))
}

/// List the environments that have a release
#[utoipa::path(
    get,
    path = "/v1/releases/{id}/environments",
    operation_id = "listReleaseEnvironments",
    tag = "releases",
    params(("id" = String, Path, description = "Release id", example = "rel_01k2m8v3x9e7rt4s5q6w7y8z9a")),
    responses((status = 200, description = "Page of regions of environments", body = ReleaseRegionPage)),
)]
pub(crate) async fn list_release_environments(
    State(app): State<App>,
    PathParam(id): PathParam<ReleaseId>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<ReleaseRegionPage>, ApiError> {
    let id = id.ok_or_else(not_found)?;
    let page = Page::from_query("release_environments", &mut query)?;
    query.finish(Some(()))?;
    load(&app, id).await?;
    let mut environments = releases::environments(&app.pool, id, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut environments, |one| one.environment.as_uuid());
    let regions = environments.into_iter().flat_map(|one| {
        let (tenant, environment, name) = (one.tenant, one.environment, one.name);
        one.regions.into_iter().map(move |region| ReleaseRegion {
            tenant_id: tenant.to_string(),
            environment_id: environment.to_string(),
            environment: name.to_string(),
            region: region.region.to_string(),
            role: match region.slot {
                StackSlot::Home => RegionRole::Home.to_string(),
                StackSlot::Replica(_) => RegionRole::Replica.to_string(),
            },
            since: region.since,
        })
    });
    Ok(Json(ReleaseRegionPage { regions: regions.collect(), next_page_token }))
}

/// Approve a release
///
/// A release can run anything in every account. Therefore a person other than the registrant approves its hash before
/// it is deployed anywhere but in environments that the configuration calls non-production.
#[utoipa::path(
    post,
    path = "/v1/releases/{id}/approve",
    operation_id = "approveRelease",
    tag = "releases",
    params(("id" = String, Path, description = "Release id", example = "rel_01k2m8v3x9e7rt4s5q6w7y8z9a")),
    request_body = ReleaseApproval,
    responses(
        (status = 200, description = "The release is approved", body = Release),
        (
            status = 409,
            description = "The release is not ready (`release_not_ready`), or has another hash \
                (`release_hash_mismatch`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn approve_release(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<ReleaseId>,
    JsonFields(mut fields): JsonFields,
) -> Result<Json<Release>, ApiError> {
    let id = id.ok_or_else(not_found)?;
    let sha256: Option<String> = fields.required("sha256");
    let sha256 = fields.finish(sha256)?;
    match releases::approve(&app.pool, id, &sha256, &caller.requester(), app.clock.now()).await? {
        ApproveResult::Approved => record_change("approved", false, true),
        ApproveResult::AlreadyApproved => {}
        ApproveResult::HashMismatch => {
            let message = "The release has another hash. Read it again, review it, and send the hash that you have \
                           reviewed.";
            return Err(ApiError::new(Code::ReleaseHashMismatch, message));
        }
        ApproveResult::SamePerson => {
            let message = "You have registered the release; another person must approve it.";
            return Err(ApiError::new(Code::ApproverIsRequester, message));
        }
        ApproveResult::NotReady(state) => return Err(not_ready(state)),
        ApproveResult::NotFound => return Err(not_found()),
    }
    Ok(Json(load(&app, id).await?.into()))
}

pub(super) fn not_found() -> ApiError {
    ApiError::new(Code::ReleaseNotFound, "There is no release with this id.")
}

pub(super) fn not_ready(state: release::ReleaseState) -> ApiError {
    let message = match state {
        release::ReleaseState::Refused => "The release was refused. Its `problems` say why; register another release.",
        _ => "The release is still being checked. Try again in a few seconds.",
    };
    ApiError::new(Code::ReleaseNotReady, message)
}

async fn load(app: &App, id: ReleaseId) -> Result<release::Release, ApiError> {
    releases::find(&app.pool, id).await?.ok_or_else(not_found)
}
