//! The table says what it is meant to say, and would say something else without any one of its rows.

use super::*;

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
        ("organizations", "PolicyTypeNotEnabledException", "", "", Kind::Wait),
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
        ("cloudformation", "LimitExceededException", "", "", Kind::Terminal),
        ("cloudformation", "AlreadyExistsException", "", "Stack [a] already exists", Kind::Conflict),
        ("cloudformation", "TokenAlreadyExistsException", "", "", Kind::Conflict),
        ("cloudformation", "InsufficientCapabilitiesException", "", "", Kind::Terminal),
        ("cloudformation", "ValidationError", "", "No updates are to be performed.", Kind::Conflict),
        ("cloudformation", "ValidationError", "", "Template format error", Kind::Terminal),
        ("sso", "ConflictException", "", "There is a conflicting operation in process", Kind::Wait),
        ("sso", "ConflictException", "", "PermissionSet with name support already exists.", Kind::Conflict),
        ("sso", "ThrottlingException", "", "There are too many requests processing", QUOTA),
        ("sso", "ServiceQuotaExceededException", "", "", Kind::Terminal),
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

/// What AWS answers where a row applies, in the simplest case.
fn example(row: &Row) -> Refusal<'static> {
    let mut refusal = Refusal {
        service: if row.service == "*" { "service" } else { row.service },
        code: if row.code == "*" { "BrandNewException" } else { row.code },
        status: 400,
        ..Refusal::default()
    };
    match row.more {
        Any => {}
        Reason(reason) => refusal.reason = reason,
        Words(words) => refusal.message = words,
        Status(status) | From(status) => refusal.status = status,
    }
    refusal
}

#[test]
fn every_row_is_needed() {
    for masked in TABLE {
        let refusal = example(masked);
        let with = kind(&refusal);
        let without = judge(TABLE.iter().filter(|row| *row != masked), &refusal);
        eprintln!(
            "{:>2} {} {} {:?}: {with:?}, without the row {without:?}",
            masked.scenario, masked.service, masked.code, masked.more
        );
        assert_eq!(with, masked.kind, "another row comes before {masked:?}");
        assert_ne!(without, masked.kind, "nothing changes without {masked:?}");
    }
}
