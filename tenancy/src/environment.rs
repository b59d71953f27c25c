//! Environment: one isolated installation of a tenant in its own AWS account.

use chrono::{DateTime, Utc};

use crate::string_enum::string_enum;
use crate::{AwsAccountId, EnvironmentId, EnvironmentName, OperationId, Region, ResidencyName, TenantId};

string_enum! {
    /// State of an environment. Changed only in the transaction that changes its operation.
    EnvironmentState {
        /// Onboarding is in progress.
        Onboarding = "onboarding",
        /// Environment is verified and usable.
        Ready = "ready",
        /// Stopped or late; a person must act.
        NeedsAttention = "needs_attention",
        /// Suspended without access. Can be restored until the cooling-off period ends.
        Offboarding = "offboarding",
        /// Restore or repair in progress.
        Restoring = "restoring",
        /// Offboarding has been completed.
        Offboarded = "offboarded",
    }
}

/// One isolated installation of a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    pub id: EnvironmentId,
    pub tenant_id: TenantId,
    /// Name such as `production` or `staging`.
    pub name: EnvironmentName,
    /// Named set of regions that the environment may use.
    pub residency: ResidencyName,
    /// Region of the tenant stack.
    pub home_region: Region,
    pub state: EnvironmentState,
    /// AWS account; `None` until the account mapping starts.
    pub aws_account_id: Option<AwsAccountId>,
    /// Open operation, or else the latest one.
    pub operation_id: OperationId,
    /// Time of the request.
    pub created_at: DateTime<Utc>,
    /// Time of the first successful verification.
    pub ready_at: Option<DateTime<Utc>>,
    /// End of the offboarding.
    pub offboarded_at: Option<DateTime<Utc>>,
}
