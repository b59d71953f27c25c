//! Attention codes: all reasons why an operation can need attention, with their remedies.

use crate::string_enum::string_enum;

string_enum! {
    /// Stable code of the reason why an operation needs attention. Codes are never changed or removed, because stored
    /// operations contain them.
    AttentionCode {
        AccountCreationFailed = "account_creation_failed",
        AccountEmailInvalid = "account_email_invalid",
        AccountEmailTaken = "account_email_taken",
        AccountMappedElsewhere = "account_mapped_elsewhere",
        AccountMissing = "account_missing",
        AccountNotActive = "account_not_active",
        AccountNotAdoptable = "account_not_adoptable",
        AccountNotOurs = "account_not_ours",
        AccountProtected = "account_protected",
        AccountUnknown = "account_unknown",
        ApprovalRequired = "approval_required",
        AssignmentFailed = "assignment_failed",
        AwsAccessDenied = "aws_access_denied",
        AwsQuotaReached = "aws_quota_reached",
        AwsRefused = "aws_refused",
        BusinessValidationNeeded = "business_validation_needed",
        CallNotPossible = "call_not_possible",
        DeadlinePassed = "deadline_passed",
        FrontDoorNotPossible = "front_door_not_possible",
        GrantsUnknown = "grants_unknown",
        GroupMissing = "group_missing",
        GroupNotOurs = "group_not_ours",
        GuardrailMissing = "guardrail_missing",
        GuardrailTooLong = "guardrail_too_long",
        LegalHold = "legal_hold",
        OrganizationAddressInvalid = "organization_address_invalid",
        PaymentInstrumentNeeded = "payment_instrument_needed",
        PermissionSetMissing = "permission_set_missing",
        PolicyLimitReached = "policy_limit_reached",
        QuarantineNotPrepared = "quarantine_not_prepared",
        ReleaseChanged = "release_changed",
        ResidencyNotConfigured = "residency_not_configured",
        ResidencyNotPrepared = "residency_not_prepared",
        RevocationFailed = "revocation_failed",
        StackBroken = "stack_broken",
        StackCheckFailed = "stack_check_failed",
        StackDeniedByPolicy = "stack_denied_by_policy",
        StackFailed = "stack_failed",
        StackIdentityMismatch = "stack_identity_mismatch",
        StackNameTaken = "stack_name_taken",
        StackNeedsCapabilities = "stack_needs_capabilities",
        StackNotDeletable = "stack_not_deletable",
        StackNotDeleted = "stack_not_deleted",
        StackProtected = "stack_protected",
        StackRejected = "stack_rejected",
        StackReservesConcurrency = "stack_reserves_concurrency",
        StackUpdateStuck = "stack_update_stuck",
        StackUrlOutputMissing = "stack_url_output_missing",
        StepKeepsFailing = "step_keeps_failing",
        TagPolicyViolated = "tag_policy_violated",
    }
}

string_enum! {
    /// Action that a person can request through the API for an operation that needs attention.
    Remedy {
        /// `POST /v1/operations/{id}/retry`, after the cause is fixed.
        Retry = "retry",
        /// `POST /v1/operations/{id}/retry` with a corrected value. Requires approval.
        Correct = "correct",
        /// `POST /v1/operations/{id}/adopt` with an existing account. Requires approval.
        Adopt = "adopt",
        /// `POST /v1/operations/{id}/approve`, by a person other than the requester.
        Approve = "approve",
        /// `POST /v1/operations/{id}/cancel`, which undoes the completed steps.
        Cancel = "cancel",
    }
}

