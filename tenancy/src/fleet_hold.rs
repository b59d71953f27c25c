//! A hold: work that nobody asks AWS for, because AWS would refuse it whoever asked.

use chrono::{DateTime, Utc};

use crate::OperationId;
use crate::string_enum::string_enum;

string_enum! {
    /// Why work is held; the stable code of the alert.
    HoldKind {
        /// The organisation has as many accounts as AWS allows it.
        AccountQuotaReached = "account_quota_reached",
        /// AWS has not finished setting the organisation up, which takes it up to an hour.
        OrganizationFinalizing = "organization_finalizing",
    }
}

impl HoldKind {
    /// What has happened and what to do, in plain words.
    pub fn message(self) -> &'static str {
        match self {
            Self::AccountQuotaReached => {
                "The organisation has as many accounts as AWS allows it. Ask AWS to raise the quota; Freehold tries again \
                 by itself."
            }
            Self::OrganizationFinalizing => {
                "AWS has not finished setting the organisation up, which takes up to an hour. Freehold tries again by \
                 itself."
            }
        }
    }

    /// For what an operation that is held waits, as the end of "it waits for …".
    pub fn waits_for(self) -> &'static str {
        match self {
            Self::AccountQuotaReached => "AWS to allow the organisation more accounts",
            Self::OrganizationFinalizing => "AWS to finish setting the organisation up",
        }
    }
}

/// A hold that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetHold {
    /// What is not asked for meanwhile, such as `account-creations`.
    pub quota: String,
    /// Why.
    pub kind: HoldKind,
    /// Since when.
    pub started_at: DateTime<Utc>,
    /// When the first in line asks AWS again.
    pub probe_at: DateTime<Utc>,
    /// Which operation is asking.
    pub probing_operation: Option<OperationId>,
    /// How many operations stand in line.
    pub waiting: i64,
}
