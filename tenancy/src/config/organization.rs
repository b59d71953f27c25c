//! The organisation, its residencies, the stack, and how long is waited for what.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::ids::ID_CHARACTERS;
use crate::{AwsAccountId, EmailAddress, EnvironmentId, Region, ResidencyName};

/// `[organization]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organization {
    /// The account that owns the organisation; never a target.
    pub management_account_id: AwsAccountId,
    /// The account that Freehold itself runs in; never a target.
    pub freehold_account_id: AwsAccountId,
    /// The role in the management account that the worker assumes.
    pub control_role_arn: String,
    /// The external id that assuming the control role needs, where it asks for one.
    #[serde(default)]
    pub control_role_external_id: Option<String>,
    /// The role that Organizations makes in a new account; used once, to install the baseline.
    #[serde(default = "access_role")]
    pub access_role_name: String,
    /// The e-mail address of an environment's account: one `{environment_id}` and otherwise fixed text.
    pub account_email: EmailPattern,
    /// The OU that a residency's OU is made in: an OU id, or the root where none is given.
    #[serde(default)]
    pub parent_ou: Option<String>,
    /// What the OU is called that holds accounts taken out of service.
    #[serde(default = "quarantine")]
    pub quarantine_ou: String,
}

impl Organization {
    /// Why an account must be left alone, where it must: the one place that says so.
    pub fn protects(&self, account: &AwsAccountId) -> Option<&'static str> {
        if *account == self.management_account_id {
            Some("it is the management account of the organisation")
        } else if *account == self.freehold_account_id {
            Some("it is the account that Freehold itself runs in")
        } else {
            None
        }
    }
}

fn access_role() -> String {
    "OrganizationAccountAccessRole".to_owned()
}

fn quarantine() -> String {
    "freehold-quarantine".to_owned()
}

/// A pattern such as `aws+{environment_id}@example.com`, from which an account's e-mail address is made.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct EmailPattern(String);

/// The place in the pattern where the environment's id goes.
const PLACEHOLDER: &str = "{environment_id}";

/// Organizations takes 6 to 64 characters (CreateAccount, `Email`).
const LONGEST_ACCOUNT_EMAIL: usize = 64;

impl EmailPattern {
    /// The address of the account of `environment`; always the same, so that it finds the account again.
    pub fn address(&self, environment: EnvironmentId) -> String {
        self.0.replace(PLACEHOLDER, &environment.to_string())
    }
}

impl TryFrom<String> for EmailPattern {
    type Error = String;

    fn try_from(pattern: String) -> Result<Self, String> {
        if pattern.matches(PLACEHOLDER).count() != 1 {
            return Err(format!("organization.account_email wants {PLACEHOLDER} exactly once"));
        }
        let longest = pattern.replace(PLACEHOLDER, &format!("{}_{}", EnvironmentId::PREFIX, "0".repeat(ID_CHARACTERS)));
        if longest.len() > LONGEST_ACCOUNT_EMAIL {
            return Err(format!(
                "organization.account_email makes addresses of {} characters; AWS takes {LONGEST_ACCOUNT_EMAIL}",
                longest.len()
            ));
        }
        longest.parse::<EmailAddress>().map_err(|error| format!("organization.account_email: {error}"))?;
        Ok(Self(pattern))
    }
}

/// `[[residencies]]`: a named set of regions, one OU each, enforced by an SCP on that OU.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residency {
    /// What signups and the OU call it.
    pub name: ResidencyName,
    /// The regions that an environment of this residency may use.
    pub regions: Vec<Region>,
}

impl Residency {
    /// The name of its OU.
    pub fn ou_name(&self) -> String {
        format!("freehold-{}", self.name)
    }

    /// The name of its region guardrail, an SCP.
    pub fn guardrail_name(&self) -> String {
        format!("freehold-region-{}", self.name)
    }
}

/// `[stack]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stack {
    /// The stack's name in each tenant's account.
    pub name: String,
    /// A CloudFormation template of at most 51,200 bytes; Freehold's own where none is given.
    pub template: Option<PathBuf>,
    /// Parameters beyond those that Freehold passes itself.
    pub parameters: BTreeMap<String, String>,
    /// The output that holds the Function URL that `verify` calls.
    pub url_output: String,
}

impl Default for Stack {
    fn default() -> Self {
        Self {
            name: "freehold-tenant".to_owned(),
            template: None,
            parameters: BTreeMap::new(),
            url_output: "FunctionUrl".to_owned(),
        }
    }
}

/// `[timeouts]`: seconds from when AWS accepted the work until a person is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// CreateAccount to SUCCEEDED.
    pub account_creation_seconds: u64,
    /// SUCCEEDED to a role that can be assumed.
    pub account_usable_seconds: u64,
    /// CreateAccountAssignment to SUCCEEDED.
    pub assignment_seconds: u64,
    /// CreateStack to CREATE_COMPLETE.
    pub stack_seconds: u64,
    /// EnableRegion to ENABLED.
    pub region_opt_in_seconds: u64,
    /// Policies and permissions to reach everywhere.
    pub propagation_seconds: u64,
    /// CloseAccount to CLOSED.
    pub account_closure_seconds: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            account_creation_seconds: 15 * 60,
            account_usable_seconds: 15 * 60,
            assignment_seconds: 10 * 60,
            stack_seconds: 60 * 60,
            region_opt_in_seconds: 24 * 60 * 60,
            propagation_seconds: 15 * 60,
            account_closure_seconds: 24 * 60 * 60,
        }
    }
}

/// Whether accounts of environments that are gone may be closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseAccounts {
    /// Never: they rest in the quarantine OU.
    Never,
    /// Where somebody asks for it and another person approves.
    #[default]
    OnRequest,
}

/// `[offboarding]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Offboarding {
    /// How long an environment stays suspended and can be restored before anything is destroyed.
    pub cooling_off_seconds: u64,
    /// Whether accounts may be closed.
    pub close_accounts: CloseAccounts,
}

impl Default for Offboarding {
    fn default() -> Self {
        Self { cooling_off_seconds: 7 * 24 * 60 * 60, close_accounts: CloseAccounts::default() }
    }
}
