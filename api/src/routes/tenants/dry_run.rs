//! What a signup would come to, without anything coming of it.

use std::path::Path;

use chrono::{DateTime, Utc};
use freehold_tenancy::config::{Config, VendingApproval};
use freehold_tenancy::db::signup::{self, SignupConflicts};
use freehold_tenancy::{Region, db, tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::signup::{IDEMPOTENCY_ROUTE, daily_limit};
use crate::app::App;
use crate::auth::Caller;
use crate::idempotency::Key;
use crate::problem::ApiError;
use crate::routes::schema::operation::Queue;

/// What a signup would come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignupPreview {
    /// Whether it would be accepted.
    pub accepted: bool,
    /// What is there already of what it names.
    pub collisions: Vec<Collision>,
    /// When this client may sign up again; `null` where it has not signed up as many as it may in a day.
    #[schema(required = true)]
    pub signups_exhausted_until: Option<DateTime<Utc>>,
    /// The commercial plan.
    #[schema(example = "standard")]
    pub tier: String,
    /// The named set of regions that it may use.
    #[schema(example = "eu")]
    pub residency: String,
    /// Where its stacks would run first.
    #[schema(example = "eu-central-1")]
    pub home_region: String,
    /// The OU that its accounts would be placed in.
    #[schema(example = "freehold-eu")]
    pub organizational_unit: String,
    /// The service control policy on that OU, which denies every other region.
    #[schema(example = "freehold-region-eu")]
    pub guardrail: String,
    /// The CloudFormation stack that would be deployed.
    #[schema(example = "freehold-tenant")]
    pub stack: String,
    /// The file that it is made from; `null` for Freehold's own.
    #[schema(required = true, example = "stack.yaml")]
    pub template: Option<String>,
    /// Whether another person would have to approve each account first.
    pub approval_required: bool,
    /// Its environments, each of which would get an AWS account.
    pub environments: Vec<EnvironmentPreview>,
}

/// What would become of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentPreview {
    /// What it would be called.
    #[schema(example = "production")]
    pub name: String,
    /// Where it would stand in line for an account, and when it would be ready.
    pub queue: Queue,
}

/// Something that a live tenant has already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Collision {
    /// The field of the signup.
    #[schema(example = "external_id")]
    pub field: String,
    /// Whether the signup would be refused for it.
    pub refused: bool,
    /// What it is, for people.
    #[schema(example = "a live tenant has this external_id")]
    pub message: String,
}

pub(super) async fn dry_run(app: &App, caller: &Caller, tenant: &tenant::Tenant) -> Result<SignupPreview, ApiError> {
    let (config, now) = (&*app.config, app.clock.now());
    let collisions = into_conflicts(signup::find_conflicts(&app.pool, tenant).await?);
    let signups_exhausted_until = match daily_limit(config) {
        Some(most) => {
            signup::daily_limit_resets_at(&app.pool, &Key::any_of(caller, IDEMPOTENCY_ROUTE), most, now).await?
        }
        None => None,
    };
    let regions: Vec<Region> = tenant.environments.iter().map(|environment| environment.home_region).collect();
    let queues = db::queue::estimate_for_new(&app.pool, config, &regions, now).await?;
    let environments = tenant
        .environments
        .iter()
        .zip(queues)
        .map(|(environment, queue)| EnvironmentPreview { name: environment.name.to_string(), queue: queue.into() });
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
        organizational_unit: residency.ou_name(),
        guardrail: residency.guardrail_name(),
        stack: config.stack.name.clone(),
        template: template(config),
        approval_required: config.tier(&tenant.tier).is_some_and(|tier| tier.approval == VendingApproval::Required),
        environments,
    })
}

/// The file's name: where it lies on our disk is nobody's business.
fn template(config: &Config) -> Option<String> {
    let path: &Path = config.stack.template.as_deref()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}

fn into_conflicts(collisions: SignupConflicts) -> Vec<Collision> {
    [
        (collisions.external_id, "external_id", true, "a live tenant has this external_id"),
        (collisions.company_name, "company_name", false, "a live tenant calls itself so; is this the same customer?"),
        (
            collisions.admin_email,
            "admin_email",
            false,
            "a live tenant is administered by this person; is this the same customer?",
        ),
    ]
    .into_iter()
    .filter(|(collides, ..)| *collides)
    .map(|(_, field, refused, message)| Collision { field: field.to_owned(), refused, message: message.to_owned() })
    .collect()
}
