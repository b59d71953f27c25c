//! Parsing and validation of signup requests.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_tenancy::aws::constraints::{USER_EMAIL, USER_NAME};
use freehold_tenancy::environment::{Environment, EnvironmentState};
use freehold_tenancy::front_door::FrontDoor;
use freehold_tenancy::maintenance_window::MaintenanceWindows;
use freehold_tenancy::release::StackParameters;
use freehold_tenancy::replica::Replica;
use freehold_tenancy::tenant::{Labels, Tenant};
use freehold_tenancy::{Config, EmailAddress, EnvironmentId, EnvironmentName, OperationId, TenantId, Tier};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::extract::{Fields, sanitize_field_name};
use crate::problem::ApiError;
use crate::routes::front_door::parse_new_front_door;
use crate::routes::region_rules::RegionRules;

/// Route name under which idempotency keys of signups are stored.
pub(super) const IDEMPOTENCY_ROUTE: &str = "POST /v1/tenants";

/// Maximum number of environments in a signup.
const MAX_ENVIRONMENTS: usize = 5;

/// Maximum number of labels per tenant.
const MAX_LABELS: usize = 32;

/// Maximum length of a label key, in characters.
const MAX_LABEL_KEY_CHARS: usize = 63;

/// Maximum length of a label value, in characters.
const MAX_LABEL_VALUE_CHARS: usize = 255;

/// Name of the environment that is created if a signup does not contain `environments`.
const DEFAULT_ENVIRONMENT: &str = "production";

/// Signup of a tenant. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Signup {
    /// Name of the company.
    #[schema(example = "Example GmbH", min_length = 1, max_length = 120)]
    pub company_name: String,
    /// E-mail address of the tenant's administrator. It is not the address of an AWS account.
    #[schema(example = "admin@example.com", max_length = 254)]
    pub admin_email: String,
    /// Home region, in which the stacks run: a region of one of the configured residencies.
    #[schema(example = "eu-central-1")]
    pub home_region: String,
    /// Replica regions, in which a further copy of each environment's stack runs: at most three other regions of the
    /// same residency [default: none].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["eu-west-1"]), max_items = 3)]
    pub replica_regions: Option<Vec<String>>,
    /// Front door: one address of each environment that survives the loss of its home region, for residencies that
    /// allow edge locations [default: as configured for the tier].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = true)]
    pub front_door: Option<bool>,
    /// Residency: the named set of regions that the tenant may use. It must contain `home_region` [default: the
    /// residency of `home_region`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "eu")]
    pub residency: Option<String>,
    /// Commercial plan, as named in the configuration [default: the first configured plan].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "standard")]
    pub tier: Option<String>,
    /// Id of the tenant in the systems of the SaaS; unique among active tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "customer-4711", min_length = 1, max_length = 128)]
    pub external_id: Option<String>,
    /// Names of the environments, each of which gets an AWS account [default: `["production"]`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["production", "staging"]), min_items = 1, max_items = 5)]
    pub environments: Option<Vec<String>>,
    /// Labels: at most 32 key-value pairs of your choice. Keys have 1 to 63 characters, values at most 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!({ "team": "north" }))]
    pub labels: Option<BTreeMap<String, String>>,
}

