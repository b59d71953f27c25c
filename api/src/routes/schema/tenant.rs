//! Tenants and environments, as several routes answer them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_tenancy::{environment, tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::enums::TenantState;

/// One customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    /// Its id.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub id: String,
    /// What it calls itself.
    #[schema(example = "Example GmbH")]
    pub company_name: String,
    /// The person who administers it; `null` once the tenant is gone.
    #[schema(required = true, example = "admin@example.com")]
    pub admin_email: Option<String>,
    /// Where it stands: as its worst environment does.
    #[schema(value_type = TenantState, example = "ready")]
    pub state: String,
    /// Its commercial plan.
    #[schema(example = "standard")]
    pub tier: String,
    /// The id that the SaaS gives it.
    #[schema(required = true, example = "customer-4711")]
    pub external_id: Option<String>,
    /// Free key and value pairs.
    #[schema(example = json!({ "team": "north" }))]
    pub labels: BTreeMap<String, String>,
    /// Its environments, in the order in which they were asked for.
    pub environments: Vec<Environment>,
    /// Why nothing of it may be destroyed; `null` where it may.
    #[schema(required = true)]
    pub legal_hold: Option<String>,
    /// When the signup was accepted.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<tenant::Tenant> for Tenant {
    fn from(tenant: tenant::Tenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            state: tenant.state().to_string(),
            company_name: tenant.company_name.into(),
            admin_email: tenant.admin_email.map(String::from),
            tier: tenant.tier.into(),
            external_id: tenant.external_id.map(String::from),
            labels: tenant.labels,
            legal_hold: tenant.legal_hold.map(|hold| hold.reason),
            environments: tenant.environments.into_iter().map(Environment::from).collect(),
            created_at: tenant.created_at,
            updated_at: tenant.updated_at,
        }
    }
}

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
    #[schema(value_type = TenantState, example = "ready")]
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
    /// When it was gone; `null` until then.
    #[schema(required = true)]
    pub offboarded_at: Option<DateTime<Utc>>,
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
            offboarded_at: environment.offboarded_at,
        }
    }
}
