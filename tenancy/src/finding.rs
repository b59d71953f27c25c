//! Finding: a difference between AWS and the database or the configuration.

use chrono::{DateTime, Utc};

use crate::string_enum::{string_enum, string_enum_with_sentences};
use crate::{AwsAccountId, EnvironmentId, FindingId, OperationId, TenantId};

string_enum! {
    /// Severity of a finding.
    Severity {
        /// Data, isolation or service of a tenant is at risk.
        Critical = "critical",
        /// A required resource is missing or does not work.
        Error = "error",
        /// A resource was changed outside Freehold.
        Warning = "warning",
    }
}

string_enum_with_sentences! {
    /// Kind of a finding.
    FindingKind {
        /// Account with the tag of this installation but without an environment.
        AccountUnknown = "account_unknown",
        /// Account that belongs to an environment but is no longer in the organisation.
        AccountMissing = "account_missing",
        /// Account that belongs to an environment but was closed or suspended outside Freehold.
        AccountSuspended = "account_suspended",
        /// Account that belongs to an environment but is not in the OU of the environment's residency.
        WrongOu = "wrong_ou",
        /// OU of a residency, or quarantine OU, that does not exist.
        OuMissing = "ou_missing",
        /// Guardrail policy that is missing in the organisation.
        GuardrailMissing = "guardrail_missing",
        /// Guardrail that exists but is not attached to its OU.
        GuardrailDetached = "guardrail_detached",
        /// Guardrail whose contents differ from the configuration.
        GuardrailChanged = "guardrail_changed",
        /// Configured permission set that is missing in Identity Center.
        PermissionSetMissing = "permission_set_missing",
        /// Configured group that is missing in Identity Center.
        GroupMissing = "group_missing",
        /// Configured assignment that is missing in an account.
        AssignmentMissing = "assignment_missing",
        /// Assignment that uses a configured permission set but is not configured.
        AssignmentExtra = "assignment_extra",
        /// Account whose access role Freehold cannot assume.
        AccessLost = "access_lost",
        /// Stack that Freehold deployed but that no longer exists.
        StackMissing = "stack_missing",
        /// Stack in a state from which it does not recover without a person.
        StackFailed = "stack_failed",
        /// Stack that was changed or replaced outside Freehold.
        StackDrifted = "stack_drifted",
        /// Tenant stack that does not have the template or the parameters of its release on record.
        ReleaseMismatch = "release_mismatch",
        /// Baseline of an earlier version than the configured one.
        BaselineOutdated = "baseline_outdated",
    }
}

impl FindingKind {
    #[expect(clippy::match_same_arms, reason = "a table grouped by subject")]
    pub fn severity(self) -> Severity {
        match self {
            Self::AccountMissing | Self::AccountSuspended | Self::WrongOu => Severity::Critical,
            Self::OuMissing | Self::GuardrailMissing | Self::GuardrailDetached => Severity::Critical,
            Self::GuardrailChanged | Self::AssignmentExtra | Self::StackMissing => Severity::Critical,
            Self::AccountUnknown | Self::PermissionSetMissing | Self::GroupMissing => Severity::Error,
            Self::AssignmentMissing | Self::AccessLost | Self::StackFailed => Severity::Error,
            Self::StackDrifted | Self::ReleaseMismatch | Self::BaselineOutdated => Severity::Warning,
        }
    }

    /// Returns true if a repair fixes the finding without removing access or resources. A person must resolve the other
    /// kinds.
    pub fn is_safe_to_repair(self) -> bool {
        matches!(self, Self::WrongOu | Self::AssignmentMissing | Self::AccessLost | Self::StackMissing)
    }
}

string_enum! {
    /// Remedy of a finding.
    FindingRemedy {
        /// Repair operation on the environment.
        Repair = "repair",
        /// Manual action by a person.
        Person = "person",
    }
}

string_enum! {
    /// State of a finding.
    FindingState {
        /// Found by the latest comparison of AWS with the database.
        Open = "open",
        /// No longer found by a later comparison.
        Resolved = "resolved",
    }
}

/// Finding that has not been stored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFinding {
    pub kind: FindingKind,
    /// Stable name of the affected resource. Kind and subject identify a finding.
    pub subject: String,
    /// Affected account, if there is one.
    pub aws_account_id: Option<AwsAccountId>,
    /// Affected environment with its tenant, if there is one.
    pub environment: Option<(TenantId, EnvironmentId)>,
    /// Message for operators, with the difference and the required action.
    pub message: String,
    pub remedy: FindingRemedy,
}

/// Stored finding with its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub id: FindingId,
    pub kind: FindingKind,
    pub severity: Severity,
    /// Stable name of the affected resource.
    pub subject: String,
    /// Affected account, if there is one.
    pub aws_account_id: Option<AwsAccountId>,
    /// Affected environment with its tenant, if there is one.
    pub environment: Option<(TenantId, EnvironmentId)>,
    /// Message for operators, with the difference and the required action.
    pub message: String,
    /// Remedy of the finding. Changes from `repair` to `person` if a repair did not fix the finding.
    pub remedy: FindingRemedy,
    /// Repair operation, if one was started.
    pub operation_id: Option<OperationId>,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    /// Time of the first comparison that no longer found the difference.
    pub resolved_at: Option<DateTime<Utc>>,
}
