//! Response schemas of tenants and environments.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::{Config, environment, environment_pin, finding, front_door, tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::enums::{FindingRemedy, FrontDoorState, RegionRole, RegionState, Severity, SuspensionReason, TenantState};
use crate::routes::maintenance_windows::MaintenanceWindow;

/// Tenant: one customer with its environments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    /// Id of the tenant.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub id: String,
    /// Name of the company.
    #[schema(example = "Example GmbH")]
    pub company_name: String,
    /// E-mail address of the tenant's administrator; `null` once the tenant is offboarded.
    #[schema(required = true, example = "admin@example.com")]
    pub admin_email: Option<String>,
    /// State of the tenant: the first of `degraded`, `needs_attention`, `onboarding`, `restoring`, `ready`,
    /// `suspended`, `offboarding` and `offboarded` that one of its environments has. The onboarding of an environment
    /// that was added after the signup counts only if no environment is ready.
    #[schema(value_type = TenantState, example = "ready")]
    pub state: String,
    /// Commercial plan.
    #[schema(example = "standard")]
    pub tier: String,
    /// Id of the tenant in the systems of the SaaS; `null` if none was given.
    #[schema(required = true, example = "customer-4711")]
    pub external_id: Option<String>,
    /// Labels: key-value pairs of your choice.
    #[serde(default)]
    #[schema(required = true, example = json!({ "team": "north" }))]
    pub labels: BTreeMap<String, String>,
    /// Weekly times in which updates of the environments may start; an empty list allows any time.
    #[serde(default)]
    #[schema(required = true)]
    pub maintenance_windows: Vec<MaintenanceWindow>,
    /// Environments in the order of their creation.
    pub environments: Vec<Environment>,
    /// Reason of the legal hold; `null` without a legal hold.
    #[schema(required = true)]
    pub legal_hold: Option<String>,
    /// Suspension by an operator; `null` if the tenant is not suspended.
    #[serde(default)]
    #[schema(required = true)]
    pub suspension: Option<Suspension>,
    /// Time of the signup.
    pub created_at: DateTime<Utc>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
}

impl Tenant {
    pub(crate) fn of(tenant: tenant::Tenant, config: &Config) -> Self {
        let environments = tenant.environments.iter().map(|environment| Environment::of(environment, config)).collect();
        Self {
            id: tenant.id.to_string(),
            state: tenant.state().to_string(),
            company_name: tenant.company_name.into(),
            admin_email: tenant.admin_email.map(String::from),
            tier: tenant.tier.into(),
            external_id: tenant.external_id.map(String::from),
            labels: tenant.labels,
            maintenance_windows: tenant.maintenance_windows.0.into_iter().map(MaintenanceWindow::from).collect(),
            legal_hold: tenant.legal_hold.map(|hold| hold.reason),
            suspension: tenant.suspension.map(Suspension::from),
            environments,
            created_at: tenant.created_at,
            updated_at: tenant.updated_at,
        }
    }
}

/// Suspension of a tenant by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Suspension {
    /// Reason for the suspension.
    #[schema(value_type = SuspensionReason, example = "non_payment")]
    pub reason: String,
    /// Details of the operator; `null` if none were given.
    #[schema(required = true, example = "Invoice 4711 is two months overdue.")]
    pub note: Option<String>,
    /// Start of the suspension.
    pub since: DateTime<Utc>,
}

impl From<tenant::Suspension> for Suspension {
    fn from(suspension: tenant::Suspension) -> Self {
        Self { reason: suspension.reason.to_string(), note: suspension.note, since: suspension.since }
    }
}

