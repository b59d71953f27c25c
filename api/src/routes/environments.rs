//! Routes for the environments of a tenant.

mod dry_run;
pub(crate) mod update;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use freehold_tenancy::db::idempotency::StoredResponse;
use freehold_tenancy::db::lifecycle::{AddRefusal, AddResult};
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::front_door::FrontDoor;
use freehold_tenancy::release::StackParameters;
use freehold_tenancy::replica::Replica;
use freehold_tenancy::{EnvironmentId, EnvironmentName, OperationId, Region, TenantId, db, environment};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use dry_run::NewEnvironmentPreview;
pub use update::EnvironmentPatch;

use super::front_door::parse_new_front_door;
use super::region_rules::RegionRules;
use super::schema::tenant::Environment;
use super::tenants::account_limit;
use crate::app::App;
use crate::audit::record_id;
use crate::auth::Caller;
use crate::extract::{JsonFields, PathParam, QueryFields};
use crate::idempotency::{self, Key};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// Request for another environment of a tenant. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEnvironment {
    /// Name: lower-case letters, digits and hyphens; unique within the tenant.
    #[schema(example = "staging", pattern = "^[a-z][a-z0-9-]{0,31}$")]
    pub name: String,
    /// Home region [default: that of the tenant's first environment].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "eu-central-1")]
    pub home_region: Option<String>,
    /// Replica regions, in which a further copy of the stack runs: at most three other regions of the same residency
    /// [default: none].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["eu-west-1"]), max_items = 3)]
    pub replica_regions: Option<Vec<String>>,
    /// Front door: one address of the environment that survives the loss of its home region, for residencies that
    /// allow edge locations [default: as configured for the tier].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = true)]
    pub front_door: Option<bool>,
    /// Residency: the named set of regions that the environment may use. It must contain the home region [default: the
    /// residency of the home region].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "eu")]
    pub residency: Option<String>,
}

pub(super) fn not_found() -> ApiError {
    ApiError::new(Code::EnvironmentNotFound, "The tenant has no environment with this name.")
}

/// Returns the error for an environment that does not exist, or whose tenant does not exist.
pub(super) async fn missing(app: &App, id: TenantId) -> Result<ApiError, ApiError> {
    Ok(match db::tenants::get(&app.pool, id).await? {
        Some(_) => not_found(),
        None => ApiError::tenant_not_found(),
    })
}

