//! An environment: one isolated installation of a tenant, in an AWS account of its own.

use chrono::{DateTime, Utc};

use crate::string_enum::string_enum;
use crate::{AwsAccountId, EnvironmentId, EnvironmentName, OperationId, Region, ResidencyName, TenantId};

string_enum! {
    /// Where an environment stands; written only together with the operation that it follows from.
    EnvironmentState {
        /// Being prepared.
        Onboarding = "onboarding",
        /// Verified: it answers.
        Ready = "ready",
        /// Waits for a person.
        NeedsAttention = "needs_attention",
        /// Suspended: nobody gets in, and it can be restored until its cooling-off period ends.
        Offboarding = "offboarding",
        /// Being brought back to what it should be.
        Restoring = "restoring",
        /// Gone.
        Offboarded = "offboarded",
    }
}

/// One isolated installation of a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// `env_…`
    pub id: EnvironmentId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// `production`, `staging`, …
    pub name: EnvironmentName,
    /// The named set of regions that it may use.
    pub residency: ResidencyName,
    /// Where its stack runs first.
    pub home_region: Region,
    /// Where it stands.
    pub state: EnvironmentState,
    /// Its AWS account, once that is known for certain.
    pub aws_account_id: Option<AwsAccountId>,
    /// Its open operation, or its latest.
    pub operation_id: OperationId,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was first verified.
    pub ready_at: Option<DateTime<Utc>>,
    /// When it was gone.
    pub offboarded_at: Option<DateTime<Utc>>,
}