/// Environment: one isolated installation of a tenant in an AWS account of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Environment {
    /// Id of the environment.
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub id: String,
    /// Tenant that owns the environment.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: String,
    /// Name, unique within the tenant.
    #[schema(example = "production")]
    pub name: String,
    /// State of the environment: `degraded` while a critical finding about a verified environment is open, unless the
    /// environment is being offboarded; `suspended` while the tenant is; otherwise the state of its operation.
    #[schema(value_type = TenantState, example = "ready")]
    pub state: String,
    /// Residency: the named set of regions that the environment may use.
    #[schema(example = "eu")]
    pub residency: String,
    /// Home region, whose stack makes the environment ready.
    #[schema(example = "eu-central-1")]
    pub home_region: String,
    /// Regions of the environment: the home region first, then the replica regions. Empty once the environment is
    /// offboarded.
    #[serde(default)]
    #[schema(required = true)]
    pub regions: Vec<EnvironmentRegion>,
    /// Front door: a CloudFront distribution in front of the regions.
    #[serde(default)]
    #[schema(required = true)]
    pub front_door: FrontDoor,
    /// URL of the environment: that of its front door, or else that of its home region; `null` before the first
    /// verification, or if the stack has no URL.
    #[schema(required = true, example = "https://abc123.lambda-url.eu-central-1.on.aws/")]
    pub url: Option<String>,
    /// Release of the home region; `null` before it is deployed, and for a stack that was deployed before releases
    /// existed.
    #[serde(default)]
    #[schema(required = true, example = "rel_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub release: Option<String>,
    /// Id of the AWS account of the environment (12 digits); `null` until the account is confirmed.
    #[schema(required = true, example = "111122223333", pattern = "^[0-9]{12}$")]
    pub aws_account_id: Option<String>,
    /// Version of the baseline, the stack with the roles of Freehold in the account; `null` until it is installed.
    #[schema(required = true, example = "1-3f2a9c01b4d7")]
    pub baseline_version: Option<String>,
    /// Id of the unfinished operation of the environment, or of the latest operation if all have finished.
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub operation_id: String,
    /// Pin of the environment to its release; `null` without one.
    #[serde(default)]
    #[schema(required = true)]
    pub pin: Option<EnvironmentPin>,
    /// Time of the request for the environment.
    pub created_at: DateTime<Utc>,
    /// Time at which the environment was first ready; `null` until then.
    #[schema(required = true)]
    pub ready_at: Option<DateTime<Utc>>,
    /// Time at which the environment was offboarded; `null` until then.
    #[schema(required = true)]
    pub offboarded_at: Option<DateTime<Utc>>,
    /// Open findings about the environment, the most severe first.
    pub findings: Vec<OpenFinding>,
}

/// Pin of an environment to its release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentPin {
    /// Reason of the pin.
    #[schema(example = "The customer tests the release until March.")]
    pub reason: String,
    /// End of the pin, after which updates may start again; `null` if it lasts until it is deleted. A pin is shown
    /// until it is deleted or replaced, also after its end.
    #[schema(required = true)]
    pub until: Option<DateTime<Utc>>,
    /// Subject of the token that pinned the environment.
    #[schema(example = "ann")]
    pub pinned_by: String,
    /// Time of the request for the pin.
    pub pinned_at: DateTime<Utc>,
}

impl From<&environment_pin::EnvironmentPin> for EnvironmentPin {
    fn from(pin: &environment_pin::EnvironmentPin) -> Self {
        Self {
            reason: pin.reason.clone(),
            until: pin.until,
            pinned_by: pin.pinned_by.subject.clone(),
            pinned_at: pin.pinned_at,
        }
    }
}

/// Region of an environment, with the state of its stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentRegion {
    /// AWS region.
    #[schema(example = "eu-west-1")]
    pub region: String,
    /// Role of the region.
    #[schema(value_type = RegionRole, example = "replica")]
    pub role: String,
    /// State of the region. A region that is `leaving` was removed, or its environment is being offboarded: its stack
    /// is deleted after the cooling-off period.
    #[schema(value_type = RegionState, example = "ready")]
    pub state: String,
    /// ARN of the CloudFormation stack; `null` until AWS has returned it.
    #[schema(
        required = true,
        example = "arn:aws:cloudformation:eu-west-1:111122223333:stack/freehold-tenant/5c3b8e90"
    )]
    pub stack_id: Option<String>,
    /// Release of the stack; `null` before it is deployed, and for a stack that was deployed before releases existed.
    #[serde(default)]
    #[schema(required = true, example = "rel_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub release: Option<String>,
    /// URL of the stack; `null` before the first verification, or if the stack has no URL.
    #[schema(required = true, example = "https://abc123.lambda-url.eu-west-1.on.aws/")]
    pub url: Option<String>,
    /// Time since which the region has this state.
    pub since: DateTime<Utc>,
    /// Human-readable reason of the state; `null` if there is none.
    #[schema(required = true, example = json!(null))]
    pub message: Option<String>,
}

impl From<environment::EnvironmentRegion> for EnvironmentRegion {
    fn from(region: environment::EnvironmentRegion) -> Self {
        Self {
            region: region.region.to_string(),
            role: region.role.to_string(),
            state: region.state.to_string(),
            stack_id: region.stack_id,
            release: region.release.map(|release| release.to_string()),
            url: region.url,
            since: region.since,
            message: region.message,
        }
    }
}

