//! Configuration in `freehold.toml`, overridden by environment variables.
//!
//! The name of a variable contains the section and the field, separated by two underscores: `FREEHOLD_DATABASE__URL`
//! sets `url` in `[database]`.

mod access;
mod access_role;
mod api;
mod api_limits;
mod audit;
mod check;
mod console;
mod database;
mod front_door;
mod organization;
mod parse;
mod proof;
mod quotas;
mod reconcile;
mod releases;
mod rollout_plan;
mod stack_check;
mod template_source;
mod text_list;
mod toml_error;
mod webhooks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Toml};
use serde::Deserialize;

pub use access::{Access, IdentityCenter, PermissionSet, TierConfig, VendingApproval};
pub use access_role::{AccessRole, Statement, Texts};
pub use api::{Api, ClaimPath, TokenIssuer};
pub use api_limits::ApiLimits;
pub use audit::Audit;
pub use console::Console;
pub use database::{Database, DatabaseRoles, RDS_IAM_TOKEN_REFUSAL, RoleName, is_rds_iam_token};
pub use front_door::FrontDoorConfig;
pub use organization::{
    CloseAccounts, EmailPattern, FRONT_DOOR_PARAMETER, OWN_STACK_PARAMETERS, Offboarding, Organization, Residency,
    Stack, Timeouts,
};
pub use proof::Proof;
pub use quotas::{Bucket, ExpectedDurations, Quotas, Rate};
pub use reconcile::Reconcile;
pub use releases::Releases;
pub use rollout_plan::RolloutPlanConfig;
pub use stack_check::{
    CHECK_PLACEHOLDERS, CheckKind, CheckMethod, StackCheck, fill_placeholders, unknown_placeholders,
};
pub use template_source::{Capability, TEMPLATE_BUCKET_PREFIX, TemplateUrl, sha256_of};
pub use text_list::TextList;
pub use webhooks::{Secrets, Webhooks};

pub use check::is_forbidden_service;
pub(crate) use database::parse_url;

use crate::excerpt::limit_problems;
use crate::{PlanName, Region, ResidencyName, Tier};

/// Complete configuration of an installation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub database: Database,
    /// Address, token validation and limits of the REST API.
    #[serde(default)]
    pub api: Api,
    /// Web pages for people.
    #[serde(default)]
    pub console: Console,
    /// AWS organisation in which accounts are created.
    pub organization: Organization,
    /// Named sets of regions. A region belongs to at most one of them.
    pub residencies: Vec<Residency>,
    /// Commercial plans. The first plan is the default for signups.
    #[serde(default = "TierConfig::standard_only")]
    pub tiers: Vec<TierConfig>,
    /// Identity Center instance, which is discovered automatically if it is in the region of the worker.
    #[serde(default)]
    pub identity_center: IdentityCenter,
    /// Permission sets that `freehold bootstrap` creates and updates.
    #[serde(default)]
    pub permission_sets: Vec<PermissionSet>,
    /// Groups of Identity Center, with the permission set that each group gets in every tenant account.
    #[serde(default)]
    pub access: Vec<Access>,
    /// CloudFormation stack that is deployed into every tenant account.
    #[serde(default)]
    pub stack: Stack,
    /// Permissions of the role that deploys the stack.
    #[serde(default)]
    pub access_role: AccessRole,
    /// Behaviours of the CloudFront distributions in front of environments.
    #[serde(default)]
    pub front_door: FrontDoorConfig,
    #[serde(default)]
    pub offboarding: Offboarding,
    /// Times that steps wait for AWS before the operation needs attention.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// AWS quotas and rate limits of the organisation.
    #[serde(default)]
    pub quotas: Quotas,
    /// Usual durations of AWS work, used until the journal contains enough measured durations.
    #[serde(default)]
    pub expected_durations: ExpectedDurations,
    /// Named plans of rollouts.
    #[serde(default)]
    pub rollout_plans: Vec<RolloutPlanConfig>,
    #[serde(default)]
    pub reconcile: Reconcile,
    #[serde(default)]
    pub audit: Audit,
    /// Keys of residency proofs.
    #[serde(default)]
    pub proof: Proof,
    /// Rules for releases of the tenant stack.
    #[serde(default)]
    pub releases: Releases,
    #[serde(default)]
    pub telemetry: Telemetry,
    #[serde(default)]
    pub webhooks: Webhooks,
    /// Keys that encrypt secrets in the database.
    #[serde(default)]
    pub secrets: Secrets,
}

