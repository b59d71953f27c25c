//! Dry run of a signup, which validates the request and returns a preview without creating anything.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::config::Config;
use freehold_tenancy::db::account_limit;
use freehold_tenancy::db::signup::{self, SignupConflicts};
use freehold_tenancy::{Region, db, tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::problem::ApiError;
use crate::routes::schema::operation::Queue;

/// Preview of a signup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignupPreview {
    /// `true` if the signup would be accepted.
    pub accepted: bool,
    /// Fields that an active tenant already uses.
    pub collisions: Vec<Collision>,
    /// Time from which the client can create this tenant; `null` unless its accounts would exceed the daily limit.
    #[schema(required = true)]
    pub signups_exhausted_until: Option<DateTime<Utc>>,
    /// Commercial plan.
    #[schema(example = "standard")]
    pub tier: String,
    /// Residency: the named set of regions that the environments may use.
    #[schema(example = "eu")]
    pub residency: String,
    /// Home region of the environments.
    #[schema(example = "eu-central-1")]
    pub home_region: String,
    /// Replica regions of the environments.
    #[schema(example = json!(["eu-west-1"]))]
    pub replica_regions: Vec<String>,
    /// `true` if the environments would have a front door.
    #[serde(default)]
    #[schema(required = true)]
    pub front_door: bool,
    /// Organizational unit that the AWS accounts would be moved to.
    #[schema(example = "freehold-eu")]
    pub organizational_unit: String,
    /// Service control policy of that organizational unit, which denies all other regions.
    #[schema(example = "freehold-region-eu")]
    pub guardrail: String,
    /// CloudFormation stack that would be deployed.
    #[schema(example = "freehold-tenant")]
    pub stack: String,
    /// File name of the stack's template; `null` for the built-in template.
    #[schema(required = true, example = "stack.yaml")]
    pub template: Option<String>,
    /// `true` if a second person must approve each account before it is created.
    pub approval_required: bool,
    /// Environments that would be created, each with an AWS account of its own.
    pub environments: Vec<EnvironmentPreview>,
}

/// Preview of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentPreview {
    /// Name of the environment.
    #[schema(example = "production")]
    pub name: String,
    /// Position in the queue for an AWS account, with the estimated time of completion; `null` while a fleet hold
    /// stops all work.
    #[schema(required = true)]
    pub queue: Option<Queue>,
}

/// Field of a signup that an active tenant already uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Collision {
    /// Name of the field.
    #[schema(example = "external_id")]
    pub field: String,
    /// `true` if this collision makes the API refuse the signup.
    pub refused: bool,
    /// Human-readable description of the collision.
    #[schema(example = "an active tenant has this external_id")]
    pub message: String,
}

pub(super) async fn dry_run(app: &App, caller: &Caller, tenant: &tenant::Tenant) -> Result<SignupPreview, ApiError> {
    let (config, now) = (&*app.config, app.clock.now());
    let collisions = into_collisions(signup::find_conflicts(&app.pool, tenant).await?);
    let reached = match caller.account_limit(config) {
        Some(limit) => account_limit::check(&app.pool, &limit, tenant.environments.len(), now).await?,
        None => None,
    };
    // A signup that exceeds the limit by itself is never accepted, so there is no time from which it is possible.
    let signups_exhausted_until = reached.map(|reached| reached.until.unwrap_or(now + TimeDelta::days(1)));
    let regions: Vec<Region> = tenant.environments.iter().map(|environment| environment.home_region).collect();
    let mut queues = db::queue::estimate_for_new(&app.pool, config, &regions, now).await?.into_iter();
    let environments = tenant.environments.iter().map(|environment| EnvironmentPreview {
        name: environment.name.to_string(),
        queue: queues.next().map(Queue::from),
    });
    let environments: Vec<_> = environments.collect();
    let first = tenant.environments.first().ok_or_else(ApiError::internal)?;
    let residency = config.residency(&first.residency).ok_or_else(ApiError::internal)?;
    Ok(SignupPreview {
        accepted: signups_exhausted_until.is_none() && !collisions.iter().any(|collision| collision.refused),
        collisions,
        signups_exhausted_until,
        tier: tenant.tier.to_string(),
        residency: residency.name.to_string(),
        home_region: first.home_region.to_string(),
        replica_regions: first.replicas.iter().map(|replica| replica.region.to_string()).collect(),
        front_door: first.front_door.is_some(),
        organizational_unit: residency.ou_name(),
        guardrail: residency.guardrail_name(),
        stack: config.stack.name.clone(),
        template: template_file_name(config),
        approval_required: config.requires_approval(&tenant.tier),
        environments,
    })
}

/// Returns the file name of the template. The directory is internal and not shown to callers.
pub(in crate::routes) fn template_file_name(config: &Config) -> Option<String> {
    let path: &Path = config.stack.template.as_deref()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}

fn into_collisions(collisions: SignupConflicts) -> Vec<Collision> {
    [
        (collisions.external_id, "external_id", true, "an active tenant has this external_id"),
        (collisions.company_name, "company_name", false, "an active tenant has this name; check for a duplicate"),
        (
            collisions.admin_email,
            "admin_email",
            false,
            "an active tenant has this administrator; check for a duplicate",
        ),
    ]
    .into_iter()
    .filter(|(collides, ..)| *collides)
    .map(|(_, field, refused, message)| Collision { field: field.to_owned(), refused, message: message.to_owned() })
    .collect()
}
