//! Access to an account: assignments of permission sets, the roles of Freehold, and the changes of both.

use chrono::{DateTime, Utc};

use crate::finding::FindingKind;
use crate::operation::OperationKind;
use crate::string_enum::string_enum;
use crate::{
    AccessGrantId, ApprovalId, AwsAccountId, EnvironmentId, EnvironmentName, FindingId, OperationId, TenantId,
};

string_enum! {
    /// Kind of an entry of the access review.
    AccessKind {
        /// Assignment of a permission set of IAM Identity Center.
        PermissionSet = "permission_set",
        /// IAM role through which Freehold works in the account.
        FreeholdRole = "freehold_role",
    }
}

string_enum! {
    /// Kind of a principal that has access.
    PrincipalKind {
        /// Group that an entry of `[[access]]` names.
        ConfiguredGroup = "configured_group",
        /// Group that Freehold created for the tenant.
        TenantGroup = "tenant_group",
        /// Group to which Freehold did not assign the permission set.
        OtherGroup = "other_group",
        /// User to whom a permission set is assigned directly.
        User = "user",
        /// IAM role that can assume a role of Freehold.
        Role = "role",
        /// AWS account whose principals can assume a role of Freehold.
        Account = "account",
    }
}

string_enum! {
    /// Source of the record of an assignment.
    GrantSource {
        /// An operation made the assignment.
        Freehold = "freehold",
        /// Only a comparison of AWS with the database found the assignment.
        Observed = "observed",
    }
}

/// Changes of the access to an account that a step has made so far. Recording them again has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessChanges {
    pub account: AwsAccountId,
    pub granted: Vec<Assignment>,
    /// Permission set ARN and group id of each revoked assignment.
    pub revoked: Vec<(String, String)>,
    /// Whether the account has left the organisation, which ends all its assignments.
    pub has_left: bool,
}

impl AccessChanges {
    /// Creates changes without grants and revocations.
    pub fn of(account: AwsAccountId) -> Self {
        Self { account, granted: Vec::new(), revoked: Vec::new(), has_left: false }
    }
}

/// Assignment of a permission set in an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assignment {
    pub permission_set: String,
    pub permission_set_arn: String,
    pub principal_kind: PrincipalKind,
    pub principal_id: String,
    /// Name of the group; `None` if it is not known, and for users.
    pub principal_name: Option<String>,
}

/// Assignments that a comparison has found in one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedAccess {
    pub tenant_id: TenantId,
    pub environment_id: EnvironmentId,
    pub account: AwsAccountId,
    pub assignments: Vec<Assignment>,
}

/// Entry of the access review: one principal's access to one account.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessEntry {
    pub id: AccessGrantId,
    pub kind: AccessKind,
    pub tenant_id: TenantId,
    pub company_name: String,
    pub environment_id: EnvironmentId,
    pub environment: EnvironmentName,
    pub aws_account_id: AwsAccountId,
    /// Name of the permission set or role.
    pub permission_set: String,
    /// ARN of the permission set or role.
    pub arn: String,
    pub principal_kind: PrincipalKind,
    pub principal_id: String,
    pub principal_name: Option<String>,
    /// Number of users that Freehold has added to the group; `None` if Freehold does not manage the members.
    pub members: Option<i64>,
    pub source: GrantSource,
    /// Time at which the access started, or was first observed.
    pub granted_at: DateTime<Utc>,
    /// Operation that granted the access; `None` if it was only observed.
    pub operation: Option<AccessOperation>,
    /// Latest approval of that operation before the access started; `None` if none was needed.
    pub approval: Option<AccessApproval>,
    /// Start of the latest comparison that found the assignment in AWS.
    pub observed_at: Option<DateTime<Utc>>,
    /// Open finding about the access.
    pub finding: Option<(FindingId, FindingKind)>,
    /// End of the access; `None` while it is in force.
    pub ended_at: Option<DateTime<Utc>>,
    /// Operation that ended the access; `None` if it was ended outside Freehold.
    pub ended_by: Option<OperationId>,
}

/// Operation that granted access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessOperation {
    pub id: OperationId,
    pub kind: OperationKind,
    /// Subject of the token that requested the operation.
    pub requested_by: String,
    pub requested_at: DateTime<Utc>,
}

/// Approval of an operation that granted access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessApproval {
    pub id: ApprovalId,
    /// Approved action, such as `vend`.
    pub action: String,
    /// Subject of the token that approved it.
    pub approved_by: String,
    pub approved_at: DateTime<Utc>,
}
