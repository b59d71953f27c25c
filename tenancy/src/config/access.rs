//! Access to tenant accounts: permission sets, groups and tiers.

use serde::Deserialize;

use crate::{Region, Tier};

/// Section `[identity_center]`. Missing fields are read from AWS.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityCenter {
    /// Region of the Identity Center instance. AWS lists the instance in this region only.
    pub region: Option<Region>,
    /// ARN of the Identity Center instance: `arn:aws:sso:::instance/ssoins-…`.
    pub instance_arn: Option<String>,
    pub identity_store_id: Option<String>,
}

/// Entry of `[[permission_sets]]`: a permission set of Identity Center.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionSet {
    /// Name of at most 32 characters (CreatePermissionSet, `Name`).
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// Maximum length of a session as an ISO 8601 duration, such as `PT4H`.
    #[serde(default = "four_hours")]
    pub session_duration: String,
    #[serde(default)]
    pub managed_policies: Vec<String>,
    /// Policy document in JSON.
    #[serde(default)]
    pub inline_policy: Option<String>,
}

fn four_hours() -> String {
    "PT4H".to_owned()
}

/// Entry of `[[access]]`, which gives a group of Identity Center a permission set in every tenant account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Name of an entry of `[[permission_sets]]`.
    pub permission_set: String,
    /// Display name of an existing group in Identity Center.
    pub group: String,
}

/// Entry of `[[tiers]]`: a commercial plan.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierConfig {
    pub name: Tier,
    /// Permission set for a group that Freehold creates for the tenant. The tenant's administrator is a member of the
    /// group. `None` means that no group is created.
    #[serde(default)]
    pub tenant_group_permission_set: Option<String>,
    #[serde(default)]
    pub approval: VendingApproval,
    /// Whether new environments get a front door, unless the request says otherwise or the residency forbids it.
    #[serde(default)]
    pub front_door: bool,
}

/// Approval requirement for the creation of an AWS account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VendingApproval {
    #[default]
    NotRequired,
    /// A person other than the requester of the signup must approve.
    Required,
}

impl TierConfig {
    /// Returns the tiers of a configuration without `[[tiers]]`.
    pub(super) fn standard_only() -> Vec<Self> {
        "standard"
            .parse()
            .map(|name| {
                let approval = VendingApproval::NotRequired;
                vec![Self { name, tenant_group_permission_set: None, approval, front_door: false }]
            })
            .unwrap_or_default()
    }
}
