//! Who gets into a tenant's account: permission sets, groups and tiers.

use serde::Deserialize;

use crate::{Region, Tier};

/// `[identity_center]`: where the instance is; what is left out is asked of AWS.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityCenter {
    /// The region that the instance lives in. A list asked of another region is empty.
    pub region: Option<Region>,
    /// `arn:aws:sso:::instance/ssoins-…`
    pub instance_arn: Option<String>,
    /// `d-…`
    pub identity_store_id: Option<String>,
}

/// `[[permission_sets]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionSet {
    /// At most 32 characters (CreatePermissionSet, `Name`).
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// How long a session lasts, ISO 8601: `PT4H`.
    #[serde(default = "four_hours")]
    pub session_duration: String,
    /// ARNs of AWS-managed policies.
    #[serde(default)]
    pub managed_policies: Vec<String>,
    /// A policy document in JSON.
    #[serde(default)]
    pub inline_policy: Option<String>,
}

fn four_hours() -> String {
    "PT4H".to_owned()
}

/// `[[access]]`: a group of Identity Center that gets a permission set in every tenant's account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Of a permission set declared in `[[permission_sets]]`.
    pub permission_set: String,
    /// The display name of a group that exists in Identity Center.
    pub group: String,
}

/// `[[tiers]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierConfig {
    /// What a signup calls it.
    pub name: Tier,
    /// The permission set that the tenant's own group gets, with the tenant's admin in it; no group where it is left out.
    #[serde(default)]
    pub tenant_group_permission_set: Option<String>,
    /// Whether another person than the one that signed up has to approve each account.
    #[serde(default)]
    pub approval: VendingApproval,
}

/// Whether an account is vended without being asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VendingApproval {
    /// Yes.
    #[default]
    NotRequired,
    /// No: a second person has to approve it.
    Required,
}

impl TierConfig {
    /// The tiers of a configuration that declares none.
    pub(super) fn standard_only() -> Vec<Self> {
        "standard"
            .parse()
            .map(|name| vec![Self { name, tenant_group_permission_set: None, approval: VendingApproval::NotRequired }])
            .unwrap_or_default()
    }
}
