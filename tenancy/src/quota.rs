//! Quotas of AWS that limit the work in progress in the whole organisation.

use crate::config::Quotas;
use crate::string_enum::string_enum;

string_enum! {
    /// Name of a quota. Append-only: slots and events of earlier releases contain these names.
    Quota {
        /// CloseAccount in progress: 3 ("Quotas for AWS Organizations").
        AccountClosures = "account-closures",
        /// CreateAccount in progress: 5 ("Quotas for AWS Organizations").
        AccountCreations = "account-creations",
        /// CreateAccountAssignment in progress: 15 ("IAM Identity Center quotas").
        Assignments = "assignments",
        /// EnableRegion in progress: 50, of which 6 in one account ("Quotas for AWS Account Management").
        RegionOptIns = "region-opt-ins",
    }
}

impl Quota {
    /// Returns the number of slots.
    pub fn limit(self, quotas: &Quotas) -> u16 {
        match self {
            Self::AccountCreations => quotas.account_creations,
            Self::AccountClosures => quotas.account_closures,
            Self::Assignments => quotas.assignments,
            Self::RegionOptIns => quotas.region_opt_ins,
        }
    }

    /// Returns the number of slots per account, or `None` if that is not limited.
    pub fn limit_per_account(self, quotas: &Quotas) -> Option<u16> {
        match self {
            Self::RegionOptIns => Some(quotas.region_opt_ins_per_account),
            Self::AccountCreations | Self::AccountClosures | Self::Assignments => None,
        }
    }

    /// Returns the call that a slot permits, if its rate is so low that slot and rate have one queue.
    pub fn rate_limited_call(self) -> Option<&'static str> {
        match self {
            Self::AccountCreations => Some("organizations:CreateAccount"),
            Self::AccountClosures => Some("organizations:CloseAccount"),
            Self::Assignments | Self::RegionOptIns => None,
        }
    }

    /// Returns whether `call` is permitted by a slot and not by the rate limit of the call alone.
    pub fn permits(call: &str) -> bool {
        Self::ALL.iter().any(|quota| quota.rate_limited_call() == Some(call))
    }
}
