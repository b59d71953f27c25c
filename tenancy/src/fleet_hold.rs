//! Fleet hold: a circuit breaker for calls that AWS would refuse for every tenant.

use chrono::{DateTime, Utc};

use crate::OperationId;
use crate::string_enum::string_enum;

string_enum! {
    /// Cause of a fleet hold and stable code of its alert.
    HoldKind {
        /// Account quota of the organisation, which is exhausted.
        AccountQuotaReached = "account_quota_reached",
        /// Setup of a new organisation by AWS, which takes at most an hour.
        OrganizationFinalizing = "organization_finalizing",
    }
}

impl HoldKind {
    /// Returns the message for people: the cause and what to do.
    pub fn message(self) -> &'static str {
        match self {
            Self::AccountQuotaReached => {
                "The organisation has reached its AWS account quota. Request an increase from AWS; Freehold retries \
                 automatically."
            }
            Self::OrganizationFinalizing => {
                "AWS has not finished setting up the organisation, which takes up to an hour. Freehold retries \
                 automatically."
            }
        }
    }

    /// Returns the condition for which held operations wait, as the end of "waits for …".
    pub fn waits_for(self) -> &'static str {
        match self {
            Self::AccountQuotaReached => "AWS to raise the account quota of the organisation",
            Self::OrganizationFinalizing => "AWS to finish setting up the organisation",
        }
    }
}

/// Fleet hold in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetHold {
    /// Name of the quota whose calls are paused, such as `account-creations`.
    pub quota: String,
    pub kind: HoldKind,
    pub started_at: DateTime<Utc>,
    /// Time at which the first operation in the queue retries the call.
    pub probe_at: DateTime<Utc>,
    /// Operation whose probe is running.
    pub probing_operation: Option<OperationId>,
    /// Number of operations in the queue.
    pub waiting: i64,
}
