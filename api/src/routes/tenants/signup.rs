//! What a signup says, and what becomes of it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use freehold_tenancy::environment::{Environment, EnvironmentState};
use freehold_tenancy::tenant::{Labels, Tenant};
use freehold_tenancy::{Config, EnvironmentId, EnvironmentName, OperationId, Region, ResidencyName, TenantId, Tier};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::extract::{Fields, shortened};
use crate::problem::ApiError;

/// Route name under which idempotency keys of signups are stored.
pub(super) const IDEMPOTENCY_ROUTE: &str = "POST /v1/tenants";

/// How many environments a tenant may begin with.
const MOST_ENVIRONMENTS: usize = 5;

/// How many labels a tenant may have.
const MOST_LABELS: usize = 32;

/// How long the key of a label may be, in characters.
const LONGEST_KEY: usize = 63;

/// How long the value of a label may be, in characters.
const LONGEST_VALUE: usize = 255;

/// What a customer that does not say so gets.
const USUAL_ENVIRONMENT: &str = "production";

/// A signup. Fields that are not named here are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Signup {
    /// What the customer calls itself.
    #[schema(example = "Example GmbH", min_length = 1, max_length = 120)]
    pub company_name: String,
    /// The person who administers it. Not the e-mail address of an AWS account.
    #[schema(example = "admin@example.com", max_length = 254)]
    pub admin_email: String,
    /// Where its stacks run first: a region of one of the configured residencies.
    #[schema(example = "eu-central-1")]
    pub home_region: String,
    /// The named set of regions that it may use, which must contain `home_region`; follows from that if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "eu")]
    pub residency: Option<String>,
    /// The commercial plan, as configured; the first one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "standard")]
    pub tier: Option<String>,
    /// The id that the SaaS itself gives the customer; unique among live tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "customer-4711", min_length = 1, max_length = 128)]
    pub external_id: Option<String>,
    /// What its environments are called, each of which gets an AWS account; `["production"]` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["production", "staging"]), min_items = 1, max_items = 5)]
    pub environments: Option<Vec<String>>,
    /// Free key and value pairs: at most 32, keys of 1 to 63 and values of at most 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!({ "team": "north" }))]
    pub labels: Option<BTreeMap<String, String>>,
}

/// The tenant that a signup asks for, with new ids; or everything that does not fit.
pub(crate) fn read(mut fields: Fields, config: &Config, now: DateTime<Utc>) -> Result<Tenant, ApiError> {
    let company_name = fields.required("company_name");
    let admin_email = fields.required("admin_email");
    let home_region = fields.required_or("home_region", "unknown_region");
    let residency = residency(&mut fields, config, home_region);
    let tier = tier(&mut fields, config);
    let external_id = fields.optional("external_id");
    let names = environments(&mut fields);
    let labels = labels(&mut fields);

    let read = company_name.zip(admin_email).zip(home_region).zip(residency).zip(tier).zip(names);
    let (((((company_name, admin_email), home_region), residency), tier), names) = fields.finish(read)?;
    let tenant_id = TenantId::new(now);
    // Environments are listed by their ids and their operations stand in line by theirs, and those of one moment sort as
    // chance has it.
    let mut ids: Vec<_> = names.iter().map(|_| EnvironmentId::new(now)).collect();
    ids.sort_unstable();
    let mut operations: Vec<_> = names.iter().map(|_| OperationId::new(now)).collect();
    operations.sort_unstable();
    let environment = |((id, operation_id), name)| Environment {
        id,
        tenant_id,
        name,
        residency: residency.clone(),
        home_region,
        state: EnvironmentState::Onboarding,
        aws_account_id: None,
        operation_id,
        created_at: now,
        ready_at: None,
        offboarded_at: None,
    };
    let environments = ids.into_iter().zip(operations).zip(names).map(environment).collect();
    Ok(Tenant {
        id: tenant_id,
        company_name,
        admin_email: Some(admin_email),
        tier,
        external_id,
        labels,
        created_at: now,
        updated_at: now,
        legal_hold: None,
        environments,
    })
}

