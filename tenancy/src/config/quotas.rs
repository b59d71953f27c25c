//! Quotas, rate limits and usual durations of AWS. Defaults are the values that AWS publishes; an operator can change
//! them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::Deserialize;

use crate::vending::AccountCeilings;

/// Section `[quotas]`: AWS quotas of one organisation. Defaults are from "Quotas for AWS Organizations",
/// "IAM Identity Center quotas" and "Quotas for AWS Account Management".
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// Maximum number of concurrent CreateAccount requests.
    pub account_creations: u16,
    /// Maximum number of concurrent CloseAccount requests.
    pub account_closures: u16,
    /// Maximum number of concurrent CreateAccountAssignment requests.
    pub assignments: u16,
    /// Maximum number of concurrent ProvisionPermissionSet requests.
    pub permission_set_provisionings: u16,
    /// Maximum number of concurrent EnableRegion requests in the organisation.
    pub region_opt_ins: u16,
    /// Maximum number of concurrent EnableRegion requests in one account.
    pub region_opt_ins_per_account: u16,
    /// Seconds added to the queue time of offboardings, restores and repairs, so that onboardings come first.
    pub maintenance_delay_seconds: u64,
    /// Seconds without a throttled call after which a reduced rate is doubled.
    pub throttle_recovery_seconds: u64,
    /// Maximum number of AWS accounts that exist at the same time; 0 means unlimited.
    pub max_accounts: u32,
    /// Maximum number of AWS accounts that are created in 24 hours; 0 means unlimited.
    pub max_accounts_per_day: u32,
    /// Rate limits that replace the defaults, by call or service, such as `organizations:CreateAccount`.
    pub rates: BTreeMap<String, Rate>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            account_creations: 5,
            account_closures: 3,
            assignments: 15,
            permission_set_provisionings: 3,
            region_opt_ins: 50,
            region_opt_ins_per_account: 6,
            maintenance_delay_seconds: 30 * 60,
            throttle_recovery_seconds: 5 * 60,
            max_accounts: 0,
            max_accounts_per_day: 0,
            rates: BTreeMap::new(),
        }
    }
}

/// Rate and size of a token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub per_second: f64,
    /// Capacity of the bucket: maximum number of calls at once.
    pub burst: u32,
}

/// Token bucket of an AWS call or service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Name of the call, or of the service whose calls share the bucket.
    pub name: &'static str,
    pub rate: Rate,
}

/// Default rate (calls per second) and burst of each bucket for one calling account. AWS does not publish all of these
/// values. The values marked as not published are much higher than a fleet needs; their buckets exist so that the rate
/// can be reduced when AWS throttles.
const DEFAULT_RATES: &[(&str, f64, u32)] = &[
    // "Quotas for AWS Organizations", throttling of API requests.
    ("organizations:CreateAccount", 0.1, 3),
    ("organizations:CloseAccount", 0.05, 1),
    ("organizations:DescribeCreateAccountStatus", 2.0, 2),
    ("organizations:ListCreateAccountStatus", 5.0, 8),
    ("organizations:DescribeAccount", 20.0, 30),
    ("organizations:ListAccounts", 8.0, 12),
    ("organizations:ListParents", 5.0, 8),
    ("organizations:ListAccountsForParent", 5.0, 8),
    ("organizations:DescribeOrganization", 1.0, 2),
    ("organizations:CreateOrganizationalUnit", 1.0, 2),
    ("organizations:MoveAccount", 2.0, 3),
    ("organizations:CreatePolicy", 2.0, 3),
    ("organizations:UpdatePolicy", 2.0, 3),
    ("organizations:AttachPolicy", 2.0, 3),
    ("organizations:DetachPolicy", 2.0, 3),
    ("organizations:TagResource", 4.0, 6),
    ("organizations:ListTagsForResource", 10.0, 15),
    // "Quotas for AWS Account Management".
    ("account:EnableRegion", 1.0, 1),
    ("account:GetRegionOptStatus", 5.0, 5),
    ("account:ListRegions", 5.0, 5),
    // "IAM Identity Center quotas": all calls of Identity Center share one bucket, those of the Identity Store
    // another.
    ("sso", 20.0, 20),
    ("identitystore", 20.0, 20),
    // "IAM and AWS STS quotas", per calling account and region.
    ("sts", 600.0, 600),
    // Not published. Probably per account and region, so that tenants do not share them.
    ("cloudformation", 50.0, 100),
    ("lambda", 50.0, 100),
    // Not published. All other calls of Organizations (roots, OUs, policies) are rare.
    ("organizations", 10.0, 20),
    ("account", 5.0, 5),
];

