//! Tests that each known AWS error has the intended kind and that every row of the table is needed.

use super::*;

/// Each tuple contains service, code, reason, message and expected kind of an AWS error.
#[test]
fn every_known_failure_has_its_kind() {
    let another = "AWS Organizations can't complete your request because another request is already in progress.";
    for (service, code, reason, message, expected) in [
        ("organizations", "TooManyRequestsException", "", another, THROTTLED),
        ("organizations", "ConstraintViolationException", "ACCOUNT_NUMBER_LIMIT_EXCEEDED", "", THROTTLED),
        ("organizations", "ConstraintViolationException", "ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED", "", THROTTLED),
        ("organizations", "ConstraintViolationException", "CLOSE_ACCOUNT_QUOTA_EXCEEDED", "", THROTTLED),
        ("organizations", "ConstraintViolationException", "WAIT_PERIOD_ACTIVE", "", CloudErrorKind::NotYet),
        (
            "organizations",
            "ConstraintViolationException",
            "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
            "",
            CloudErrorKind::Failed,
        ),
        ("organizations", "ConstraintViolationException", "A_REASON_OF_NEXT_YEAR", "", CloudErrorKind::Failed),
        ("organizations", "ConcurrentModificationException", "", "", CloudErrorKind::NotYet),
        ("organizations", "FinalizingOrganizationException", "", "", CloudErrorKind::NotYet),
        ("organizations", "PolicyChangesInProgressException", "", "", CloudErrorKind::NotYet),
        ("organizations", "SourceParentNotFoundException", "", "", CloudErrorKind::NotYet),
        ("organizations", "DuplicateAccountException", "", "", CloudErrorKind::Conflict),
        ("organizations", "DuplicatePolicyAttachmentException", "", "", CloudErrorKind::Conflict),
        ("organizations", "InvalidInputException", "INVALID_PATTERN", "", CloudErrorKind::Failed),
        ("organizations", "PolicyTypeNotEnabledException", "", "", CloudErrorKind::NotYet),
        ("organizations", "ServiceException", "", "", CloudErrorKind::Unknown),
        ("organizations", "AccessDeniedException", "", "You don't have permissions", DENIED),
        ("sts", "AccessDenied", "", "User: arn:aws:iam::… is not authorized to perform: sts:AssumeRole", DENIED),
        ("sts", "RegionDisabledException", "", "", CloudErrorKind::NotYet),
        (
            "sts",
            "InvalidClientTokenId",
            "",
            "The security token included in the request is invalid.",
            CloudErrorKind::NotYet,
        ),
        ("sts", "ExpiredToken", "", "", CloudErrorKind::NotYet),
        ("sts", "ExpiredTokenException", "", "", CloudErrorKind::NotYet),
        ("sts", "PackedPolicyTooLarge", "", "", CloudErrorKind::Failed),
        ("account", "ConflictException", "", "", CloudErrorKind::NotYet),
        ("account", "TooManyRequestsException", "", "", THROTTLED),
        ("account", "InternalServerException", "", "", CloudErrorKind::Unknown),
        (
            "cloudformation",
            "OptInRequired",
            "",
            "The AWS Access Key Id needs a subscription for the service",
            CloudErrorKind::NotYet,
        ),
        ("cloudformation", "SubscriptionRequiredException", "", "", CloudErrorKind::NotYet),
        ("cloudformation", "Throttling", "", "Rate exceeded", THROTTLED),
        ("cloudformation", "LimitExceededException", "", "", CloudErrorKind::Failed),
        ("cloudformation", "AlreadyExistsException", "", "Stack [a] already exists", CloudErrorKind::Conflict),
        ("cloudformation", "TokenAlreadyExistsException", "", "", CloudErrorKind::Conflict),
        ("cloudformation", "InsufficientCapabilitiesException", "", "", CloudErrorKind::Failed),
        ("cloudformation", "ValidationError", "", "No updates are to be performed.", CloudErrorKind::Conflict),
        ("cloudformation", "ValidationError", "", "Template format error", CloudErrorKind::Failed),
        ("sso", "ConflictException", "", "There is a conflicting operation in process", CloudErrorKind::NotYet),
        ("sso", "ConflictException", "", "PermissionSet with name support already exists.", CloudErrorKind::Conflict),
        ("sso", "ThrottlingException", "", "There are too many requests processing", THROTTLED),
        ("sso", "ServiceQuotaExceededException", "", "", CloudErrorKind::Failed),
        ("identitystore", "ConflictException", "UNIQUENESS_CONSTRAINT_VIOLATION", "", CloudErrorKind::Conflict),
        ("identitystore", "ConflictException", "CONCURRENT_MODIFICATION", "", CloudErrorKind::NotYet),
    ] {
        let response = AwsErrorResponse { service, code, reason, message, status: 400 };
        assert_eq!(kind(&response), expected, "{response:?}");
    }
}

#[test]
fn an_explicit_deny_differs_from_a_missing_permission() {
    let message = "User: arn:aws:sts::111122223333:assumed-role/freehold-verify/freehold is not authorized to perform: \
                   cloudformation:ListStacks with an explicit deny in a service control policy";
    let response = AwsErrorResponse {
        service: "cloudformation",
        code: "AccessDenied",
        message,
        status: 403,
        ..AwsErrorResponse::default()
    };
    assert_eq!(kind(&response), CloudErrorKind::Denied { explicit_deny: true });
}

#[test]
fn the_status_decides_on_an_unknown_error() {
    for (status, expected) in [
        (400, CloudErrorKind::Failed),
        (403, DENIED),
        (404, CloudErrorKind::Failed),
        (429, THROTTLED),
        (500, CloudErrorKind::Unknown),
        (503, CloudErrorKind::Unknown),
    ] {
        let response = AwsErrorResponse {
            service: "organizations",
            code: "BrandNewException",
            status,
            ..AwsErrorResponse::default()
        };
        assert_eq!(kind(&response), expected, "{status}");
    }
}

/// Returns a minimal response that matches `row`.
fn example(row: &Row) -> AwsErrorResponse<'static> {
    let mut response = AwsErrorResponse {
        service: if row.service == "*" { "service" } else { row.service },
        code: if row.code == "*" { "BrandNewException" } else { row.code },
        status: 400,
        ..AwsErrorResponse::default()
    };
    match row.condition {
        Any => {}
        Reason(reason) => response.reason = reason,
        MessageContains(words) => response.message = words,
        Status(status) | From(status) => response.status = status,
    }
    response
}

#[test]
fn every_row_is_needed() {
    TABLE.assert_every_row_is_needed(|row, example_of| row.applies(&example(example_of)), kind_of);
}