/// Section `[telemetry]`: metrics and tracing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Address at which a worker serves `/metrics`, `/livez` and `/readyz`. `None` disables them.
    pub worker_metrics_listen: Option<SocketAddr>,
    /// URL that receives traces as OTLP over HTTP, such as `http://localhost:4318`. `None` disables tracing.
    pub otlp_endpoint: Option<String>,
}

/// Configuration with the problems that were found in it.
#[derive(Debug)]
pub struct CheckedConfig {
    /// Configuration in which placeholders replace invalid fields. It can be used only for further validation. `None`
    /// if too many fields are invalid.
    pub config: Option<Config>,
    /// One message for each problem. A message starts with the name of the field.
    pub problems: Vec<String>,
}

impl CheckedConfig {
    /// Returns the configuration, or an error if problems were found.
    pub fn into_config(self) -> Result<Config, ConfigError> {
        match self.config {
            Some(config) if self.problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Inconsistent(limit_problems(self.problems))),
        }
    }
}

/// Error in the configuration. The message names the field.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("configuration file {0} does not exist; pass its path with --config")]
    Missing(PathBuf),
    /// The file cannot be read or is not TOML.
    #[error("cannot read the configuration: {0}")]
    Unreadable(String),
    /// Fields are missing, unknown or invalid. The error contains one message for each problem.
    #[error(
        "the configuration is invalid:\n{}",
        .0.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
    )]
    Inconsistent(Vec<String>),
}

