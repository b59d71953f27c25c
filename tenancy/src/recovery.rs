//! Changes that bring a restored database up to date with AWS.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use figment::Figment;
use figment::providers::{Format, Toml};
use serde::Deserialize;
use serde_json::Value;

use crate::operation::OperationKind;
use crate::{
    AwsAccountId, CompanyName, EmailAddress, EnvironmentId, EnvironmentName, ExternalId, Region, ResidencyName,
    TenantId, Tier,
};

/// Number of feed positions, and of event numbers of each open operation, that a recovery skips. The database has
/// lost fewer, so that consumers never see two events with the same position or id.
pub const SKIPPED_POSITIONS: i64 = 1_000_000;

/// Change of the database by a recovery.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Writes a tenant and an environment that were created after the backup, with an open operation.
    Recreate {
        /// Tenant to write; `None` if the tenant exists.
        tenant: Option<LostTenant>,
        environment: LostEnvironment,
        /// Kind of the operation, which brings the environment into its last state.
        kind: OperationKind,
    },
    /// Writes a lost account request to the journal of the open onboarding, so that no second account is requested.
    RestoreRequest {
        environment: EnvironmentId,
        /// Intent of the step `request-account`.
        intent: Value,
        requested_at: DateTime<Utc>,
    },
    /// Maps an account to its environment.
    MapAccount { environment: EnvironmentId, account: AwsAccountId, name: String, valid_from: DateTime<Utc> },
    /// Starts the offboarding of an environment whose account is in the quarantine OU.
    Offboard(EnvironmentId),
    /// Cancels the offboarding of an environment whose account is no longer in the quarantine OU.
    Restore(EnvironmentId),
    /// Ends the environment and its mapping, because AWS has closed the account.
    RecordClosure(EnvironmentId),
}

/// Tenant that the database has lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostTenant {
    pub id: TenantId,
    pub company_name: CompanyName,
    pub admin_email: Option<EmailAddress>,
    pub tier: Tier,
    pub external_id: Option<ExternalId>,
}

/// Environment that the database has lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostEnvironment {
    pub id: EnvironmentId,
    pub tenant_id: TenantId,
    pub name: EnvironmentName,
    pub residency: ResidencyName,
    pub home_region: Region,
    /// Regions of the replicas; at most three.
    pub replica_regions: Vec<Region>,
    /// Time at which the account joined the organisation, because the time of the signup is lost.
    pub created_at: DateTime<Utc>,
}

/// Details of lost environments that the tags of their accounts do not contain, by environment.
pub type TenantDetails = BTreeMap<EnvironmentId, EnvironmentDetails>;

/// Details of one lost environment; `None` uses the tag of the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnvironmentDetails {
    pub company_name: Option<CompanyName>,
    pub admin_email: Option<EmailAddress>,
    pub external_id: Option<ExternalId>,
    pub tier: Option<Tier>,
    /// Name of the environment, such as `production`.
    pub environment: Option<EnvironmentName>,
    pub home_region: Option<Region>,
}

/// Reads details from a TOML file with one table per environment. Fails with the field and the reason.
pub fn read_details(path: &Path) -> Result<TenantDetails, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    parse_details(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse_details(text: &str) -> Result<TenantDetails, String> {
    Figment::from(Toml::string(text)).extract().map_err(|error| {
        let field = error.path.join(".");
        if field.is_empty() { error.kind.to_string() } else { format!("{field}: {}", error.kind) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVIRONMENT: &str = "env_01k2m8v3x9e7rt4s5q6w7y8z9c";

    #[test]
    fn details_are_read_for_each_environment() {
        let text = format!("[{ENVIRONMENT}]\ncompany_name = \"Example Ltd\"\nhome_region = \"eu-central-1\"\n");
        let details = parse_details(&text).expect("details");
        let details = &details[&ENVIRONMENT.parse().expect("an id")];
        assert_eq!(details.company_name.as_ref().map(CompanyName::as_str), Some("Example Ltd"));
        assert_eq!(details.home_region, Some("eu-central-1".parse().expect("a region")));
        assert_eq!(details.tier, None);
    }

    #[test]
    fn an_invalid_detail_is_reported_with_its_field() {
        for (line, expected) in [
            ("home_region = \"nowhere\"", "home_region"),
            ("admin_email = \"admin\"", "must be an e-mail address"),
            ("colour = \"red\"", "colour"),
        ] {
            let error = parse_details(&format!("[{ENVIRONMENT}]\n{line}\n")).expect_err(line);
            assert!(error.contains(ENVIRONMENT) && error.contains(expected), "{error}");
        }
        assert!(parse_details("[env_1]\n").expect_err("an invalid id").contains("must be an id"));
    }
}
