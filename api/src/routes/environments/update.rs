//! Route that changes the replica regions and the front door of an environment.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::TimeDelta;
use freehold_tenancy::db::lifecycle::{ChangeRegionsResult, RegionChange};
use freehold_tenancy::front_door::FrontDoorState;
use freehold_tenancy::replica::MAX_REPLICAS;
use freehold_tenancy::tenant::Tenant;
use freehold_tenancy::{EnvironmentName, Region, TenantId, db, environment};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Environment, not_found};
use crate::app::App;
use crate::audit::{record_change, record_id};
use crate::auth::Caller;
use crate::etag::{IfMatch, precondition_failed};
use crate::extract::{Fields, JsonFields, PathParam};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use crate::routes::front_door::parse_front_door;
use crate::routes::region_rules::RegionRules;
use crate::routes::tenants::etag::compute_etag;

/// Changes of an environment, as a JSON merge patch (RFC 7396): omitted fields stay unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentPatch {
    /// All replica regions that the environment should have: at most three other regions of its residency. A region
    /// that is missing here is removed; `[]` removes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["eu-west-1"]), max_items = 3, nullable = false)]
    pub replica_regions: Option<Vec<String>>,
    /// Whether the environment should have a front door. `false` deletes its distribution, whose domain name is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = true, nullable = false)]
    pub front_door: Option<bool>,
}

/// Change the replica regions and the front door of an environment
///
/// The body is a JSON merge patch. It is applied only if the tenant still has the ETag in `If-Match`. An operation of
/// the kind `change_regions` deploys the stack in the new regions, with the configured template; the environment stays
/// `ready`. A removed region is `leaving`: its stack is deleted after the cooling-off period, and not under a legal
/// hold. Until then, another request can bring the region back. The same operation creates, updates or deletes the
/// front door.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{id}/environments/{name}",
    operation_id = "updateEnvironment",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "Name of the environment", example = "production"),
        (
            "If-Match" = String, Header,
            description = "ETag from your last read of the tenant, or `*` to skip the check"
        ),
    ),
    request_body = EnvironmentPatch,
    responses(
        (status = 200, description = "The environment is in order as requested; nothing was changed",
            body = Environment, headers(
            ("ETag" = String, description = "ETag of the tenant, for `If-Match` of the next change"),
        )),
        (status = 202, description = "The change is accepted. If regions or the front door have to be changed \
            now, the operation `operation_id` is started", body = Environment, headers(
            ("ETag" = String, description = "ETag of the tenant, for `If-Match` of the next change"),
            ("Location" = String, description = "Path of the operation"),
            ("Retry-After" = u32, description = "Seconds after which to poll"),
        )),
        (
            status = 409,
            description = "Another operation on the environment is open (`operation_in_progress`, with its \
                `operation_id`), the environment is not ready (`environment_not_ready`), or a region or the front door \
                would be removed under a legal hold (`legal_hold`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 412,
            description = "The tenant has changed since you read the ETag (`precondition_failed`); nothing was changed",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 428,
            description = "`If-Match` is missing (`precondition_required`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn update_environment(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
    if_match: IfMatch,
    JsonFields(fields): JsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::tenant_not_found)?;
    let name = name.ok_or_else(not_found)?;
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::tenant_not_found)?;
    let etag = compute_etag(tenant.clone(), &app.config)?;
    let environment = find(&tenant, &name)?;
    if_match.check(&etag)?;
    let known = active_replicas(environment);
    let had_front_door = has_front_door(environment);
    let wanted = parse_patch(fields, &app, environment)?;
    if wanted == Wanted::default() {
        return respond(&app, id, &name, StatusCode::OK).await;
    }
    let regions = wanted.replica_regions.unwrap_or_else(|| known.clone());
    let front_door = wanted.front_door.unwrap_or(had_front_door);
    let now = app.clock.now();
    let cooling_off = i64::try_from(app.config.offboarding.cooling_off_seconds).ok().and_then(TimeDelta::try_seconds);
    let leaving_at = cooling_off.and_then(|period| now.checked_add_signed(period)).ok_or_else(ApiError::internal)?;
    let change = RegionChange {
        tenant: id,
        environment: &name,
        known_regions: (!if_match.is_any()).then_some(&known[..]),
        replica_regions: &regions,
        known_front_door: (!if_match.is_any()).then_some(had_front_door),
        front_door,
        leaving_at,
        requested_by: &caller.requester(),
    };
    match db::lifecycle::change_regions(&app.pool, &change, now).await? {
        ChangeRegionsResult::Changed(operation) => {
            operation.iter().for_each(record_id);
            record_change("replica_regions", &known, &regions);
            record_change("front_door", had_front_door, front_door);
            app.work_notifier.notify();
            respond(&app, id, &name, StatusCode::ACCEPTED).await
        }
        ChangeRegionsResult::Unchanged => respond(&app, id, &name, StatusCode::OK).await,
        ChangeRegionsResult::NotFound => Err(not_found()),
        ChangeRegionsResult::Outdated => Err(precondition_failed()),
        ChangeRegionsResult::LegalHold(reason) => Err(ApiError::legal_hold(&reason)),
        ChangeRegionsResult::Busy { operation, kind } => Err(ApiError::operation_in_progress(operation, kind)),
        ChangeRegionsResult::NotReady(state) => Err(ApiError::new(
            Code::EnvironmentNotReady,
            format!(
                "The environment is {state}; only the regions and the front door of a ready environment can be changed."
            ),
        )),
        ChangeRegionsResult::TooMany => Err(too_many(environment)),
    }
}

