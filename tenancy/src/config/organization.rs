//! Configuration of the organisation, its residencies, the tenant stack, timeouts and offboarding.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Capability, StackCheck, TemplateUrl};
use crate::aws::constraints::ACCOUNT_EMAIL;
use crate::ids::ID_CHARACTERS;
use crate::{AwsAccountId, EmailAddress, EnvironmentId, Region, ResidencyName};

/// Section `[organization]`: the AWS organisation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organization {
    /// Management account of the organisation. It is never used for an environment.
    pub management_account_id: AwsAccountId,
    /// Account in which Freehold itself runs. It is never used for an environment.
    pub freehold_account_id: AwsAccountId,
    /// Role in the management account that the worker assumes.
    pub control_role_arn: String,
    /// External id for assuming the control role and the people role, if their trust policies require one.
    #[serde(default)]
    pub control_role_external_id: Option<String>,
    /// Role in the management account with which the worker changes users, groups and memberships of Identity Center.
    /// `None` means the role `freehold-people`.
    #[serde(default)]
    pub people_role_arn: Option<String>,
    /// Names of groups of Identity Center whose members Freehold must never change.
    #[serde(default)]
    pub protected_groups: Vec<String>,
    /// Name of the role that AWS Organizations creates in each new account. Used only to install the baseline stack.
    #[serde(default = "access_role")]
    pub access_role_name: String,
    /// Pattern of the account e-mail address, with exactly one `{environment_id}`.
    pub account_email: EmailPattern,
    /// Id of the OU that contains the OUs of the residencies. `None` means the root.
    #[serde(default)]
    pub parent_ou: Option<String>,
    /// Name of the quarantine OU, which contains the suspended accounts.
    #[serde(default = "quarantine")]
    pub quarantine_ou: String,
}

impl Organization {
    /// Returns the ARN of the role that changes users, groups and memberships of Identity Center.
    pub fn people_role_arn(&self) -> String {
        let default = || format!("arn:aws:iam::{}:role/freehold-people", self.management_account_id);
        self.people_role_arn.clone().unwrap_or_else(default)
    }

    /// Returns the reason why Freehold must not change `account`, or `None` if changes are allowed.
    pub fn protection_reason(&self, account: &AwsAccountId) -> Option<&'static str> {
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

/// Pattern of account e-mail addresses, such as `aws+{environment_id}@example.com`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct EmailPattern(String);

const PLACEHOLDER: &str = "{environment_id}";

impl EmailPattern {
    /// Returns the e-mail address for the account of `environment`. The address must not change, because a step uses
    /// it to find the account.
    pub fn address(&self, environment: EnvironmentId) -> String {
        self.0.replace(PLACEHOLDER, &environment.to_string())
    }
}

impl TryFrom<String> for EmailPattern {
    type Error = String;

    fn try_from(pattern: String) -> Result<Self, String> {
        if pattern.matches(PLACEHOLDER).count() != 1 {
            return Err(format!("must contain {PLACEHOLDER} exactly once"));
        }
        let longest = pattern.replace(PLACEHOLDER, &format!("{}_{}", EnvironmentId::PREFIX, "0".repeat(ID_CHARACTERS)));
        if let Some(violation) = ACCOUNT_EMAIL.violation(&longest) {
            return Err(format!("{violation}, with the environment id"));
        }
        longest.parse::<EmailAddress>().map_err(|error| error.to_string())?;
        Ok(Self(pattern))
    }
}

/// Entry of `[[residencies]]`: a named set of regions with its own OU. A guardrail on the OU denies all other regions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residency {
    pub name: ResidencyName,
    /// Regions that an environment of this residency may use.
    pub regions: Vec<Region>,
    /// Whether requests may pass through the edge locations of AWS, which decrypt them all over the world. Without it,
    /// no environment has a front door, and the guardrail denies tenants their own.
    #[serde(default)]
    pub edge: bool,
}

impl Residency {
    pub fn ou_name(&self) -> String {
        format!("freehold-{}", self.name)
    }