/// Create another environment for a tenant
///
/// The environment gets an AWS account of its own, which counts towards the daily limit of accounts. A repeated
/// request with the same `Idempotency-Key` and body returns the first response. With `dry_run=true`, nothing is
/// created; the key is optional. The state of a tenant whose environments are ready does not change.
#[utoipa::path(
    post,
    path = "/v1/tenants/{id}/environments",
    operation_id = "createEnvironment",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        (
            "dry_run" = Option<bool>, Query,
            description = "Validate the request and return a preview, without creating anything",
            example = false
        ),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Idempotency key, as in `POST /v1/tenants`; stored for seven days. Required unless `dry_run` \
                is `true`.",
            example = "7f3a0f1e-4c1c-4a51-9e0b-0d5d3b1f6b57"
        ),
    ),
    request_body = NewEnvironment,
    responses(
        (status = 200, description = "Preview of the environment, with `dry_run`", body = NewEnvironmentPreview),
        (status = 202, description = "Accepted; the operation is started", body = Environment, headers(
            ("Location" = String, description = "Path of the environment"),
            ("Retry-After" = u32, description = "Seconds after which to poll"),
            ("Idempotency-Replayed" = bool, description = "`true` if the response to an earlier request is repeated"),
        )),
        (
            status = 403,
            description = "An operator is offboarding the tenant, and the token is the tenant's \
                (`started_by_operator`), or the token lacks the scope",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 409,
            description = "The tenant already has an environment with this name (`environment_exists`), has too many \
                environments (`too_many_environments`), is offboarded (`tenant_offboarded`) or suspended \
                (`tenant_suspended`), or the same request is still running (`idempotency_key_in_flight`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn create_environment(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    QueryFields(mut query): QueryFields,
    key: Result<Key, ApiError>,
    JsonFields(mut fields): JsonFields,
) -> Result<Response, ApiError> {
    let dry_run = query.optional("dry_run").unwrap_or(false);
    query.finish(Some(()))?;
    let key = if dry_run { None } else { Some(key?) };
    let id = id.ok_or_else(ApiError::tenant_not_found)?;
    let key = key.map(|key| key.into_stored_key(&caller, &format!("POST /v1/tenants/{id}/environments")));
    let request_hash = idempotency::hash(fields.values());
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::tenant_not_found)?;
    let name: Option<EnvironmentName> = fields.required("name");
    let default_region = tenant.environments.first().map(|first| first.home_region);
    let home_region: Option<Region> =
        if fields.has_value("home_region") { fields.optional("home_region") } else { default_region };
    let rules = RegionRules::of(&app);
    let residency = rules.parse_residency(&mut fields, home_region);
    let replica_regions = rules.parse_replica_regions(&mut fields, home_region, residency.as_ref(), &[]);
    let front_door = parse_new_front_door(&mut fields, rules, home_region, Some(&tenant.tier), residency.as_ref());
    let parsed = fields.finish(name.zip(home_region.zip(residency)));
    let Some(key) = key else {
        let (name, (home_region, residency)) = parsed?;
        let request = dry_run::Request { name, home_region, residency, replica_regions, front_door };
        return Ok(Json(dry_run::dry_run(&app, &caller, &tenant, &request).await?).into_response());
    };
    let (name, (home_region, residency)) = match parsed {
        Ok(parsed) => parsed,
        Err(refusal) => return idempotency::replay_or_refuse(&app.pool, &key, request_hash, refusal).await,
    };

    let now = app.clock.now();
    let environment = environment::Environment {
        id: EnvironmentId::new(now),
        tenant_id: id,
        name,
        residency,
        home_region,
        replicas: Replica::of_new_environment(&replica_regions, now),
        front_door: front_door.then(|| FrontDoor::requested(now)),
        parameters: StackParameters::new(),
        home_stack: None,
        state: EnvironmentState::Onboarding,
        aws_account_id: None,
        baseline_version: None,
        operation_id: OperationId::new(now),
        created_at: now,
        updated_at: now,
        ready_at: None,
        pin: None,
        offboarded_at: None,
        findings: Vec::new(),
    };
    let location = format!("/v1/tenants/{id}/environments/{}", environment.name);
    let body = serde_json::to_string(&Environment::of(&environment, &app.config)).map_err(|_| ApiError::internal())?;
    let response = StoredResponse { status: 202, location, body };
    let new = db::lifecycle::NewEnvironment {
        key: &key,
        request_hash,
        environment: &environment,
        requested_by: &caller.requester(),
        initiator: caller.initiator(),
        answer: &response,
        approval_tiers: &app.config.approval_tiers(),
        limit: caller.account_limit(&app.config),
    };
    match db::lifecycle::add_environment(&app.pool, &new).await? {
        AddResult::Created => {
            record_id(environment.id);
            record_id(environment.operation_id);
            app.work_notifier.notify();
            Ok(idempotency::accepted_response(response))
        }
        AddResult::ExistingKey(key) => {
            Ok(idempotency::mark_as_replayed(idempotency::accepted_response(idempotency::stored_response(key)?)))
        }
        AddResult::Refused(refusal) => Err(refuse(refusal)),
        AddResult::DailyLimitReached(reached) => Err(account_limit::refuse(&app, reached)),
    }
}

fn refuse(refusal: AddRefusal) -> ApiError {
    match refusal {
        AddRefusal::TenantNotFound => ApiError::tenant_not_found(),
        AddRefusal::TenantOffboarded => {
            ApiError::new(Code::TenantOffboarded, "The tenant is offboarded; create a new one.")
        }
        AddRefusal::TenantSuspended => ApiError::new(
            Code::TenantSuspended,
            "The tenant is suspended. An operator must resume it before it can get another environment.",
        ),
        AddRefusal::ReservedForOperator => ApiError::new(
            Code::StartedByOperator,
            "An operator is offboarding the tenant, so only an operator can add an environment.",
        ),
        AddRefusal::TooManyEnvironments => ApiError::new(
            Code::TooManyEnvironments,
            format!("A tenant has at most {} environments at a time.", db::lifecycle::MAX_ENVIRONMENTS),
        ),
    }
}

/// Get an environment of a tenant
#[utoipa::path(
    get,
    path = "/v1/tenants/{id}/environments/{name}",
    operation_id = "getEnvironment",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "Name of the environment", example = "production"),
    ),
    responses((status = 200, description = "Environment", body = Environment)),
)]
pub(crate) async fn get_environment(
    State(app): State<App>,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
) -> Result<Json<Environment>, ApiError> {
    let id = id.ok_or_else(ApiError::tenant_not_found)?;
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::tenant_not_found)?;
    let mut matches = tenant.environments.into_iter().filter(|environment| Some(&environment.name) == name.as_ref());
    // The name of an offboarded environment can be used again, so the newest match is returned.
    let found = matches.next_back().ok_or_else(not_found)?;
    Ok(Json(Environment::of(&found, &app.config)))
}
