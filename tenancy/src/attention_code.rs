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
        self.texts().0
    }

    /// Returns one sentence that support staff can pass on to the customer. It contains no internal details.
    pub fn customer_message(self) -> &'static str {
        self.texts().1
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

    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::AccountCreationFailed => (
                "Account creation failed",
                "AWS could not create the account of the environment; we are resolving this with AWS.",
            ),
            Self::AccountEmailInvalid => (
                "Invalid account e-mail address",
                "AWS rejected the e-mail address reserved for the environment; we are correcting it.",
            ),
            Self::AccountEmailTaken => (
                "Account e-mail address in use",
                "The e-mail address reserved for the environment is already in use at AWS; we are resolving the \
                 conflict.",
            ),
            Self::AccountMappedElsewhere => (
                "Account belongs to another environment",
                "A safety check stopped the setup before any change was made; we are investigating.",
            ),
            Self::AccountMissing => (
                "Account not in the organisation",
                "The account of the environment is not available; we are investigating.",
            ),
            Self::AccountNotActive => {
                ("Account not active", "The account of the environment is not active; we are having it reactivated.")
            }
            Self::AccountNotAdoptable => (
                "Account not adoptable",
                "The account chosen for the environment cannot be used; we are choosing another one.",
            ),
            Self::AccountNotOurs => (
                "Account ownership not confirmed",
                "A safety check stopped the work before any change was made; we are investigating.",
            ),
            Self::AccountProtected => (
                "Protected account",
                "A safety check stopped the work before any change was made; we are investigating.",
            ),
            Self::AccountUnknown => {
                ("Account unknown", "An internal error stopped the work; our engineers are investigating.")
            }
            Self::ApprovalRequired => ("Approval required", "The request is waiting for an internal approval."),
            Self::AssignmentFailed => (
                "Access assignment failed",
                "The environment exists, but access to it could not be assigned; we are resolving this.",
            ),
            Self::AwsAccessDenied => {
                ("AWS permission missing", "A permission is missing on our side; we are correcting it.")
            }
            Self::AwsQuotaReached => {
                ("AWS quota exhausted", "We have reached a limit of AWS and are having it raised.")
            }
            Self::AwsRefused => {
                ("Request rejected by AWS", "AWS rejected a part of the work; we are investigating the cause.")
            }
            Self::BusinessValidationNeeded => (
                "Business validation required",
                "AWS is validating our organisation before it creates further accounts; it then continues.",
            ),
            Self::CallNotPossible => (
                "AWS call not possible",
                "A safety check of our own stopped a part of the work; our engineers are investigating.",
            ),
            Self::DeadlinePassed => {
                ("Deadline passed", "AWS is taking longer than usual; the work continues automatically.")
            }
            Self::FrontDoorNotPossible => (
                "Front door not possible",
                "The shared address of the environment cannot be set up yet; our engineers are correcting the cause.",
            ),
            Self::GrantsUnknown => (
                "Granted access not recorded",
                "An internal error stopped the final check of the environment; our engineers are investigating.",
            ),
            Self::GroupMissing => (
                "Group missing",
                "A group that needs access to the environment does not exist yet; we are creating it.",
            ),
            Self::GroupNotOurs => (
                "Group ownership not confirmed",
                "A safety check stopped the work before any change was made; we are investigating.",
            ),
            Self::GuardrailMissing => (
                "Region guardrail missing",
                "The restriction to the agreed regions is not in place yet, so the setup has stopped; we are \
                 installing it.",
            ),
            Self::GuardrailTooLong => {
                ("Region guardrail too long", "The region settings exceed a limit of AWS; we are correcting them.")
            }
            Self::OrganizationAddressInvalid => {
                ("Organisation address invalid", "AWS rejected data of our organisation; we are correcting them.")
            }
            Self::PaymentInstrumentNeeded => (
                "Payment method missing",
                "AWS needs a valid payment method from us before it creates further accounts; we are providing it.",
            ),
            Self::PermissionSetMissing => (
                "Permission set missing",
                "A part of our setup that access depends on is missing; we are installing it.",
            ),
            Self::PolicyLimitReached => (
                "Policy limit reached",
                "The policies of our organisation exceed a limit of AWS; we are correcting them.",
            ),
            Self::QuarantineNotPrepared => (
                "Quarantine not prepared",
                "A part of our setup that offboarding depends on is missing; we are installing it.",
            ),
            Self::ResidencyNotConfigured => (
                "Residency not configured",
                "The chosen residency is not configured at present; we are correcting the configuration.",
            ),
            Self::ResidencyNotPrepared => {
                ("Residency not prepared", "The chosen residency is not ready at AWS yet; we are preparing it.")
            }
            Self::RevocationFailed => (
                "Access revocation failed",
                "Access to the environment could not be revoked completely; we are resolving this.",
            ),
            Self::StackBroken => {
                ("Stack broken", "The software in the environment has a problem that our engineers must fix.")
            }
            Self::StackCheckFailed => (
                "Unexpected response of the stack",
                "The final check got an unexpected response of the software; our engineers are investigating.",
            ),
            Self::StackDeniedByPolicy => {
                ("Stack denied by a policy", "A policy prevents a part of the deployment; we are correcting it.")
            }
            Self::StackFailed => (
                "Stack deployment failed",
                "The software of the environment could not be deployed; our engineers are investigating.",
            ),
            Self::StackIdentityMismatch => (
                "Stack reports another environment",
                "The final check found a wrong version of the software; our engineers are investigating.",
            ),
            Self::StackNameTaken => (
                "Stack name in use",
                "Another deployment in the account uses the name that we need; we are resolving the conflict.",
            ),
            Self::StackNeedsCapabilities => (
                "Stack capability not granted",
                "The deployment needs a permission that it does not have; our engineers are correcting it.",
            ),
            Self::StackNotDeletable => (
                "Stack deletion rejected",
                "The software of the environment is protected from deletion; we are resolving this.",
            ),
            Self::StackNotDeleted => {
                ("Stack deletion failed", "A part of the environment could not be deleted; we are resolving this.")
            }
            Self::StackProtected => (
                "Stack protected",
                "The software of the environment is protected from deletion; we are resolving this.",
            ),
            Self::LegalHold => (
                "Update would break a legal hold",
                "Your environment keeps its present version of the software while its data must not change.",
            ),
            Self::ReleaseChanged => (
                "Template of the release changed",
                "Your environment keeps its present version of the software while our engineers check the new one.",
            ),
            Self::StackRejected => (
                "Stack template rejected",
                "AWS rejected the deployment of the software; our engineers are correcting it.",
            ),
            Self::StackReservesConcurrency => (
                "Reserved concurrency too high",
                "The account does not have enough capacity for the deployment yet; we are having it raised.",
            ),
            Self::StackUpdateStuck => {
                ("Stack update stuck", "An update of the environment did not finish; our engineers are repairing it.")
            }
            Self::StackUrlOutputMissing => (
                "Stack URL missing",
                "The final check cannot reach the software of the environment; our engineers are correcting it.",
            ),
            Self::StepKeepsFailing => (
                "Repeated failures",
                "A part of the work fails repeatedly and is retried automatically; we are investigating the cause.",
            ),
            Self::TagPolicyViolated => {
                ("Tag policy violation", "A policy of our organisation prevents the setup; we are correcting it.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_unique_title_and_a_one_sentence_message() {
        let titles: BTreeSet<_> = AttentionCode::ALL.iter().map(|code| code.title()).collect();
        assert_eq!(titles.len(), AttentionCode::ALL.len());
        for code in AttentionCode::ALL {
            let message = code.customer_message();
            assert!(message.ends_with('.') && !message[..message.len() - 1].contains('.'), "{code}: {message}");
            assert!(code.title().len() <= 40 && !code.title().ends_with('.'), "{code}: {}", code.title());
        }
    }
}
