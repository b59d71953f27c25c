//! Fleet hold: a circuit breaker for calls that AWS would refuse for every tenant.

use chrono::{DateTime, Utc};

use crate::OperationId;
use crate::string_enum::string_enum;

string_enum! {
    /// Cause of a fleet hold. The text form is the stable code of its alert.
    HoldKind {
        /// The organisation has reached its AWS account quota.
        AccountQuotaReached = "account_quota_reached",
        /// AWS is still setting up the new organisation, which takes at most an hour.
        OrganizationFinalizing = "organization_finalizing",
        /// AWS or Freehold rejects the template of the tenant stack.
        TemplateRejected = "template_rejected",
        /// No running worker can call AWS with its credentials.
        WorkersWithoutAwsAccess = "workers_without_aws_access",
    }
}

impl HoldKind {
    /// Returns the message for operators, with the cause and the required action.
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
            Self::TemplateRejected => {
                "The template of the tenant stack is rejected, so Freehold deploys no stack with it. Correct the \
                 template; the workers read the file again every minute and continue automatically."
            }
            Self::WorkersWithoutAwsAccess => {
                "No worker can call AWS with its credentials. Correct the credentials of the workers or the control \
                 role; the workers check them again every 15 seconds."
            }
        }
    }

    /// Returns the condition that operations under this hold wait for. The text completes the sentence "waits for …".
    pub const fn waits_for(self) -> &'static str {
        match self {
            Self::AccountQuotaReached => "AWS to raise the account quota of the organisation",
            Self::OrganizationFinalizing => "AWS to finish setting up the organisation",
            Self::TemplateRejected => "a corrected template of the tenant stack",
            Self::WorkersWithoutAwsAccess => "a worker that can call AWS",
        }
    }
}

/// Name that stands in place of a quota for a hold on all work.
pub const ALL_WORK: &str = "all";

/// Active fleet hold on the calls of one quota, or on all work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetHold {
    /// Name of the quota whose calls are paused, such as `account-creations`, or [`ALL_WORK`].
    pub quota: String,
    pub kind: HoldKind,
    /// Cause in the words of the operation or worker that found it; `None` if the kind is sufficient.
    pub detail: Option<String>,
    pub started_at: DateTime<Utc>,
    /// Time at which the first operation in the queue retries the call.
    pub probe_at: DateTime<Utc>,
    /// Operation that is retrying the call; `None` between two probes.
    pub probing_operation: Option<OperationId>,
    /// Number of operations in the queue of the quota, or of all operations that workers would run.
    pub waiting: i64,
}

impl FleetHold {
    /// Returns the message for operators, with the cause and the required action.
    pub fn message(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{} The latest error: {detail}", self.kind.message()),
            None => self.kind.message().to_owned(),
        }
    }
}