impl Config {
    /// Reads the file `path` and the environment variables.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::check_file(path)?.into_config()
    }

    /// Like [`Config::load`], but returns the problems of invalid fields together with the rest of the configuration.
    pub fn check_file(path: &Path) -> Result<CheckedConfig, ConfigError> {
        if !path.is_file() {
            return Err(ConfigError::Missing(path.to_owned()));
        }
        let checked = std::fs::read_to_string(path).map_err(|error| error.to_string());
        let checked = checked.and_then(|text| toml_error::check_syntax(&text).map(|()| text));
        let checked = checked.map_err(ConfigError::Unreadable).and_then(|text| {
            // All problems of the file are found together with those of the environment.
            parse::parse(Figment::from(Toml::string(&text)).merge(parse::environment()))
        });
        checked.map_err(|error| match error {
            ConfigError::Unreadable(reason) => {
                ConfigError::Unreadable(format!("the file {} must be TOML: {reason}", path.display()))
            }
            error => error,
        })
    }

    /// Parses the text of a `freehold.toml` and ignores the environment variables.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::check_text(text)?.into_config()
    }

    /// Like [`Config::parse`], but returns the problems of invalid fields together with the rest of the configuration.
    pub fn check_text(text: &str) -> Result<CheckedConfig, ConfigError> {
        toml_error::check_syntax(text).map_err(ConfigError::Unreadable)?;
        parse::parse(Figment::from(Toml::string(text)))
    }

    /// Returns the residency that contains `region`.
    pub fn residency_of(&self, region: Region) -> Option<&Residency> {
        self.residencies.iter().find(|residency| residency.regions.contains(&region))
    }

    pub fn residency(&self, name: &ResidencyName) -> Option<&Residency> {
        self.residencies.iter().find(|residency| residency.name == *name)
    }

    pub fn tier(&self, name: &Tier) -> Option<&TierConfig> {
        self.tiers.iter().find(|tier| tier.name == *name)
    }

    pub fn rollout_plan(&self, name: &PlanName) -> Option<&RolloutPlanConfig> {
        self.rollout_plans.iter().find(|plan| plan.name == *name)
    }

    /// Returns whether the residency allows a front door. A residency that is not configured allows none.
    pub fn allows_front_door(&self, residency: &ResidencyName) -> bool {
        self.residency(residency).is_some_and(|residency| residency.edge)
    }

    /// Returns whether a new environment of this tier and residency gets a front door if the request does not say.
    pub fn has_front_door_by_default(&self, tier: &Tier, residency: &ResidencyName) -> bool {
        self.tier(tier).is_some_and(|tier| tier.front_door) && self.allows_front_door(residency)
    }

    /// Returns whether a second person must approve each account of a tenant of this tier.
    pub fn requires_approval(&self, name: &Tier) -> bool {
        self.tier(name).is_some_and(|tier| tier.approval == VendingApproval::Required)
    }

    /// Returns the names of the tiers in which a second person must approve each account.
    pub fn approval_tiers(&self) -> Vec<String> {
        let tiers = self.tiers.iter().filter(|tier| tier.approval == VendingApproval::Required);
        tiers.map(|tier| tier.name.to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = include_str!("config/minimal.toml");

    #[test]
    fn a_minimal_configuration_is_valid() {
        let config = Config::parse(MINIMAL).unwrap();
        assert_eq!(config.tiers[0].name.as_str(), "standard");
        assert_eq!(config.residency_of("eu-central-2".parse().unwrap()).unwrap().name.as_str(), "eu");
    }

    #[test]
    fn an_error_names_the_field() {
        for (change, field) in [
            ("regions = [\"mars-north-1\"]", "regions"),
            ("regions = []", "residencies.eu.regions"),
            ("regions = [\"eu-west-1\"]\nspeed = 3", "speed"),
        ] {
            let text = MINIMAL.replace("regions = [\"eu-central-1\", \"eu-central-2\"]", change);
            let error = Config::parse(&text).unwrap_err().to_string();
            assert!(error.contains(field), "{error} does not name {field}");
        }
    }

    #[test]
    fn an_email_pattern_that_exceeds_the_limit_of_aws_is_rejected() {
        let text = MINIMAL.replace("@example.com", "@a-domain-that-is-much-too-long.example.com");
        assert!(Config::parse(&text).unwrap_err().to_string().contains("organization.account_email"));
    }

    #[test]
    fn a_region_belongs_to_one_residency_only() {
        let text = format!("{MINIMAL}\n[[residencies]]\nname = \"dach\"\nregions = [\"eu-central-2\"]");
        assert!(Config::parse(&text).unwrap_err().to_string().contains("eu-central-2"));
    }

    #[test]
    fn a_quota_can_be_lowered_but_not_to_zero() {
        let with = |quotas: &str| Config::parse(&format!("{MINIMAL}\n[quotas]\n{quotas}"));
        let lowered =
            with("account_closures = 1\n[quotas.rates.\"organizations:CloseAccount\"]\nper_second = 0.01\nburst = 1");
        let bucket = lowered.unwrap().quotas.bucket("organizations:CloseAccount").unwrap();
        assert_eq!((bucket.rate.per_second, bucket.rate.burst), (0.01, 1));
        for (quotas, field) in [
            ("account_closures = 0", "quotas.account_closures"),
            ("permission_set_provisionings = 0", "quotas.permission_set_provisionings"),
            ("throttle_recovery_seconds = 0", "quotas.throttle_recovery_seconds"),
            ("[quotas.rates.sts]\nper_second = 0.0\nburst = 1", "quotas.rates.sts"),
            ("[quotas.rates.CreateAccount]\nper_second = 0.1\nburst = 1", "quotas.rates.CreateAccount"),
        ] {
            let error = with(quotas).unwrap_err().to_string();
            assert!(error.contains(field), "{error} does not name {field}");
        }
    }

    #[test]
    fn a_call_without_its_own_rate_shares_the_rate_of_its_service() {
        let quotas = Quotas::default();
        assert_eq!(quotas.bucket("organizations:MoveAccount").unwrap().name, "organizations:MoveAccount");
        assert_eq!(quotas.bucket("organizations:ListRoots").unwrap().name, "organizations");
        assert_eq!(quotas.bucket("sso:CreateAccountAssignment").unwrap().name, "sso");
    }

    #[test]
    fn access_must_name_a_declared_permission_set() {
        let text = format!("{MINIMAL}\n[[access]]\npermission_set = \"support\"\ngroup = \"support\"");
        assert!(Config::parse(&text).unwrap_err().to_string().contains("access.support"));
    }
}