/// Returns the number of signups per client and day, or `None` without a limit.
pub(super) fn daily_limit(config: &Config) -> Option<NonZeroU32> {
    NonZeroU32::new(config.api.signups_per_day)
}

/// The residency that was asked for, or that the region belongs to.
fn residency(fields: &mut Fields, config: &Config, region: Option<Region>) -> Option<ResidencyName> {
    let asked: Option<ResidencyName> = fields.optional("residency");
    if let Some(name) = &asked
        && config.residency(name).is_none()
    {
        let known: Vec<_> = config.residencies.iter().map(|residency| residency.name.as_str()).collect();
        fields.error("residency", "unknown_residency", format!("this must be one of {}", known.join(", ")));
    }
    let region = region?;
    let offered = residency_of(fields, config, region)?;
    if let Some(asked) = asked.and_then(|name| config.residency(&name))
        && asked.name != offered
    {
        let message = format!("{region} belongs to the residency {offered}, not to {}", asked.name);
        fields.error("home_region", "region_outside_residency", message);
    }
    Some(offered)
}

/// The residency that a home region belongs to; one that belongs to none is refused.
pub(in crate::routes) fn residency_of(fields: &mut Fields, config: &Config, region: Region) -> Option<ResidencyName> {
    let offered = config.residency_of(region);
    if offered.is_none() {
        let offered: Vec<_> = config.residencies.iter().flat_map(|residency| &residency.regions).collect();
        let offered: Vec<_> = offered.into_iter().map(|region| region.as_str()).collect();
        let message = format!("{region} is not offered; choose one of {}", offered.join(", "));
        fields.error("home_region", "region_not_offered", message);
    }
    offered.map(|residency| residency.name.clone())
}

pub(super) fn tier(fields: &mut Fields, config: &Config) -> Option<Tier> {
    if !fields.names("tier") {
        return config.tiers.first().map(|tier| tier.name.clone());
    }
    let tier: Tier = fields.optional("tier")?;
    if config.tier(&tier).is_none() {
        let known: Vec<_> = config.tiers.iter().map(|tier| tier.name.as_str()).collect();
        fields.error("tier", "unknown_tier", format!("this must be one of {}", known.join(", ")));
    }
    Some(tier)
}

fn environments(fields: &mut Fields) -> Option<Vec<EnvironmentName>> {
    if !fields.names("environments") {
        return USUAL_ENVIRONMENT.parse().ok().map(|name| vec![name]);
    }
    let (asked, named): (usize, Vec<(usize, EnvironmentName)>) = fields.list("environments")?;
    if !(1..=MOST_ENVIRONMENTS).contains(&asked) {
        let message = format!("a tenant begins with 1 to {MOST_ENVIRONMENTS} environments");
        fields.error("environments", "invalid", message);
    }
    let mut names = Vec::new();
    for (place, name) in named {
        if names.contains(&name) {
            fields.error(format!("environments[{place}]"), "repeated", "each environment needs a name of its own");
        }
        names.push(name);
    }
    Some(names)
}

fn labels(fields: &mut Fields) -> Labels {
    let labels = fields.texts("labels").unwrap_or_default();
    check_labels(fields, &labels);
    labels
}

/// Notes what does not fit about them.
pub(super) fn check_labels(fields: &mut Fields, labels: &Labels) {
    if labels.len() > MOST_LABELS {
        fields.error("labels", "too_many", format!("a tenant has at most {MOST_LABELS} labels"));
    }
    for (key, value) in labels {
        let field = format!("labels.{}", shortened(key));
        if !(1..=LONGEST_KEY).contains(&key.chars().count()) || key.chars().any(char::is_control) {
            let message = format!("a key has 1 to {LONGEST_KEY} characters, none of them a control character");
            fields.error(field, "invalid", message);
        } else if value.chars().count() > LONGEST_VALUE || value.chars().any(char::is_control) {
            let message = format!("a value has at most {LONGEST_VALUE} characters, none of them a control character");
            fields.error(field, "invalid", message);
        }
    }
}
