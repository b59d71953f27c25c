//! Environment: one isolated installation of a tenant in its own AWS account.

use chrono::{DateTime, Utc};

use crate::baseline::BaselineVersion;
use crate::environment_stack::EnvironmentStack;
use crate::finding::Finding;
use crate::replica::Replica;
use crate::string_enum::string_enum;
use crate::{AwsAccountId, EnvironmentId, EnvironmentName, OperationId, Region, ResidencyName, TenantId};

string_enum! {
    /// State of an environment. It is always changed in the same transaction as the state of the environment's
    /// operation, except for `degraded` and `suspended`, which are derived when the environment is read.
    EnvironmentState {
        /// The onboarding of the environment is in progress.
        Onboarding = "onboarding",
        /// The environment is verified and usable.
        Ready = "ready",
        /// The environment is verified, but an open critical finding puts its data, isolation or service at risk. Never
        /// stored; takes precedence over the other states, unless the environment is being offboarded.
        Degraded = "degraded",
        /// The operation of the environment is stopped or late, and a person must act.
        NeedsAttention = "needs_attention",
        /// The environment is suspended and has no access. It can be restored until the cooling-off period ends.
        Offboarding = "offboarding",
        /// The tenant is suspended: the account is in quarantine or on its way there, without a countdown to deletion.
        /// Never stored: the stored state is `offboarding`.
        Suspended = "suspended",
        /// A restore or repair of the environment is in progress.
        Restoring = "restoring",
        /// The offboarding of the environment is complete.
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
    /// Region of the tenant stack that makes the environment ready.
    pub home_region: Region,
    /// Further regions of the environment, in the order of their slots.
    pub replicas: Vec<Replica>,
    /// Tenant stack in the home region; `None` until its creation is intended.
    pub home_stack: Option<EnvironmentStack>,
    pub state: EnvironmentState,
    /// AWS account of the environment; `None` if no account is mapped to it.
    pub aws_account_id: Option<AwsAccountId>,
    /// Version of the baseline stack; `None` before it is installed.
    pub baseline_version: Option<BaselineVersion>,
    /// Open operation of the environment, or the latest operation if none is open.
    pub operation_id: OperationId,
    /// Time of the request that created the environment.
    pub created_at: DateTime<Utc>,
    /// Time of the first successful verification.
    pub ready_at: Option<DateTime<Utc>>,
    /// Time at which the offboarding was completed.
    pub offboarded_at: Option<DateTime<Utc>>,
    /// Open findings about the environment, the most severe first.
    pub findings: Vec<Finding>,
}
