//! AWS quotas that limit the number of requests in progress in the whole organisation.

use crate::config::Quotas;
use crate::string_enum::string_enum;

string_enum! {
    /// AWS quota on requests in progress. Names are never changed or removed, because stored slots and events contain
    /// them.
    Quota {
        /// Account closures in progress: at most 3 ("Quotas for AWS Organizations").
        AccountClosures = "account-closures",
        /// Account creations in progress: at most 5 ("Quotas for AWS Organizations").
        AccountCreations = "account-creations",
        /// Account assignments in progress: at most 15 ("IAM Identity Center quotas").
        Assignments = "assignments",
        /// Region opt-ins in progress: at most 50, and at most 6 per account ("Quotas for AWS Account Management").
        RegionOptIns = "region-opt-ins",
        /// Deployments of the tenant stack. AWS does not limit them; operations are queued only during a fleet hold.
        StackDeployments = "stack-deployments",
    }
}

impl Quota {
    /// Returns the maximum number of slots in the organisation.
    pub fn limit(self, quotas: &Quotas) -> u16 {
        match self {
            Self::AccountCreations => quotas.account_creations,
            Self::AccountClosures => quotas.account_closures,
            Self::Assignments => quotas.assignments,
            Self::RegionOptIns => quotas.region_opt_ins,
            Self::StackDeployments => u16::MAX,
        }
    }

    /// Returns the maximum number of slots per account; `None` means unlimited.
    pub fn limit_per_account(self, quotas: &Quotas) -> Option<u16> {
        match self {
            Self::RegionOptIns => Some(quotas.region_opt_ins_per_account),
            Self::AccountCreations | Self::AccountClosures | Self::Assignments | Self::StackDeployments => None,
        }
    }

    /// Returns the AWS call whose rate token is granted together with a slot. Such a call has a very low rate limit.
    /// Operations therefore queue only once, for both the slot and the token.
    pub fn rate_limited_call(self) -> Option<&'static str> {
        match self {
            Self::AccountCreations => Some("organizations:CreateAccount"),
            Self::AccountClosures => Some("organizations:CloseAccount"),
            Self::Assignments | Self::RegionOptIns | Self::StackDeployments => None,
        }
    }

    /// Returns whether the rate token of `call` is granted together with a slot. The rate limiter must not take a
    /// second token for such a call.
    pub fn slot_includes_rate_token(call: &str) -> bool {
        Self::ALL.iter().any(|quota| quota.rate_limited_call() == Some(call))
    }
}