/// Front door of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FrontDoor {
    /// State of the front door.
    #[schema(value_type = FrontDoorState, example = "deployed")]
    pub state: String,
    /// Domain name of the distribution; `null` until it is created.
    #[schema(required = true, example = "d111111abcdef8.cloudfront.net")]
    pub domain: Option<String>,
    /// Replica region that answers GET, HEAD and OPTIONS if the home region fails; `null` if there is none.
    #[schema(required = true, example = "eu-west-1")]
    pub failover_region: Option<String>,
    /// Time since which the front door has this state; `null` without a front door.
    #[schema(required = true)]
    pub since: Option<DateTime<Utc>>,
    /// Human-readable reason of the state; `null` if there is none.
    #[schema(required = true, example = json!(null))]
    pub message: Option<String>,
}

impl Default for FrontDoor {
    fn default() -> Self {
        Self { state: "none".to_owned(), domain: None, failover_region: None, since: None, message: None }
    }
}

impl From<&front_door::FrontDoor> for FrontDoor {
    fn from(front_door: &front_door::FrontDoor) -> Self {
        Self {
            state: front_door.state.to_string(),
            domain: front_door.domain.clone(),
            failover_region: front_door.failover_region.map(|region| region.to_string()),
            since: Some(front_door.since),
            message: front_door.message.clone(),
        }
    }
}

/// Open finding about an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenFinding {
    /// Id of the finding.
    #[schema(example = "find_01k2m8v3x9e7rt4s5q6w7y8z9e")]
    pub id: String,
    /// Kind of the difference: a stable, machine-readable code.
    #[schema(example = "wrong_ou")]
    pub kind: String,
    /// Severity of the finding. A critical finding makes the environment `degraded`.
    #[schema(value_type = Severity, example = "critical")]
    pub severity: String,
    /// Human-readable description of the difference and of the necessary action.
    #[serde(default)]
    #[schema(
        required = true,
        example = "Account 111122223333, production of Example GmbH, is in r-ab12 and not in OU freehold-eu."
    )]
    pub message: String,
    /// Remedy of the finding. The remedy changes to `person` if the finding remains after a repair.
    #[schema(value_type = FindingRemedy, example = "repair")]
    pub remedy: String,
    /// Id of the repair operation; `null` if no repair was started.
    #[schema(required = true, example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub operation_id: Option<String>,
    /// Time at which the difference was first found.
    pub first_seen_at: DateTime<Utc>,
}

impl From<finding::Finding> for OpenFinding {
    fn from(finding: finding::Finding) -> Self {
        Self {
            id: finding.id.to_string(),
            kind: finding.kind.to_string(),
            severity: finding.severity.to_string(),
            message: finding.message,
            remedy: finding.remedy.to_string(),
            operation_id: finding.operation_id.map(|id| id.to_string()),
            first_seen_at: finding.first_seen_at,
        }
    }
}

impl Environment {
    pub(crate) fn of(environment: &environment::Environment, config: &Config) -> Self {
        let regions = environment.regions(&config.stack.url_output);
        let front_door = environment.front_door.as_ref();
        let front_door = front_door.filter(|_| environment.state != EnvironmentState::Offboarded);
        Self {
            id: environment.id.to_string(),
            tenant_id: environment.tenant_id.to_string(),
            name: environment.name.to_string(),
            state: environment.state.to_string(),
            residency: environment.residency.to_string(),
            home_region: environment.home_region.to_string(),
            front_door: front_door.map(FrontDoor::from).unwrap_or_default(),
            url: environment.url(&config.stack.url_output),
            release: regions.first().and_then(|home| home.release).map(|release| release.to_string()),
            regions: regions.into_iter().map(EnvironmentRegion::from).collect(),
            aws_account_id: environment.aws_account_id.as_ref().map(ToString::to_string),
            baseline_version: environment.baseline_version.as_ref().map(ToString::to_string),
            operation_id: environment.operation_id.to_string(),
            pin: environment.pin.as_ref().map(EnvironmentPin::from),
            created_at: environment.created_at,
            ready_at: environment.ready_at,
            offboarded_at: environment.offboarded_at,
            findings: environment.findings.iter().cloned().map(OpenFinding::from).collect(),
        }
    }
}