impl AttentionCode {
    /// Returns a short title for lists and headings.
    pub fn title(self) -> &'static str {
        match self {
            Self::AccountCreationFailed => "Account creation failed",
            Self::AccountEmailInvalid => "Invalid account e-mail address",
            Self::AccountEmailTaken => "Account e-mail address in use",
            Self::AccountMappedElsewhere => "Account belongs to another environment",
            Self::AccountMissing => "Account not in the organisation",
            Self::AccountNotActive => "Account not active",
            Self::AccountNotAdoptable => "Account not adoptable",
            Self::AccountNotOurs => "Account ownership not confirmed",
            Self::AccountProtected => "Protected account",
            Self::AccountUnknown => "Account unknown",
            Self::ApprovalRequired => "Approval required",
            Self::AssignmentFailed => "Access assignment failed",
            Self::AwsAccessDenied => "AWS permission missing",
            Self::AwsQuotaReached => "AWS quota exhausted",
            Self::AwsRefused => "Request rejected by AWS",
            Self::BusinessValidationNeeded => "Business validation required",
            Self::CallNotPossible => "AWS call not possible",
            Self::DeadlinePassed => "Deadline passed",
            Self::FrontDoorNotPossible => "Front door not possible",
            Self::GrantsUnknown => "Granted access not recorded",
            Self::GroupMissing => "Group missing",
            Self::GroupNotOurs => "Group ownership not confirmed",
            Self::GuardrailMissing => "Region guardrail missing",
            Self::GuardrailTooLong => "Region guardrail too long",
            Self::OrganizationAddressInvalid => "Organisation address invalid",
            Self::PaymentInstrumentNeeded => "Payment method missing",
            Self::PermissionSetMissing => "Permission set missing",
            Self::PolicyLimitReached => "Policy limit reached",
            Self::QuarantineNotPrepared => "Quarantine not prepared",
            Self::ResidencyNotConfigured => "Residency not configured",
            Self::ResidencyNotPrepared => "Residency not prepared",
            Self::RevocationFailed => "Access revocation failed",
            Self::StackBroken => "Stack broken",
            Self::StackCheckFailed => "Unexpected response of the stack",
            Self::StackDeniedByPolicy => "Stack denied by a policy",
            Self::StackFailed => "Stack deployment failed",
            Self::StackIdentityMismatch => "Stack reports another environment",
            Self::StackNameTaken => "Stack name in use",
            Self::StackNeedsCapabilities => "Stack capability not granted",
            Self::StackNotDeletable => "Stack deletion rejected",
            Self::StackNotDeleted => "Stack deletion failed",
            Self::StackProtected => "Stack protected",
            Self::LegalHold => "Update would break a legal hold",
            Self::ReleaseChanged => "Template of the release changed",
            Self::StackRejected => "Stack template rejected",
            Self::StackReservesConcurrency => "Reserved concurrency too high",
            Self::StackUpdateStuck => "Stack update stuck",
            Self::StackUrlOutputMissing => "Stack URL missing",
            Self::StepKeepsFailing => "Repeated failures",
            Self::TagPolicyViolated => "Tag policy violation",
        }
    }

    /// Returns the remedies that resolve the problem. The worker adds `cancel` if the operation can be cancelled.
    pub fn remedies(self) -> &'static [Remedy] {
        match self {
            Self::ApprovalRequired => &[Remedy::Approve],
            // The operation has failed; the update is requested again.
            Self::LegalHold | Self::ReleaseChanged => &[],
            Self::AccountMappedElsewhere => &[Remedy::Adopt],
            Self::AccountCreationFailed
            | Self::AccountEmailInvalid
            | Self::AccountEmailTaken
            | Self::AccountNotAdoptable => &[Remedy::Retry, Remedy::Correct, Remedy::Adopt],
            // Another e-mail address changes nothing.
            Self::BusinessValidationNeeded | Self::OrganizationAddressInvalid | Self::PaymentInstrumentNeeded => {
                &[Remedy::Retry, Remedy::Adopt]
            }
            _ => &[Remedy::Retry],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_unique_short_title() {
        let titles: BTreeSet<_> = AttentionCode::ALL.iter().map(|code| code.title()).collect();
        assert_eq!(titles.len(), AttentionCode::ALL.len());
        for code in AttentionCode::ALL {
            assert!(code.title().len() <= 40 && !code.title().ends_with('.'), "{code}: {}", code.title());
        }
    }
}
