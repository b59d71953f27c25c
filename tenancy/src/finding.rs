//! A finding: something in AWS that is not as the database, or the configuration, says.

use chrono::{DateTime, Utc};

use crate::string_enum::string_enum;
use crate::{AwsAccountId, EnvironmentId, FindingId, OperationId, TenantId};

string_enum! {
    /// How bad it is.
    Severity {
        /// A tenant's data, its seclusion or its service is at stake.
        Critical = "critical",
        /// Something that was promised is not there.
        Error = "error",
        /// Something is not as it was left.
        Warning = "warning",
    }
}

string_enum! {
    /// What was found.
    FindingKind {
        /// An account carries this installation's tag and belongs to nothing that it knows.
        AccountUnknown = "account_unknown",
        /// An environment's account is not in the organisation any more.
        AccountMissing = "account_missing",
        /// An environment's account was closed or suspended, and not by Freehold.
        AccountSuspended = "account_suspended",
        /// An environment's account is not in the OU of its residency.
        WrongOu = "wrong_ou",
        /// One of Freehold's OUs is not there.
        OuMissing = "ou_missing",
        /// There is no guardrail of the name that an OU should carry.
        GuardrailMissing = "guardrail_missing",
        /// The guardrail is there, but not on its OU.
        GuardrailDetached = "guardrail_detached",
        /// The guardrail on an OU says something else than the configuration.
        GuardrailChanged = "guardrail_changed",
        /// A permission set that the configuration declares is not in Identity Center.
        PermissionSetMissing = "permission_set_missing",
        /// A group that the configuration gives access to is not in Identity Center.
        GroupMissing = "group_missing",
        /// A declared assignment is not there.
        AssignmentMissing = "assignment_missing",
        /// Somebody holds one of the declared permission sets who should not.
        AssignmentExtra = "assignment_extra",
        /// The role that Freehold works through cannot be assumed.
        AccessLost = "access_lost",
        /// A stack that Freehold deployed is not there.
        StackMissing = "stack_missing",
        /// A stack stands in a state that it does not leave by itself.
        StackFailed = "stack_failed",
        /// A stack was changed, or replaced, by somebody else.
        StackDrifted = "stack_drifted",
    }
}

impl FindingKind {
    /// How bad it is.
    #[expect(clippy::match_same_arms, reason = "a table: what belongs together stands together")]
    pub fn severity(self) -> Severity {
        match self {
            Self::AccountMissing | Self::AccountSuspended | Self::WrongOu => Severity::Critical,
            Self::OuMissing | Self::GuardrailMissing | Self::GuardrailDetached => Severity::Critical,
            Self::GuardrailChanged | Self::AssignmentExtra | Self::StackMissing => Severity::Critical,
            Self::AccountUnknown | Self::PermissionSetMissing | Self::GroupMissing => Severity::Error,
            Self::AssignmentMissing | Self::AccessLost | Self::StackFailed => Severity::Error,
            Self::StackDrifted => Severity::Warning,
        }
    }

    /// Whether an ordinary repair of the environment puts it right without taking anything away from anybody. All else
    /// waits for a person.
    pub fn is_safe_to_heal(self) -> bool {
        matches!(self, Self::WrongOu | Self::AssignmentMissing | Self::AccessLost | Self::StackMissing)
    }
}

string_enum! {
    /// What puts a finding right.
    FindingRemedy {
        /// An ordinary operation on the environment.
        Repair = "repair",
        /// A person, who has to look first.
        Person = "person",
    }
}

string_enum! {
    /// Whether a finding still holds.
    FindingState {
        /// It does, as far as anybody knows.
        Open = "open",
        /// A later look did not find it any more.
        Resolved = "resolved",
    }
}

/// Something that a look at AWS has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFinding {
    /// What.
    pub kind: FindingKind,
    /// What exactly, stable from look to look: with the kind it tells one finding from another.
    pub subject: String,
    /// The account that it is about, if it is about one.
    pub aws_account_id: Option<AwsAccountId>,
    /// The environment that it is about, with whose that is, if it is about one.
    pub environment: Option<(TenantId, EnvironmentId)>,
    /// What is wrong and what to do about it, in plain words.
    pub message: String,
    /// What puts it right.
    pub remedy: FindingRemedy,
}

/// A finding as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `find_…`
    pub id: FindingId,
    /// What was found.
    pub kind: FindingKind,
    /// How bad it is.
    pub severity: Severity,
    /// What exactly, stable from look to look.
    pub subject: String,
    /// The account that it is about, if it is about one.
    pub aws_account_id: Option<AwsAccountId>,
    /// The environment that it is about, with whose that is, if it is about one.
    pub environment: Option<(TenantId, EnvironmentId)>,
    /// What is wrong and what to do about it, in plain words.
    pub message: String,
    /// What puts it right; a person also where a repair did not.
    pub remedy: FindingRemedy,
    /// The operation that was begun to put it right, if one was.
    pub operation_id: Option<OperationId>,
    /// When it was first seen.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen_at: DateTime<Utc>,
    /// When it was first not seen any more.
    pub resolved_at: Option<DateTime<Utc>>,
}