    /// Returns the name of the guardrail, a service control policy.
    pub fn guardrail_name(&self) -> String {
        format!("freehold-region-{}", self.name)
    }
}

/// Section `[stack]`: the tenant stack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stack {
    /// Name of the stack in every tenant account.
    pub name: String,
    /// Path of a CloudFormation template. `None` means the built-in template.
    pub template: Option<PathBuf>,
    /// Paths of the templates that replace `template` in single regions.
    pub region_templates: BTreeMap<Region, PathBuf>,
    /// Copies of the templates in S3, one for each region of the residencies. Empty if the templates are passed in the
    /// request, which limits them to 51,200 bytes.
    pub template_urls: BTreeMap<Region, TemplateUrl>,
    /// Capabilities that Freehold acknowledges for the stack.
    pub capabilities: Vec<Capability>,
    /// Template parameters in addition to those that Freehold passes.
    pub parameters: BTreeMap<String, String>,
    /// Name of the stack output with the Function URL that step `verify` calls.
    pub url_output: String,
    /// Name of the stack output with the name or ARN of the function that step `verify` invokes, if it does not call a
    /// Function URL.
    pub function_output: String,
    /// Check of the deployed stack.
    pub check: StackCheck,
    /// Resource types that the template may use in every region, even if this version of Freehold considers them
    /// unavailable in some regions. AWS may have added them since the release.
    pub accepted_resource_types: Vec<String>,
}

/// Parameters that Freehold passes to the template of the tenant stack, if the template declares them.
pub const OWN_STACK_PARAMETERS: [&str; 7] =
    ["TenantId", "EnvironmentId", "EnvironmentName", "Tier", "HomeRegion", "VerifyRoleArn", FRONT_DOOR_PARAMETER];

/// Parameter of the tenant stack that lets the CloudFront distributions of the account call the function: `true` or
/// `false`.
pub const FRONT_DOOR_PARAMETER: &str = "FrontDoor";

impl Default for Stack {
    fn default() -> Self {
        Self {
            name: "freehold-tenant".to_owned(),
            template: None,
            region_templates: BTreeMap::new(),
            template_urls: BTreeMap::new(),
            capabilities: vec![Capability::NamedIam],
            parameters: BTreeMap::new(),
            url_output: "FunctionUrl".to_owned(),
            function_output: "FunctionName".to_owned(),
            check: StackCheck::default(),
            accepted_resource_types: Vec::new(),
        }
    }
}

/// Section `[timeouts]`: maximum duration of AWS work in seconds. An operation whose work takes longer needs
/// attention.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Maximum time from the CreateAccount call to the status SUCCEEDED.
    pub account_creation_seconds: u64,
    /// Maximum time from the creation of an account until a role in the account can be assumed.
    pub account_usable_seconds: u64,
    /// Maximum time from the CreateAccountAssignment call to the status SUCCEEDED.
    pub assignment_seconds: u64,
    /// Maximum time from the CreateStack call to the status CREATE_COMPLETE.
    pub stack_seconds: u64,
    /// Maximum time from the EnableRegion call to the status ENABLED.
    pub region_opt_in_seconds: u64,
    /// Maximum time until policies and permissions are effective in all regions.
    pub propagation_seconds: u64,
    /// Maximum time from the CloseAccount call to the state CLOSED.
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

/// Policy for closing the accounts of offboarded environments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseAccounts {
    /// Accounts stay open in the quarantine OU.
    Never,
    /// An account is closed if one person requests it and another approves.
    #[default]
    OnRequest,
}

/// Section `[offboarding]`: cooling-off period and account closure.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Offboarding {
    /// Cooling-off period, during which the environment is suspended and can be restored.
    pub cooling_off_seconds: u64,
    pub close_accounts: CloseAccounts,
}

impl Default for Offboarding {
    fn default() -> Self {
        Self { cooling_off_seconds: 7 * 24 * 60 * 60, close_accounts: CloseAccounts::default() }
    }
}
