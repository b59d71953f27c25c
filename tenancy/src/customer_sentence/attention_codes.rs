//! Customer sentences of the attention codes.

use crate::attention_code::AttentionCode;

impl AttentionCode {
    /// Returns the sentence that support staff read to the customer.
    ///
    /// An operation that cannot be retried stores the same codes as its cause of failure. The sentences are therefore
    /// true of stopped, late and failed work, and of environments that already serve.
    pub fn customer_sentence(self) -> &'static str {
        match self {
            Self::AccountCreationFailed => {
                "Your account could not be created yet. A colleague is looking into the cause."
            }
            Self::AccountEmailInvalid => {
                "The technical e-mail address reserved for your account was not accepted. A colleague is correcting it."
            }
            Self::AccountEmailTaken => {
                "The technical e-mail address reserved for your account is already in use. A colleague is resolving \
                 this."
            }
            Self::AccountMappedElsewhere | Self::AccountNotOurs | Self::AccountProtected | Self::GroupNotOurs => {
                "A safety check stopped a part of the work before it changed anything. A colleague is looking at it."
            }
            Self::AccountMissing => {
                "We cannot reach your account at the moment. A colleague is looking into the cause."
            }
            Self::AccountNotActive => {
                "Your account is not active at the moment, so a part of the work has stopped. A colleague is looking \
                 at it."
            }
            Self::AccountNotAdoptable => {
                "The account chosen for your environment cannot be used as it is. A colleague is resolving this."
            }
            Self::AccountUnknown | Self::GrantsUnknown => {
                "Some information for the next part of the work is missing on our side. A colleague is looking at it."
            }
            Self::ApprovalRequired => {
                "The next part of the work is waiting for an approval on our side. It continues by itself once a \
                 colleague has approved it."
            }
            Self::AssignmentFailed => {
                "Access to your environment could not be set up completely. A colleague is looking at it."
            }
            Self::AwsAccessDenied => {
                "A permission is missing on our side, so a part of the work has stopped. A colleague is looking at it."
            }
            Self::AwsQuotaReached | Self::GuardrailTooLong | Self::PolicyLimitReached => {
                "A technical limit on our side has been reached, so a part of the work has stopped. A colleague is \
                 taking care of it."
            }
            Self::AwsRefused => "One request in the work was not accepted. A colleague is looking into the cause.",
            Self::BusinessValidationNeeded => {
                "Details of our company are being checked before new accounts can be created. A colleague is following \
                 this up."
            }
            Self::CallNotPossible => "A check on our side stopped a part of the work. A colleague is looking at it.",
            Self::DeadlinePassed => "A part of the work is taking longer than usual. A colleague is checking it.",
            Self::FrontDoorNotPossible => {
                "The web address that your regions share cannot be set up yet. A colleague is looking at it."
            }
            Self::GroupMissing => {
                "A group of users that needs access to your environment does not exist yet. A colleague is taking care \
                 of it."
            }
            Self::GuardrailMissing => {
                "The restriction to your agreed regions could not be confirmed, so a part of the work has stopped. A \
                 colleague is looking at it."
            }
            Self::LegalHold | Self::ReleaseChanged => {
                "The update of your software was stopped as a precaution. A colleague is checking how to continue."
            }
            Self::OrganizationAddressInvalid | Self::PaymentInstrumentNeeded => {
                "Details of our company must be updated before new accounts can be created. A colleague is taking care \
                 of it."
            }
            Self::PermissionSetMissing => {
                "A setting for access to your environment is missing on our side. A colleague is taking care of it."
            }
            Self::QuarantineNotPrepared | Self::TagPolicyViolated => {
                "One setting on our side stops a part of the work. A colleague is looking at it."
            }
            Self::ResidencyNotConfigured | Self::ResidencyNotPrepared => {
                "The regions chosen for your environment are not ready for use on our side. A colleague is taking care \
                 of it."
            }
            Self::RevocationFailed => {
                "Some access to your environment could not be removed yet. A colleague is looking at it."
            }
            Self::StackBroken => {
                "The software in your environment is not in the expected state. A colleague is looking at it."
            }
            Self::StackCheckFailed | Self::StackIdentityMismatch => {
                "A check of the software in your environment did not give the expected result. A colleague is looking \
                 into the cause."
            }
            Self::StackDeniedByPolicy => {
                "One setting on our side stops a part of the installation. A colleague is looking at it."
            }
            Self::StackFailed | Self::StackRejected => {
                "The software in your environment could not be installed or changed as planned. A colleague is looking \
                 into the cause."
            }
            Self::StackNameTaken => {
                "A name that the installation needs is already in use in your account. A colleague is resolving this."
            }
            Self::StackNeedsCapabilities => {
                "The installation of the software needs a permission that it does not have yet. A colleague is looking \
                 at it."
            }
            Self::StackNotDeletable | Self::StackNotDeleted | Self::StackProtected => {
                "A part of the software could not be removed from your environment yet. A colleague is looking at it."
            }
            Self::StackReservesConcurrency => {
                "Your account does not have enough capacity for the installation yet. A colleague is looking at it."
            }
            Self::StackUpdateStuck => {
                "A change of the software in your environment did not finish. A colleague is looking at it."
            }
            Self::StackUrlOutputMissing => {
                "The address of the software in your environment could not be determined. A colleague is looking at it."
            }
            Self::StepKeepsFailing => {
                "A part of the work has not succeeded yet and is tried again by itself. A colleague is looking into \
                 the cause."
            }
        }
    }
}