impl Quotas {
    /// Returns the configured maximum numbers of accounts.
    pub fn account_ceilings(&self) -> AccountCeilings {
        AccountCeilings {
            total: NonZeroU32::new(self.max_accounts),
            per_day: NonZeroU32::new(self.max_accounts_per_day),
        }
    }

    /// Returns the bucket of `call`, such as `organizations:MoveAccount`, or else the bucket of its service.
    pub fn bucket(&self, call: &str) -> Option<Bucket> {
        let service = call.split(':').next().unwrap_or(call);
        let find = |bucket: &str| DEFAULT_RATES.iter().find(|(name, ..)| *name == bucket);
        let (name, per_second, burst) = find(call).or_else(|| find(service)).copied()?;
        let configured = self.rates.get(name).copied();
        Some(Bucket { name, rate: configured.unwrap_or(Rate { per_second, burst }) })
    }

    pub(super) fn has_bucket(bucket: &str) -> bool {
        DEFAULT_RATES.iter().any(|(name, ..)| *name == bucket)
    }
}

/// Section `[expected_durations]`: usual durations of AWS work in seconds. Used to schedule polls and to estimate
/// waiting times until the journal contains enough measured durations.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectedDurations {
    /// Time from the CreateAccount call to the status SUCCEEDED: "a few minutes" (Organizations API Reference),
    /// usually less than one.
    pub account_creation_seconds: u64,
    /// Time from the creation of an account until the account accepts calls. Usually a minute, at most seven (field
    /// reports).
    pub account_usable_seconds: u64,
    /// Creation of the baseline stack, which contains two roles.
    pub baseline_stack_seconds: u64,
    /// Creation of the tenant stack. Depends on the template.
    pub tenant_stack_seconds: u64,
    /// Creation or update of a front door: three to fifteen minutes until all edge locations have it.
    pub front_door_stack_seconds: u64,
    /// Time from the CreateAccountAssignment call to the status SUCCEEDED.
    pub assignment_seconds: u64,
    /// Time from the EnableRegion call to the status ENABLED: "minutes to hours" (AWS), usually minutes.
    pub region_opt_in_seconds: u64,
    /// Time from the CloseAccount call to the state CLOSED.
    pub account_closure_seconds: u64,
    /// Verification of an updated stack: the check of its function and of its regions.
    pub verification_seconds: u64,
    /// Time until policies and permissions are effective in all regions.
    pub propagation_seconds: u64,
}

impl Default for ExpectedDurations {
    fn default() -> Self {
        Self {
            account_creation_seconds: 45,
            account_usable_seconds: 50,
            baseline_stack_seconds: 10,
            tenant_stack_seconds: 40,
            front_door_stack_seconds: 5 * 60,
            assignment_seconds: 15,
            region_opt_in_seconds: 15 * 60,
            account_closure_seconds: 60,
            verification_seconds: 25,
            propagation_seconds: 30,
        }
    }
}

impl ExpectedDurations {
    /// Returns the usual duration of the update of an environment, with its verification.
    pub fn update_seconds(&self) -> u64 {
        self.tenant_stack_seconds.saturating_add(self.verification_seconds)
    }
}
