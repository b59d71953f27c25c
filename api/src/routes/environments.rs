//! Environments: the isolated installations of a tenant, each in an AWS account of its own.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use freehold_tenancy::{EnvironmentName, TenantId, db, environment};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::extract::Id;
use crate::problem::{Code, Refusal};

/// One isolated installation of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Environment {
    /// Its id.
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub id: String,
    /// The tenant whose it is.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: String,
    /// What it is called; unique within the tenant.
    #[schema(example = "production")]
    pub name: String,
    /// Where it stands.
    #[schema(value_type = super::tenants::TenantState, example = "ready")]
    pub state: String,
    /// The named set of regions that it may use.
    #[schema(example = "eu")]
    pub residency: String,
    /// Where its stack runs first.
    #[schema(example = "eu-central-1")]
    pub home_region: String,
    /// Its AWS account: 12 digits; `null` until it is known for certain.
    #[schema(required = true, example = "111122223333", pattern = "^[0-9]{12}$")]
    pub aws_account_id: Option<String>,
    /// Its open operation, or its latest.
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub operation_id: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was first ready; `null` until then.
    #[schema(required = true)]
    pub ready_at: Option<DateTime<Utc>>,
}

impl From<environment::Environment> for Environment {
    fn from(environment: environment::Environment) -> Self {
        Self {
            id: environment.id.to_string(),
            tenant_id: environment.tenant_id.to_string(),
            name: environment.name.to_string(),
            state: environment.state.to_string(),
            residency: environment.residency.to_string(),
            home_region: environment.home_region.to_string(),
            aws_account_id: environment.aws_account_id.map(String::from),
            operation_id: environment.operation_id.to_string(),
            created_at: environment.created_at,
            ready_at: environment.ready_at,
        }
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
    Id(id): Id<TenantId>,
    Id(name): Id<EnvironmentName, 1>,
) -> Result<Json<Environment>, Refusal> {
    let id = id.ok_or_else(super::tenants::not_found)?;
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(super::tenants::not_found)?;
    let found = tenant.environments.into_iter().find(|environment| Some(&environment.name) == name.as_ref());
    let found =
        found.ok_or_else(|| Refusal::new(Code::EnvironmentNotFound, "The tenant has no environment of this name."))?;
    Ok(Json(found.into()))
}
