//! Table that maps known AWS errors to error kinds.

use crate::cloud::CloudErrorKind;
use crate::first_match::FirstMatch;
use Condition::{Any, From, MessageContains, Reason, Status};

/// Error response of AWS.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AwsErrorResponse<'a> {
    /// Service prefix of [`crate::cloud::CloudError::call`], such as `organizations`.
    pub(super) service: &'a str,
    /// Error code, such as `ConstraintViolationException`.
    pub(super) code: &'a str,
    /// Field `Reason` of some errors, such as `ACCOUNT_NUMBER_LIMIT_EXCEEDED`; otherwise empty.
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
    pub(super) status: u16,
}

#[derive(Debug)]
struct Row {
    service: &'static str,
    code: &'static str,
    condition: Condition,
    kind: CloudErrorKind,
}

/// Condition on an error response, in addition to service and error code.
#[derive(Debug)]
enum Condition {
    Any,
    Reason(&'static str),
    /// Text that AWS's error message must contain.
    MessageContains(&'static str),
    Status(u16),
    /// Minimum HTTP status.
    From(u16),
}

const THROTTLED: CloudErrorKind = CloudErrorKind::Throttled { until: None };
const NOT_YET: CloudErrorKind = CloudErrorKind::NotYet;
const CONFLICT: CloudErrorKind = CloudErrorKind::Conflict;
const DENIED: CloudErrorKind = CloudErrorKind::Denied { explicit_deny: false };
const EXPLICIT_DENY: CloudErrorKind = CloudErrorKind::Denied { explicit_deny: true };
const UNKNOWN: CloudErrorKind = CloudErrorKind::Unknown;

/// Rows in order of precedence. An error that no row matches is permanent.
#[rustfmt::skip]
static TABLE: FirstMatch<Row> = FirstMatch(&[
    // Rate limits. Each service has its own error code for them.
    row("*", "TooManyRequestsException", Any, THROTTLED),
    row("*", "Throttling", Any, THROTTLED),
    row("*", "ThrottlingException", Any, THROTTLED),
    row("*", "ThrottledException", Any, THROTTLED),
    row("*", "RequestLimitExceeded", Any, THROTTLED),
    row("*", "SlowDown", Any, THROTTLED),

    // Quotas that become free after some time or that AWS raises. Errors of other quotas have no row and are permanent.
    row("organizations", "ConstraintViolationException", Reason("ACCOUNT_NUMBER_LIMIT_EXCEEDED"), THROTTLED),
    row("organizations", "ConstraintViolationException", Reason("ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED"), THROTTLED),
    row("organizations", "ConstraintViolationException", Reason("CLOSE_ACCOUNT_QUOTA_EXCEEDED"), THROTTLED),
    row("organizations", "ConstraintViolationException", Reason("CLOSE_ACCOUNT_REQUESTS_LIMIT_EXCEEDED"), THROTTLED),
    row("organizations", "ConstraintViolationException", Reason("WAIT_PERIOD_ACTIVE"), NOT_YET),

    // Another change is in progress, or an earlier one has not propagated yet.
    row("*", "ConcurrentModificationException", Any, NOT_YET),
    row("organizations", "FinalizingOrganizationException", Any, NOT_YET),
    row("organizations", "CreateAccountStatusNotFoundException", Any, NOT_YET),
    row("organizations", "SourceParentNotFoundException", Any, NOT_YET),
    row("organizations", "PolicyTypeNotEnabledException", Any, NOT_YET),
    row("organizations", "PolicyChangesInProgressException", Any, NOT_YET),
    row("sso", "ConflictException", MessageContains("already"), CONFLICT),
    row("identitystore", "ConflictException", Reason("CONCURRENT_MODIFICATION"), NOT_YET),
    row("identitystore", "ConflictException", Any, CONFLICT),
    row("*", "ConflictException", Any, NOT_YET),
    row("*", "OperationInProgressException", Any, NOT_YET),
    row("sso", "ResourceNotFoundException", Any, NOT_YET), // Identity Center does not know a new account at first

    // A new account or region denies calls for some minutes, with various codes.
    row("*", "InvalidClientTokenId", Any, NOT_YET),
    row("*", "UnrecognizedClientException", Any, NOT_YET),
    row("*", "InvalidAccessKeyId", Any, NOT_YET),
    row("*", "RegionDisabledException", Any, NOT_YET),
    row("*", "RegionDisabled", Any, NOT_YET),
    row("*", "OptInRequired", Any, NOT_YET),
    row("*", "SubscriptionRequiredException", Any, NOT_YET),
    // The session has expired. It is removed from the cache, and the next call opens another session.
    row("*", "ExpiredToken", Any, NOT_YET),
    row("*", "ExpiredTokenException", Any, NOT_YET),

    // The object already exists, or the change has already been made.
    row("organizations", "DuplicateAccountException", Any, CONFLICT),
    row("organizations", "DuplicateOrganizationalUnitException", Any, CONFLICT),
    row("organizations", "DuplicatePolicyException", Any, CONFLICT),
    row("organizations", "DuplicatePolicyAttachmentException", Any, CONFLICT),
    row("organizations", "PolicyTypeAlreadyEnabledException", Any, CONFLICT),
    row("organizations", "AccountAlreadyClosedException", Any, CONFLICT),
    row("*", "AlreadyExistsException", Any, CONFLICT),
    row("*", "TokenAlreadyExistsException", Any, CONFLICT),
    // The permissions of a new account or role on a template in S3 are not effective yet.
    row("cloudformation", "ValidationError", MessageContains("S3 error: Access Denied"), DENIED),
    row("cloudformation", "ValidationError", MessageContains("No updates are to be performed"), CONFLICT),

    // Explicit deny in a policy, or missing permission.
    row("*", "*", MessageContains("explicit deny"), EXPLICIT_DENY),
    row("*", "AccessDenied", Any, DENIED),
    row("*", "AccessDeniedException", Any, DENIED),
    row("*", "AccessDeniedForDependencyException", Any, DENIED),
    row("*", "UnauthorizedOperation", Any, DENIED),
    row("*", "NotAuthorized", Any, DENIED),

    // Internal errors of AWS: the effect of the call is unknown.
    row("*", "InternalFailure", Any, UNKNOWN),
    row("*", "InternalError", Any, UNKNOWN),
    row("*", "InternalServerException", Any, UNKNOWN),
    row("*", "ServiceException", Any, UNKNOWN),
    row("*", "ServiceUnavailable", Any, UNKNOWN),
    row("*", "ServiceUnavailableException", Any, UNKNOWN),
    row("*", "RequestTimeout", Any, UNKNOWN),

    // All other errors are classified by their HTTP status.
    row("*", "*", Status(429), THROTTLED),
    row("*", "*", Status(403), DENIED),
    row("*", "*", From(500), UNKNOWN),
]);

const fn row(service: &'static str, code: &'static str, condition: Condition, kind: CloudErrorKind) -> Row {
    Row { service, code, condition, kind }
}

impl Row {
    fn applies(&self, response: &AwsErrorResponse<'_>) -> bool {
        let is = |pattern: &str, value: &str| pattern == "*" || pattern == value;
        is(self.service, response.service)
            && is(self.code, response.code)
            && match self.condition {
                Any => true,
                Reason(reason) => response.reason == reason,
                MessageContains(words) => response.message.contains(words),
                Status(status) => response.status == status,
                From(status) => response.status >= status,
            }
    }
}

/// Returns the kind of an AWS error. The kind determines how a step continues.
pub(super) fn kind(response: &AwsErrorResponse<'_>) -> CloudErrorKind {
    kind_of(TABLE.find(|row| row.applies(response)))
}

fn kind_of(row: Option<&Row>) -> CloudErrorKind {
    row.map_or(CloudErrorKind::Failed, |row| row.kind.clone())
}

/// Returns whether an error code means that AWS no longer accepts the session.
pub(super) fn invalidates_session(code: &str) -> bool {
    matches!(code, "ExpiredToken" | "ExpiredTokenException" | "InvalidClientTokenId" | "UnrecognizedClientException")
}

#[cfg(test)]
mod tests;
