//! `freehold.toml`: everything that an operator declares, and `FREEHOLD_*` variables that override it.
//!
//! A nested field is reached with two underscores: `FREEHOLD_DATABASE__URL` is `url` of `[database]`.

mod access;
mod audit;
mod check;
mod organization;
mod quotas;
mod reconcile;
mod webhooks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use secrecy::SecretString;
use serde::Deserialize;

pub use access::{Access, IdentityCenter, PermissionSet, TierConfig, VendingApproval};
pub use audit::Audit;
pub use organization::{CloseAccounts, EmailPattern, Offboarding, Organization, Residency, Stack, Timeouts};
pub use quotas::{Bucket, ExpectedDurations, Quotas, Rate};
pub use reconcile::Reconcile;
pub use webhooks::{Secrets, Webhooks};

use crate::{Region, ResidencyName, Tier};

/// The whole of `freehold.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where PostgreSQL is.
    #[serde(default)]
    pub database: Database,
    /// How the REST API is reached and whose tokens it believes.
    #[serde(default)]
    pub api: Api,
    /// The AWS organisation that accounts are vended in.
    pub organization: Organization,
    /// Named sets of regions; a home region belongs to exactly one of them.
    pub residencies: Vec<Residency>,
    /// Commercial plans; the first is the one that a signup gets when it names none.
    #[serde(default = "TierConfig::standard_only")]
    pub tiers: Vec<TierConfig>,
    /// The Identity Center instance; found by itself where its region is the worker's own.
    #[serde(default)]
    pub identity_center: IdentityCenter,
    /// Permission sets that `freehold bootstrap` makes and keeps.
    #[serde(default)]
    pub permission_sets: Vec<PermissionSet>,
    /// Which group of Identity Center gets which permission set in every tenant's account.
    #[serde(default)]
    pub access: Vec<Access>,
    /// The CloudFormation stack deployed into every tenant's account.
    #[serde(default)]
    pub stack: Stack,
    /// How environments go.
    #[serde(default)]
    pub offboarding: Offboarding,
    /// How long a step looks for something before a person is asked.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// What AWS lets one organisation do at a time.
    #[serde(default)]
    pub quotas: Quotas,
    /// How long AWS usually takes, until the journal knows better.
    #[serde(default)]
    pub expected_durations: ExpectedDurations,
    /// How often AWS is compared with the database, and what follows.
    #[serde(default)]
    pub reconcile: Reconcile,
    /// The audit trail.
    #[serde(default)]
    pub audit: Audit,
    /// Who is told how the processes are doing.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// Where webhooks may be sent.
    #[serde(default)]
    pub webhooks: Webhooks,
    /// What secrets in the database are encrypted with.
    #[serde(default)]
    pub secrets: Secrets,
}

/// `[telemetry]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Where a worker tells how it is doing: `/metrics`, `/livez` and `/readyz`. Nowhere if nothing is said.
    pub worker_metrics_listen: Option<SocketAddr>,
    /// Where traces are sent, OTLP over HTTP: a URL such as `http://localhost:4318`. Nowhere if nothing is said.
    pub otlp_endpoint: Option<String>,
}

/// `[database]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `postgres://user:password@host/name`; kept out of logs.
    pub url: Option<SecretString>,
}

/// `[api]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// The `iss` that a token must carry.
    pub issuer: String,
    /// The `aud` that a token must carry.
    pub audience: String,
    /// The issuer's keys: an `https://` URL or the path of a JWKS file.
    pub jwks: String,
    /// The `typ` that a token's header must carry (RFC 9068); empty for issuers that omit it.
    pub token_type: String,
    /// The claim that names the one tenant that a token is for.
    pub tenant_claim: String,
    /// The claim that names the roles of a person.
    pub roles_claim: String,
    /// Which scopes a role stands for.
    pub roles: BTreeMap<String, Vec<String>>,
    /// How many requests a client may make in a minute, at each process; 0 for as many as it likes.
    pub requests_per_minute: u32,
    /// How many a client may sign up in 24 hours; 0 for as many as it likes.
    pub signups_per_day: u32,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            issuer: String::new(),
            audience: "freehold".to_owned(),
            jwks: String::new(),
            token_type: "at+jwt".to_owned(),
            tenant_claim: "tenant_id".to_owned(),
            roles_claim: "roles".to_owned(),
            roles: BTreeMap::new(),
            requests_per_minute: 6000,
            signups_per_day: 1000,
        }
    }
}

