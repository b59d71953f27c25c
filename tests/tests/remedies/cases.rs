//! Case of each attention code.

use freehold_tenancy::attention::AttentionCode;
use futures::future::BoxFuture;

use super::scene::{Probe, Proof};
use super::{access, account_creation, accounts, organization, releases, services, stacks};

/// Provokes an attention code, applies a remedy, and asserts that the operation ends well.
pub(super) type Case = fn(Probe) -> BoxFuture<'static, Proof>;

macro_rules! cases {
    ($($code:ident => $module:ident::$case:ident),* $(,)?) => {
        pub(super) fn case_of(code: AttentionCode) -> Case {
            match code {
                $(AttentionCode::$code => |probe| Box::pin($module::$case(probe)),)*
            }
        }

        pub(super) fn name_of_case(code: AttentionCode) -> &'static str {
            match code {
                $(AttentionCode::$code => concat!(stringify!($module), "::", stringify!($case)),)*
            }
        }
    };
}

cases! {
    AccountCreationFailed => account_creation::unknown_reason,
    AccountEmailInvalid => account_creation::rejected_email,
    AccountEmailTaken => account_creation::taken_email,
    AccountMappedElsewhere => account_creation::adoption_by_two_environments,
    AccountMissing => accounts::removed_account,
    AccountNotActive => accounts::closed_account,
    AccountNotAdoptable => account_creation::adoption_of_a_closed_account,
    AccountNotOurs => accounts::retagged_account,
    AccountProtected => accounts::account_protected_by_the_configuration,
    AccountUnknown => accounts::journal_without_the_account,
    ApprovalRequired => account_creation::tier_with_approval,
    AssignmentFailed => access::failing_assignment,
    AwsAccessDenied => services::denied_call,
    AwsQuotaReached => services::exhausted_quota,
    AwsRefused => access::rejected_admin_email,
    BusinessValidationNeeded => account_creation::pending_business_validation,
    CallNotPossible => access::ambiguous_admin,
    DeadlinePassed => services::hanging_region_opt_in,
    FrontDoorNotPossible => stacks::front_door_that_the_residency_forbids,
    GrantsUnknown => access::journal_without_the_grants,
    GroupMissing => access::missing_group,
    GroupNotOurs => access::external_group_of_the_same_name,
    GuardrailMissing => organization::detached_guardrail,
    GuardrailTooLong => organization::guardrail_that_is_too_long,
    LegalHold => releases::update_under_a_legal_hold,
    OrganizationAddressInvalid => account_creation::invalid_address,
    PaymentInstrumentNeeded => account_creation::missing_payment_method,
    PermissionSetMissing => access::missing_permission_set,
    PolicyLimitReached => organization::too_many_policies,
    QuarantineNotPrepared => organization::missing_quarantine_ou,
    ReleaseChanged => releases::changed_copy_in_s3,
    ResidencyNotConfigured => organization::residency_without_configuration,
    ResidencyNotPrepared => organization::residency_without_ou,
    RevocationFailed => access::failing_revocation,
    StackBroken => stacks::stack_in_an_unknown_state,
    StackCheckFailed => stacks::template_with_another_answer,
    StackDeniedByPolicy => stacks::denied_resource,
    StackFailed => stacks::failing_resource,
    StackIdentityMismatch => stacks::template_with_another_environment,
    StackNameTaken => stacks::external_stack_of_the_same_name,
    StackNeedsCapabilities => stacks::missing_capability_of_one_tenant,
    StackNotDeletable => stacks::stack_that_cannot_be_deleted,
    StackNotDeleted => stacks::resource_that_cannot_be_deleted,
    StackProtected => stacks::protected_stack_of_an_onboarding,
    StackRejected => stacks::rejected_value,
    StackReservesConcurrency => stacks::template_with_reserved_concurrency,
    StackUpdateStuck => stacks::failed_rollback_of_an_update,
    StackUrlOutputMissing => stacks::template_without_its_output,
    StepKeepsFailing => services::failing_service,
    TagPolicyViolated => services::violated_tag_policy,
}
