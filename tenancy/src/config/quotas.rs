//! What AWS lets one organisation do, and how long it usually takes for it: AWS's own figures, which an operator can change.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `[quotas]`: what AWS lets one organisation do, by default the figures of AWS's own pages ("Quotas for AWS
/// Organizations", "IAM Identity Center quotas", "Quotas for AWS Account Management").
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// CreateAccount in progress at one time.
    pub account_creations: u16,
    /// CloseAccount in progress at one time.
    pub account_closures: u16,
    /// CreateAccountAssignment in progress at one time.
    pub assignments: u16,
    /// ProvisionPermissionSet in progress at one time.
    pub permission_set_provisionings: u16,
    /// EnableRegion in progress at one time, in the whole organisation.
    pub region_opt_ins: u16,
    /// EnableRegion in progress at one time, in one account.
    pub region_opt_ins_per_account: u16,
    /// Maintenance stands in line as if it had come so many seconds later: onboarding that has come meanwhile goes first,
    /// and no more than that.
    pub maintenance_delay_seconds: u64,
    /// In so many seconds without another throttle, a call that AWS throttled may be made twice as often again.
    pub throttle_recovery_seconds: u64,
    /// Calls by name, such as `organizations:CreateAccount`, where they are to differ from AWS's figures.
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
            rates: BTreeMap::new(),
        }
    }
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls a second.
    pub per_second: f64,
    /// Calls that may come at once.
    pub burst: u32,
}

/// A rate, and the name of the bucket that it fills.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// The call, or the service whose calls share it.
    pub name: &'static str,
    /// How fast it fills, and how much it holds.
    pub rate: Rate,
}

/// Calls a second and burst, for one caller account. What AWS does not say is marked; there our own figure is well above
/// what a fleet needs, and the bucket is there to be slowed down when AWS throttles.
const RATES: &[(&str, f64, u32)] = &[
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
    // "IAM Identity Center quotas": one for all of its calls, and one for each of the Identity Store's.
    ("sso", 20.0, 20),
    ("identitystore", 20.0, 20),
    // "IAM and AWS STS quotas", a caller account and region.
    ("sts", 600.0, 600),
    // Not said by AWS; believed to hold for an account and region, so that tenants do not share them.
    ("cloudformation", 50.0, 100),
    ("lambda", 50.0, 100),
    // Not said by AWS either: what else Organizations is asked (roots, OUs and policies), which is not much.
    ("organizations", 10.0, 20),
    ("account", 5.0, 5),
];

impl Quotas {
    /// The bucket of `call`, such as `organizations:MoveAccount`: its own, else the one that its service's calls share.
    pub fn bucket(&self, call: &str) -> Option<Bucket> {
        let service = call.split(':').next().unwrap_or(call);
        let of = |wanted: &str| RATES.iter().find(|(name, ..)| *name == wanted);
        let (name, per_second, burst) = of(call).or_else(|| of(service)).copied()?;
        let own = self.rates.get(name).copied();
        Some(Bucket { name, rate: own.unwrap_or(Rate { per_second, burst }) })
    }

    /// Whether there is a bucket of this name.
    pub(super) fn knows(bucket: &str) -> bool {
        RATES.iter().any(|(name, ..)| *name == bucket)
    }
}

/// `[expected_durations]`: how many seconds AWS usually takes. What the journal has seen since counts for more: these are for the first
/// tenants, when to look after their work and when to expect them to be ready.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectedDurations {
    /// CreateAccount to SUCCEEDED: "a few minutes" (Organizations API Reference); mostly less than one.
    pub account_creation_seconds: u64,
    /// SUCCEEDED to an account that accepts calls: mostly a minute, and up to seven (field reports).
    pub account_usable_seconds: u64,
    /// The stack of the two narrow roles.
    pub baseline_stack_seconds: u64,
    /// The tenant's stack. Depends on the template, so that a template of your own wants a figure of its own.
    pub tenant_stack_seconds: u64,
    /// CreateAccountAssignment to SUCCEEDED.
    pub assignment_seconds: u64,
    /// EnableRegion to ENABLED: "minutes to hours"; mostly minutes.
    pub region_opt_in_seconds: u64,
    /// CloseAccount to CLOSED.
    pub account_closure_seconds: u64,
    /// Policies and permissions to reach everywhere.
    pub propagation_seconds: u64,
}

impl Default for ExpectedDurations {
    fn default() -> Self {
        Self {
            account_creation_seconds: 45,
            account_usable_seconds: 50,
            baseline_stack_seconds: 10,
            tenant_stack_seconds: 40,
            assignment_seconds: 15,
            region_opt_in_seconds: 15 * 60,
            account_closure_seconds: 60,
            propagation_seconds: 30,
        }
    }
}
