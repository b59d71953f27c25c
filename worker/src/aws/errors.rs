//! Every AWS error that Freehold knows, and what it means to a step: the table, on one page.

use crate::cloud::Kind;

/// What AWS answered in place of what was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refusal<'a> {
    /// The service's name as in [`crate::cloud::CloudError::call`]: `organizations`, `sts`, …
    pub(super) service: &'a str,
    /// The error code, such as `ConstraintViolationException`.
    pub(super) code: &'a str,
    /// The `Reason` that some errors carry, such as `ACCOUNT_NUMBER_LIMIT_EXCEEDED`.
    pub(super) reason: &'a str,
    /// The message.
    pub(super) message: &'a str,
    /// HTTP status.
    pub(super) status: u16,
}

/// What to do about a refusal.
#[expect(clippy::match_same_arms, reason = "a table: what belongs together stands together")]
pub(super) fn kind(refusal: &Refusal<'_>) -> Kind {
    const QUOTA: Kind = Kind::Quota { until: None };
    let says = |text: &str| refusal.message.contains(text);

    match (refusal.service, refusal.code) {
        // Rates: each service has its own word.
        (_, "TooManyRequestsException" | "Throttling" | "ThrottlingException" | "ThrottledException") => QUOTA,
        (_, "RequestLimitExceeded" | "SlowDown" | "LimitExceededException") => QUOTA,

        // Quotas. What is not listed by its reason is a limit that waiting does not raise.
        (_, "ServiceQuotaExceededException") => QUOTA,
        ("organizations", "ConstraintViolationException") => match refusal.reason {
            "ACCOUNT_NUMBER_LIMIT_EXCEEDED" | "ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED" => QUOTA,
            "CLOSE_ACCOUNT_QUOTA_EXCEEDED" | "CLOSE_ACCOUNT_REQUESTS_LIMIT_EXCEEDED" => QUOTA,
            "WAIT_PERIOD_ACTIVE" => Kind::Wait,
            _ => Kind::Terminal,
        },

        // Another change is under way, or an earlier one has not arrived everywhere.
        (_, "ConcurrentModificationException" | "PolicyChangesInProgressException") => Kind::Wait,
        ("organizations", "FinalizingOrganizationException") => Kind::Wait, // for an hour
        ("organizations", "SourceParentNotFoundException" | "CreateAccountStatusNotFoundException") => Kind::Wait,
        ("sso", "ConflictException") if says("already") => Kind::Conflict,
        ("identitystore", "ConflictException") if refusal.reason != "CONCURRENT_MODIFICATION" => Kind::Conflict,
        (_, "ConflictException" | "OperationInProgressException") => Kind::Wait,
        // Identity Center hears of a fresh account later than Organizations.
        ("sso", "ResourceNotFoundException") => Kind::Wait,

        // A fresh account or a fresh region settles for some minutes, and says so in many words.
        (_, "OptInRequired" | "SubscriptionRequiredException" | "RegionDisabledException" | "RegionDisabled") => {
            Kind::Wait
        }
        (_, "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId") => Kind::Wait,
        // The session is dropped; the next call opens another.
        (_, "ExpiredToken" | "ExpiredTokenException") => Kind::Wait,

        // There already.
        ("organizations", "DuplicateAccountException" | "DuplicateOrganizationalUnitException") => Kind::Conflict,
        ("organizations", "DuplicatePolicyException" | "DuplicatePolicyAttachmentException") => Kind::Conflict,
        ("organizations", "PolicyTypeAlreadyEnabledException" | "AccountAlreadyClosedException") => Kind::Conflict,
        (_, "AlreadyExistsException" | "TokenAlreadyExistsException") => Kind::Conflict,
        ("cloudformation", "ValidationError") if says("No updates are to be performed") => Kind::Conflict,

        // Not allowed.
        (_, "AccessDenied" | "AccessDeniedException" | "AccessDeniedForDependencyException") => {
            Kind::Denied { explicit: says("explicit deny") }
        }
        (_, "UnauthorizedOperation" | "NotAuthorized") => Kind::Denied { explicit: says("explicit deny") },

        // AWS's own trouble: the effect is unknown.
        (_, "InternalFailure" | "InternalError" | "InternalServerException" | "ServiceException") => Kind::Retry,
        (_, "ServiceUnavailable" | "ServiceUnavailableException" | "RequestTimeout") => Kind::Retry,

        // Everything else by its HTTP status.
        _ if refusal.status == 429 => QUOTA,
        _ if refusal.status == 403 => Kind::Denied { explicit: says("explicit deny") },
        _ if refusal.status >= 500 => Kind::Retry,
        _ => Kind::Terminal,
    }
}

