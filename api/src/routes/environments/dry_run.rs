//! Dry run of a request for another environment, which validates the request and returns a preview without creating
//! anything.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::db::account_limit;
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::{EnvironmentName, Region, ResidencyName, db, tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::problem::ApiError;
use crate::routes::schema::operation::Queue;
use crate::routes::tenants::{Collision, template_file_name};

/// Preview of an environment that would be added to a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewEnvironmentPreview {
    /// `true` if the request would be accepted.
    pub accepted: bool,
    /// Fields that an active environment of the tenant already uses.
    pub collisions: Vec<Collision>,
    /// Time from which the caller can add this environment; `null` unless its account would exceed the daily limit.
    #[schema(required = true)]
    pub accounts_exhausted_until: Option<DateTime<Utc>>,
    /// Name of the environment.
    #[schema(example = "staging")]
    pub name: String,
    /// Commercial plan of the tenant.
    #[schema(example = "standard")]
    pub tier: String,
    /// Residency: the named set of regions that the environment may use.
    #[schema(example = "eu")]
    pub residency: String,
    /// Home region of the environment.
    #[schema(example = "eu-central-1")]
    pub home_region: String,
    /// Replica regions of the environment.
    #[schema(example = json!(["eu-west-1"]))]
    pub replica_regions: Vec<String>,
    /// `true` if the environment would have a front door.
    #[serde(default)]
    #[schema(required = true)]
    pub front_door: bool,
    /// Organizational unit that the AWS account would be moved to.
    #[serde(default)]
    #[schema(required = true, example = "freehold-eu")]
    pub organizational_unit: String,
    /// Service control policy of that organizational unit, which denies all other regions.
    #[serde(default)]
    #[schema(required = true, example = "freehold-region-eu")]
    pub guardrail: String,
    /// CloudFormation stack that would be deployed.
    #[serde(default)]
    #[schema(required = true, example = "freehold-tenant")]
    pub stack: String,
    /// File name of the stack's template; `null` for the built-in template.
    #[schema(required = true, example = "stack.yaml")]
    pub template: Option<String>,
    /// `true` if a second person must approve the account before it is created.
    pub approval_required: bool,
    /// Position in the queue for an AWS account, with the estimated time of completion; `null` while a fleet hold
    /// stops all work.
    #[schema(required = true)]
    pub queue: Option<Queue>,
}

/// Valid request for another environment.
pub(super) struct Request {
    pub(super) name: EnvironmentName,
    pub(super) home_region: Region,
    pub(super) residency: ResidencyName,
    pub(super) replica_regions: Vec<Region>,
    pub(super) front_door: bool,
}

/// Returns the preview of an environment. Fails if the tenant cannot get another environment at the moment.
pub(super) async fn dry_run(
    app: &App,
    caller: &Caller,
    tenant: &tenant::Tenant,
    request: &Request,
) -> Result<NewEnvironmentPreview, ApiError> {
    let (config, now) = (&*app.config, app.clock.now());
    if let Some(refusal) = db::lifecycle::find_refusal(&app.pool, tenant.id, caller.initiator()).await? {
        return Err(super::refuse(refusal));
    }
    let is_active = |state| state != EnvironmentState::Offboarded;
    let is_used = tenant.environments.iter().any(|other| other.name == request.name && is_active(other.state));
    let collision = is_used.then(|| Collision {
        field: "name".to_owned(),
        refused: true,
        message: "the tenant already has an environment with this name".to_owned(),
    });
    let reached = match caller.account_limit(config) {
        Some(limit) => account_limit::check(&app.pool, &limit, 1, now).await?,
        None => None,
    };
    let residency = config.residency(&request.residency).ok_or_else(ApiError::internal)?;
    let queue = db::queue::estimate_for_new(&app.pool, config, &[request.home_region], now).await?.pop();
    Ok(NewEnvironmentPreview {
        accepted: collision.is_none() && reached.is_none(),
        collisions: collision.into_iter().collect(),
        accounts_exhausted_until: reached.map(|reached| reached.until.unwrap_or(now + TimeDelta::days(1))),
        name: request.name.to_string(),
        tier: tenant.tier.to_string(),
        residency: residency.name.to_string(),
        home_region: request.home_region.to_string(),
        replica_regions: request.replica_regions.iter().map(ToString::to_string).collect(),
        front_door: request.front_door,
        organizational_unit: residency.ou_name(),
        guardrail: residency.guardrail_name(),
        stack: config.stack.name.clone(),
        template: template_file_name(config),
        approval_required: config.requires_approval(&tenant.tier),
        queue: queue.map(Queue::from),
    })
}