pub(in crate::routes) fn find<'a>(
    tenant: &'a Tenant,
    name: &EnvironmentName,
) -> Result<&'a environment::Environment, ApiError> {
    // The name of an offboarded environment can be used again, so the newest match is returned.
    tenant.environments.iter().rfind(|one| one.name == *name).ok_or_else(not_found)
}

/// Values of a patch; `None` if the patch does not contain them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    replica_regions: Option<Vec<Region>>,
    front_door: Option<bool>,
}

fn parse_patch(mut fields: Fields, app: &App, environment: &environment::Environment) -> Result<Wanted, ApiError> {
    if fields.take_null("replica_regions") {
        fields.error("replica_regions", "missing", "must be a list; [] removes all replica regions");
    }
    if fields.take_null("front_door") {
        fields.error("front_door", "missing", "must be true or false; false removes the front door");
    }
    let is_given = fields.has_value("replica_regions");
    let home = Some(environment.home_region);
    let deployed: Vec<Region> = environment.replicas.iter().map(|replica| replica.region).collect();
    let rules = RegionRules::of(app);
    let regions = rules.parse_replica_regions(&mut fields, home, Some(&environment.residency), &deployed);
    let front_door = parse_front_door(&mut fields, rules, home, Some(&environment.residency));
    fields.finish(Some(Wanted { replica_regions: is_given.then_some(regions), front_door }))
}

fn has_front_door(environment: &environment::Environment) -> bool {
    environment.front_door.as_ref().is_some_and(|one| one.state != FrontDoorState::Deleting)
}

fn active_replicas(environment: &environment::Environment) -> Vec<Region> {
    let active = environment.replicas.iter().filter(|replica| replica.leaving_at.is_none());
    active.map(|replica| replica.region).collect()
}

/// Returns the refusal of regions for which no slot is free, because removed replicas are not deleted yet.
fn too_many(environment: &environment::Environment) -> ApiError {
    let leaving = environment.replicas.iter().filter(|replica| replica.leaving_at.is_some());
    let leaving: Vec<_> = leaving.map(|replica| replica.region.as_str()).collect();
    let message = format!(
        "an environment can have at most {MAX_REPLICAS} replica regions, including the removed ones whose stack is not \
         deleted yet ({})",
        leaving.join(", ")
    );
    ApiError::invalid_field("replica_regions", "too_many", message)
}

async fn respond(app: &App, id: TenantId, name: &EnvironmentName, status: StatusCode) -> Result<Response, ApiError> {
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::tenant_not_found)?;
    let etag = compute_etag(tenant.clone(), &app.config)?.header()?;
    let environment = find(&tenant, name)?;
    let body = Json(Environment::of(environment, &app.config));
    let mut response = (status, [(header::ETAG, etag)], body).into_response();
    if status == StatusCode::ACCEPTED {
        let location = HeaderValue::from_str(&format!("/v1/operations/{}", environment.operation_id));
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, location.map_err(|_| ApiError::internal())?);
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    Ok(response)
}
