//! Tables of the reactions to failures that AWS reports after it has accepted a request: account creations, stacks and
//! assignments.

use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::fleet_hold::HoldKind;

use crate::first_match::FirstMatch;

/// Reaction to a failed account creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::steps) enum CreationFailureAction {
    /// Adopts the account with the requested e-mail address if it belongs to the environment. If it belongs to another
    /// owner, the operation needs attention.
    AdoptOrNeedsAttention,
    /// Adopts the environment's own account if it exists. Otherwise requests the account again.
    AdoptOrRequestAgain,
    /// Starts a fleet hold.
    Hold(HoldKind),
    NeedsAttention {
        code: AttentionCode,
        message: &'static str,
    },
}

#[derive(Debug)]
struct CreationFailure {
    reason: &'static str,
    action: CreationFailureAction,
}

const BUSINESS_VALIDATION: CreationFailureAction = CreationFailureAction::NeedsAttention {
    code: AttentionCode::BusinessValidationNeeded,
    message: "AWS must validate the business of the management account before it creates accounts. Complete the \
              validation with AWS, then retry.",
};

const PAYMENT_METHOD: CreationFailureAction = CreationFailureAction::NeedsAttention {
    code: AttentionCode::PaymentInstrumentNeeded,
    message: "The management account has no valid payment method. Add one in the Billing console, then retry.",
};

/// Reaction to a reason that is not in the table.
const UNKNOWN: CreationFailureAction = CreationFailureAction::NeedsAttention {
    code: AttentionCode::AccountCreationFailed,
    message: "AWS could not create the account. Fix the cause, then retry.",
};

static CREATION_FAILURES: FirstMatch<CreationFailure> = FirstMatch(&[
    creation("EMAIL_ALREADY_EXISTS", CreationFailureAction::AdoptOrNeedsAttention),
    // The request reached AWS twice, and one of the two continues.
    creation("CONCURRENT_ACCOUNT_MODIFICATION", CreationFailureAction::AdoptOrRequestAgain),
    creation("INTERNAL_FAILURE", CreationFailureAction::AdoptOrRequestAgain),
    creation("ACCOUNT_LIMIT_EXCEEDED", CreationFailureAction::Hold(HoldKind::AccountQuotaReached)),
    creation(
        "INVALID_EMAIL",
        CreationFailureAction::NeedsAttention {
            code: AttentionCode::AccountEmailInvalid,
            message: "AWS rejects the e-mail address of the new account. Correct organization.account_email in the \
                       configuration, then retry; or retry with another account_email for this environment.",
        },
    ),
    creation(
        "INVALID_ADDRESS",
        CreationFailureAction::NeedsAttention {
            code: AttentionCode::OrganizationAddressInvalid,
            message: "AWS rejects the postal address of the management account. Correct it in AWS, then retry.",
        },
    ),
    creation("MISSING_PAYMENT_INSTRUMENT", PAYMENT_METHOD),
    creation("INVALID_PAYMENT_INSTRUMENT", PAYMENT_METHOD),
    creation("MISSING_BUSINESS_VALIDATION", BUSINESS_VALIDATION),
    creation("FAILED_BUSINESS_VALIDATION", BUSINESS_VALIDATION),
    creation("PENDING_BUSINESS_VALIDATION", BUSINESS_VALIDATION),
    creation("UNKNOWN_BUSINESS_VALIDATION", BUSINESS_VALIDATION),
    creation("INVALID_IDENTITY_FOR_BUSINESS_VALIDATION", BUSINESS_VALIDATION),
]);

const fn creation(reason: &'static str, action: CreationFailureAction) -> CreationFailure {
    CreationFailure { reason, action }
}

/// Reaction to a failed stack or assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::steps) enum FailureAction {
    /// Retries up to the maximum number of attempts.
    Retry,
    /// Retries without limit while the account is new. Such a failure does not count as an attempt.
    RetryWhileNew,
    NeedsAttention {
        code: AttentionCode,
        message: &'static str,
    },
}

#[derive(Debug)]
struct WorkFailure {
    /// Text that AWS's failure reason must contain.
    words: &'static str,
    action: FailureAction,
}

/// Failures of stack resources. A failure without a row may be temporary and is retried.
static STACK_FAILURES: FirstMatch<WorkFailure> = FirstMatch(&[
    WorkFailure {
        words: "explicit deny",
        action: FailureAction::NeedsAttention {
            code: AttentionCode::StackDeniedByPolicy,
            message: "A service control policy denies a call of the stack. Remove the resource from the template, or \
                      allow the call.",
        },
    },
    WorkFailure {
        words: "UnreservedConcurrentExecution below its minimum",
        action: FailureAction::NeedsAttention {
            code: AttentionCode::StackReservesConcurrency,
            message: "The stack reserves more Lambda concurrency than a new account has. Remove \
                       ReservedConcurrentExecutions from the template, or request a higher quota from AWS.",
        },
    },
    WorkFailure { words: "needs a subscription", action: FailureAction::RetryWhileNew },
    WorkFailure { words: "security token included in the request is invalid", action: FailureAction::RetryWhileNew },
    WorkFailure { words: "UnrecognizedClientException", action: FailureAction::RetryWhileNew },
]);

/// Failures of account assignments.
static ASSIGNMENT_FAILURES: FirstMatch<WorkFailure> =
    FirstMatch(&[WorkFailure { words: "Access denied by IAM", action: FailureAction::RetryWhileNew }]);

/// Returns the reaction to the reason that AWS gives for a failed account creation.
pub(in crate::steps) fn creation_failure(reason: &str) -> CreationFailureAction {
    CREATION_FAILURES.find(|row| row.reason == reason).map_or(UNKNOWN, |row| row.action)
}

/// Returns the reaction to the first failure of a stack.
pub(in crate::steps) fn stack_failure(reason: &str) -> FailureAction {
    STACK_FAILURES.find(|row| reason.contains(row.words)).map_or(FailureAction::Retry, |row| row.action)
}

/// Returns the reaction to a failed assignment.
pub(in crate::steps) fn assignment_failure(reason: &str) -> FailureAction {
    ASSIGNMENT_FAILURES.find(|row| reason.contains(row.words)).map_or(FailureAction::Retry, |row| row.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_needed() {
        CREATION_FAILURES.assert_every_row_is_needed(
            |row, example| row.reason == example.reason,
            |row| row.map_or(UNKNOWN, |row| row.action),
        );
        for table in [&STACK_FAILURES, &ASSIGNMENT_FAILURES] {
            table.assert_every_row_is_needed(
                |row, example| example.words.contains(row.words),
                |row| row.map_or(FailureAction::Retry, |row| row.action),
            );
        }
    }

    #[test]
    fn an_unknown_reason_needs_attention() {
        assert_eq!(creation_failure("A_REASON_OF_NEXT_YEAR"), UNKNOWN);
    }
}