/// Why `freehold.toml` cannot be used; names the field.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named on the command line is not there.
    #[error("there is no configuration file at {0}; name one with --config")]
    Missing(PathBuf),
    /// Not TOML, a field missing, unknown or of the wrong type.
    #[error("the configuration cannot be read: {0}")]
    Unreadable(#[from] Box<figment::Error>),
    /// Each field is fine by itself, but they do not fit together.
    #[error("the configuration does not fit together:\n{}", .0.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
    Inconsistent(Vec<String>),
}

impl Config {
    /// Reads `path` and the environment.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        if !path.is_file() {
            return Err(ConfigError::Missing(path.to_owned()));
        }
        // Every field is in a table. FREEHOLD_LOG and its like, without a table, mean something else.
        let environment = Env::prefixed("FREEHOLD_").filter(|name| name.as_str().contains("__")).split("__");
        Self::from_figment(Figment::from(Toml::file_exact(path)).merge(environment))
    }

    /// Reads a text in the form of `freehold.toml`, and no environment.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::from_figment(Figment::from(Toml::string(text)))
    }

    fn from_figment(figment: Figment) -> Result<Self, ConfigError> {
        let config: Self = figment.extract().map_err(Box::new)?;
        let problems = check::problems(&config);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Inconsistent(problems)) }
    }

    /// The residency that `region` belongs to.
    pub fn residency_of(&self, region: Region) -> Option<&Residency> {
        self.residencies.iter().find(|residency| residency.regions.contains(&region))
    }

    /// The residency called `name`.
    pub fn residency(&self, name: &ResidencyName) -> Option<&Residency> {
        self.residencies.iter().find(|residency| residency.name == *name)
    }

    /// The tier called `name`.
    pub fn tier(&self, name: &Tier) -> Option<&TierConfig> {
        self.tiers.iter().find(|tier| tier.name == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = r#"
        [organization]
        management_account_id = "111122223333"
        freehold_account_id = "444455556666"
        control_role_arn = "arn:aws:iam::111122223333:role/freehold-control"
        account_email = "aws+{environment_id}@example.com"
        [[residencies]]
        name = "eu"
        regions = ["eu-central-1", "eu-central-2"]
    "#;

    #[test]
    fn the_smallest_configuration_is_enough() {
        let config = Config::parse(SMALLEST).unwrap();
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
            let text = SMALLEST.replace("regions = [\"eu-central-1\", \"eu-central-2\"]", change);
            let error = Config::parse(&text).unwrap_err().to_string();
            assert!(error.contains(field), "{error} does not name {field}");
        }
    }

    #[test]
    fn an_email_pattern_that_could_outgrow_the_limit_of_aws_is_refused() {
        let text = SMALLEST.replace("@example.com", "@a-domain-that-is-much-too-long.example.com");
        assert!(Config::parse(&text).unwrap_err().to_string().contains("organization.account_email"));
    }

    #[test]
    fn a_region_belongs_to_one_residency_only() {
        let text = format!("{SMALLEST}\n[[residencies]]\nname = \"dach\"\nregions = [\"eu-central-2\"]");
        assert!(Config::parse(&text).unwrap_err().to_string().contains("eu-central-2"));
    }

    #[test]
    fn what_aws_allows_can_be_lowered_and_never_to_nothing() {
        let with = |quotas: &str| Config::parse(&format!("{SMALLEST}\n[quotas]\n{quotas}"));
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
    fn a_call_without_a_rate_of_its_own_shares_that_of_its_service() {
        let quotas = Quotas::default();
        assert_eq!(quotas.bucket("organizations:MoveAccount").unwrap().name, "organizations:MoveAccount");
        assert_eq!(quotas.bucket("organizations:ListRoots").unwrap().name, "organizations");
        assert_eq!(quotas.bucket("sso:CreateAccountAssignment").unwrap().name, "sso");
    }

    #[test]
    fn access_must_name_a_permission_set_that_is_declared() {
        let text = format!("{SMALLEST}\n[[access]]\npermission_set = \"support\"\ngroup = \"support\"");
        assert!(Config::parse(&text).unwrap_err().to_string().contains("access.support"));
    }
}