/// Parses a signup and returns a tenant with new ids. The error lists all invalid fields.
pub(crate) fn parse_signup(mut fields: Fields, rules: RegionRules<'_>, now: DateTime<Utc>) -> Result<Tenant, ApiError> {
    let config = rules.config;
    let company_name = fields.required("company_name");
    let admin_email = fields.required("admin_email");
    let home_region = fields.required_with_code("home_region", "unknown_region");
    let residency = rules.parse_residency(&mut fields, home_region);
    let replica_regions = rules.parse_replica_regions(&mut fields, home_region, residency.as_ref(), &[]);
    let tier = parse_tier(&mut fields, config);
    if let (Some(email), Some(tier)) = (&admin_email, &tier)
        && let Some(violation) = user_violation(config, tier, email)
    {
        fields.error("admin_email", "invalid", violation);
    }
    let front_door = parse_new_front_door(&mut fields, rules, home_region, tier.as_ref(), residency.as_ref());
    let external_id = fields.optional("external_id");
    let names = parse_environments(&mut fields);
    let labels = parse_labels(&mut fields);

    let parsed = company_name.zip(admin_email).zip(home_region).zip(residency).zip(tier).zip(names);
    let (((((company_name, admin_email), home_region), residency), tier), names) = fields.finish(parsed)?;
    let tenant_id = TenantId::new(now);
    // Environments are listed by id and operations are queued by id. Ids of the same millisecond are in random order,
    // so they are sorted here to keep the order of the request.
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
        replicas: Replica::of_new_environment(&replica_regions, now),
        front_door: front_door.then(|| FrontDoor::requested(now)),
        parameters: StackParameters::new(),
        home_stack: None,
        state: EnvironmentState::Onboarding,
        aws_account_id: None,
        baseline_version: None,
        operation_id,
        created_at: now,
        updated_at: now,
        ready_at: None,
        pin: None,
        offboarded_at: None,
        findings: Vec::new(),
    };
    let environments = ids.into_iter().zip(operations).zip(names).map(environment).collect();
    Ok(Tenant {
        id: tenant_id,
        company_name,
        admin_email: Some(admin_email),
        tier,
        external_id,
        labels,
        maintenance_windows: MaintenanceWindows::default(),
        created_at: now,
        updated_at: now,
        legal_hold: None,
        suspension: None,
        environments,
    })
}

pub(super) fn parse_tier(fields: &mut Fields, config: &Config) -> Option<Tier> {
    if !fields.has_value("tier") {
        return config.tiers.first().map(|tier| tier.name.clone());
    }
    let tier: Tier = fields.optional("tier")?;
    if config.tier(&tier).is_none() {
        let known: Vec<_> = config.tiers.iter().map(|tier| tier.name.as_str()).collect();
        fields.error("tier", "unknown_tier", format!("must be one of {}", known.join(", ")));
    }
    Some(tier)
}

/// Returns the rule for users of Identity Center that the administrator's e-mail address violates. Returns `None` if
/// the address is accepted, or if Freehold creates no user for tenants of this tier.
pub(in crate::routes) fn user_violation(config: &Config, tier: &Tier, email: &EmailAddress) -> Option<String> {
    config.tier(tier)?.tenant_group_permission_set.as_ref()?;
    let violation = USER_NAME.violation(email.as_str()).or_else(|| USER_EMAIL.violation(email.as_str()))?;
    Some(format!("{violation}, because in the tier `{tier}` it becomes a user name of IAM Identity Center"))
}

fn parse_environments(fields: &mut Fields) -> Option<Vec<EnvironmentName>> {
    if !fields.has_value("environments") {
        return DEFAULT_ENVIRONMENT.parse().ok().map(|name| vec![name]);
    }
    let (count, valid): (usize, Vec<(usize, EnvironmentName)>) = fields.list("environments")?;
    if !(1..=MAX_ENVIRONMENTS).contains(&count) {
        let message = format!("must have 1 to {MAX_ENVIRONMENTS} environments");
        fields.error("environments", "invalid", message);
    }
    let mut names = Vec::new();
    for (index, name) in valid {
        if names.contains(&name) {
            fields.error(format!("environments[{index}]"), "repeated", "each environment must have a different name");
        }
        names.push(name);
    }
    Some(names)
}

fn parse_labels(fields: &mut Fields) -> Labels {
    let labels = fields.string_map("labels").unwrap_or_default();
    check_labels(fields, &labels);
    labels
}

/// Records an error for each invalid label.
pub(super) fn check_labels(fields: &mut Fields, labels: &Labels) {
    if labels.len() > MAX_LABELS {
        fields.error("labels", "too_many", format!("a tenant can have at most {MAX_LABELS} labels"));
    }
    for (key, value) in labels {
        let field = format!("labels.{}", sanitize_field_name(key));
        if !(1..=MAX_LABEL_KEY_CHARS).contains(&key.chars().count()) || key.chars().any(char::is_control) {
            let message = format!("a key must have 1 to {MAX_LABEL_KEY_CHARS} characters and no control characters");
            fields.error(field, "invalid", message);
        } else if value.chars().count() > MAX_LABEL_VALUE_CHARS || value.chars().any(char::is_control) {
            let message =
                format!("a value must have at most {MAX_LABEL_VALUE_CHARS} characters and no control characters");
            fields.error(field, "invalid", message);
        }
    }
}