/// Whether the session that asked is of no use any more.
pub(super) fn ends_session(code: &str) -> bool {
    matches!(code, "ExpiredToken" | "ExpiredTokenException" | "InvalidClientTokenId" | "UnrecognizedClientException")
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Kind = Kind::Quota { until: None };
    const DENIED: Kind = Kind::Denied { explicit: false };

    /// As in the failure scenarios that the project collected: service, code, reason, message, what to do.
    #[test]
    fn every_known_failure_has_its_kind() {
        let another = "AWS Organizations can't complete your request because another request is already in progress.";
        for (service, code, reason, message, expected) in [
            ("organizations", "TooManyRequestsException", "", another, QUOTA),
            ("organizations", "ConstraintViolationException", "ACCOUNT_NUMBER_LIMIT_EXCEEDED", "", QUOTA),
            ("organizations", "ConstraintViolationException", "ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED", "", QUOTA),
            ("organizations", "ConstraintViolationException", "CLOSE_ACCOUNT_QUOTA_EXCEEDED", "", QUOTA),
            ("organizations", "ConstraintViolationException", "WAIT_PERIOD_ACTIVE", "", Kind::Wait),
            (
                "organizations",
                "ConstraintViolationException",
                "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
                "",
                Kind::Terminal,
            ),
            ("organizations", "ConstraintViolationException", "A_REASON_OF_NEXT_YEAR", "", Kind::Terminal),
            ("organizations", "ConcurrentModificationException", "", "", Kind::Wait),
            ("organizations", "FinalizingOrganizationException", "", "", Kind::Wait),
            ("organizations", "PolicyChangesInProgressException", "", "", Kind::Wait),
            ("organizations", "SourceParentNotFoundException", "", "", Kind::Wait),
            ("organizations", "DuplicateAccountException", "", "", Kind::Conflict),
            ("organizations", "DuplicatePolicyAttachmentException", "", "", Kind::Conflict),
            ("organizations", "InvalidInputException", "INVALID_PATTERN", "", Kind::Terminal),
            ("organizations", "PolicyTypeNotEnabledException", "", "", Kind::Terminal),
            ("organizations", "ServiceException", "", "", Kind::Retry),
            ("organizations", "AccessDeniedException", "", "You don't have permissions", DENIED),
            ("sts", "AccessDenied", "", "User: arn:aws:iam::… is not authorized to perform: sts:AssumeRole", DENIED),
            ("sts", "RegionDisabledException", "", "", Kind::Wait),
            ("sts", "InvalidClientTokenId", "", "The security token included in the request is invalid.", Kind::Wait),
            ("sts", "ExpiredToken", "", "", Kind::Wait),
            ("sts", "ExpiredTokenException", "", "", Kind::Wait),
            ("sts", "PackedPolicyTooLarge", "", "", Kind::Terminal),
            ("account", "ConflictException", "", "", Kind::Wait),
            ("account", "TooManyRequestsException", "", "", QUOTA),
            ("account", "InternalServerException", "", "", Kind::Retry),
            (
                "cloudformation",
                "OptInRequired",
                "",
                "The AWS Access Key Id needs a subscription for the service",
                Kind::Wait,
            ),
            ("cloudformation", "SubscriptionRequiredException", "", "", Kind::Wait),
            ("cloudformation", "Throttling", "", "Rate exceeded", QUOTA),
            ("cloudformation", "LimitExceededException", "", "", QUOTA),
            ("cloudformation", "AlreadyExistsException", "", "Stack [a] already exists", Kind::Conflict),
            ("cloudformation", "TokenAlreadyExistsException", "", "", Kind::Conflict),
            ("cloudformation", "InsufficientCapabilitiesException", "", "", Kind::Terminal),
            ("cloudformation", "ValidationError", "", "No updates are to be performed.", Kind::Conflict),
            ("cloudformation", "ValidationError", "", "Template format error", Kind::Terminal),
            ("sso", "ConflictException", "", "There is a conflicting operation in process", Kind::Wait),
            ("sso", "ConflictException", "", "PermissionSet with name support already exists.", Kind::Conflict),
            ("sso", "ThrottlingException", "", "There are too many requests processing", QUOTA),
            ("sso", "ServiceQuotaExceededException", "", "", QUOTA),
            ("identitystore", "ConflictException", "UNIQUENESS_CONSTRAINT_VIOLATION", "", Kind::Conflict),
            ("identitystore", "ConflictException", "CONCURRENT_MODIFICATION", "", Kind::Wait),
        ] {
            let refusal = Refusal { service, code, reason, message, status: 400 };
            assert_eq!(kind(&refusal), expected, "{refusal:?}");
        }
    }

    #[test]
    fn an_explicit_denial_is_told_from_a_missing_permission() {
        let message = "User: arn:aws:sts::111122223333:assumed-role/freehold-verify/freehold is not authorized to perform: \
                       cloudformation:ListStacks with an explicit deny in a service control policy";
        let refusal =
            Refusal { service: "cloudformation", code: "AccessDenied", message, status: 403, ..Refusal::default() };
        assert_eq!(kind(&refusal), Kind::Denied { explicit: true });
    }

    #[test]
    fn an_unknown_error_is_judged_by_its_status() {
        for (status, expected) in [
            (400, Kind::Terminal),
            (403, DENIED),
            (404, Kind::Terminal),
            (429, QUOTA),
            (500, Kind::Retry),
            (503, Kind::Retry),
        ] {
            let refusal = Refusal { service: "organizations", code: "BrandNewException", status, ..Refusal::default() };
            assert_eq!(kind(&refusal), expected, "{status}");
        }
    }
}
