//! Environments: the isolated installations of a tenant, each in an AWS account of its own.

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use freehold_tenancy::db::idempotency::StoredResponse;
use freehold_tenancy::db::lifecycle::AddResult;
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::{EnvironmentId, EnvironmentName, OperationId, Region, TenantId, db, environment};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema::tenant::Environment;
use super::tenants::signup::residency_of;
use crate::app::App;
use crate::auth::Caller;
use crate::extract::{JsonFields, PathParam};
use crate::idempotency::{self, Key};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// Another environment of a tenant. Fields that are not named here are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEnvironment {
    /// What it is called: lower case letters, digits and hyphens; unique within the tenant.
    #[schema(example = "staging", pattern = "^[a-z][a-z0-9-]{0,31}$")]
    pub name: String,
    /// Where its stack runs first; where the tenant's first environment does, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "eu-central-1")]
    pub home_region: Option<String>,
}

pub(super) fn not_found() -> ApiError {
    ApiError::new(Code::EnvironmentNotFound, "The tenant has no environment of this name.")
}

/// Give a tenant another environment
///
/// It gets an AWS account of its own, as those of the signup did. Sent again with the same `Idempotency-Key` and body, it
/// answers the same and does nothing.
#[utoipa::path(
    post,
    path = "/v1/tenants/{id}/environments",
    operation_id = "createEnvironment",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "The tenant", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("Idempotency-Key" = String, Header, description = "Makes it happen once however often it is sent, as for a signup; kept for seven days", example = "7f3a0f1e-4c1c-4a51-9e0b-0d5d3b1f6b57"),
    ),
    request_body = NewEnvironment,
    responses(
        (status = 202, description = "Accepted: its operation has begun", body = Environment, headers(
            ("Location" = String, description = "Where the environment is found"),
            ("Retry-After" = u32, description = "Seconds after which to look again"),
            ("Idempotency-Replayed" = bool, description = "`true` where this answer was given before"),
        )),
        (status = 409, description = "The tenant has an environment of this name (`environment_exists`) or too many (`too_many_environments`), is gone (`tenant_offboarded`), or the same request is being worked on (`idempotency_key_in_flight`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn create_environment(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    key: Key,
    JsonFields(mut fields): JsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::no_tenant)?;
    let request_hash = idempotency::hash(fields.values());
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::no_tenant)?;
    let name: Option<EnvironmentName> = fields.required("name");
    let usual = tenant.environments.first().map(|first| first.home_region);
    let home_region: Option<Region> = if fields.names("home_region") { fields.optional("home_region") } else { usual };
    let residency = home_region.and_then(|region| residency_of(&mut fields, &app.config, region));
    let (name, (home_region, residency)) = fields.finish(name.zip(home_region.zip(residency)))?;

    let now = app.clock.now();
    let environment = environment::Environment {
        id: EnvironmentId::new(now),
        tenant_id: id,
        name,
        residency,
        home_region,
        state: EnvironmentState::Onboarding,
        aws_account_id: None,
        operation_id: OperationId::new(now),
        created_at: now,
        ready_at: None,
        offboarded_at: None,
    };
    let location = format!("/v1/tenants/{id}/environments/{}", environment.name);
    let body = serde_json::to_string(&Environment::from(environment.clone())).map_err(|_| ApiError::internal())?;
    let answer = StoredResponse { status: 202, location, body };
    let key = key.of(&caller, &format!("POST /v1/tenants/{id}/environments"));
    match db::lifecycle::add_environment(&app.pool, &key, request_hash, &environment, &caller.requester(), &answer)
        .await?
    {
        AddResult::Accepted => {
            app.work_notifier.notify();
            Ok(idempotency::accepted(answer))
        }
        AddResult::ExistingKey(known) => {
            Ok(idempotency::replayed(idempotency::accepted(idempotency::stored_response(known)?)))
        }
        AddResult::UnknownTenant => Err(ApiError::no_tenant()),
        AddResult::TenantGone => Err(ApiError::new(Code::TenantOffboarded, "The tenant is gone; sign it up anew.")),
        AddResult::TooMany => Err(ApiError::new(
            Code::TooManyEnvironments,
            format!("A tenant has at most {} environments at a time.", db::lifecycle::MAX_ENVIRONMENTS),
        )),
    }
}

/// One environment of a tenant
#[utoipa::path(
    get,
    path = "/v1/tenants/{id}/environments/{name}",
    operation_id = "getEnvironment",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "The tenant", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "What the environment is called", example = "production"),
    ),
    responses((status = 200, description = "The environment", body = Environment)),
)]
pub(crate) async fn get_environment(
    State(app): State<App>,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
) -> Result<Json<Environment>, ApiError> {
    let id = id.ok_or_else(ApiError::no_tenant)?;
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::no_tenant)?;
    let mut named = tenant.environments.into_iter().filter(|environment| Some(&environment.name) == name.as_ref());
    // The name of one that is gone may have been given again.
    let found = named.next_back().ok_or_else(not_found)?;
    Ok(Json(found.into()))
}
