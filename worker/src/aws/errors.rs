//! Table that maps known AWS errors to error kinds.

use crate::cloud::CloudErrorKind;
use crate::first_match::FirstMatch;
use More::{Any, From, Reason, Status, Words};

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
    more: More,
    kind: CloudErrorKind,
}

/// Condition on an error response, in addition to service and error code.
#[derive(Debug)]
enum More {
    Any,
    Reason(&'static str),
    /// Text that AWS's error message must contain.
    Words(&'static str),
    Status(u16),
    /// Minimum HTTP status.
    From(u16),
}

const QUOTA: CloudErrorKind = CloudErrorKind::Throttled { until: None };
const WAIT: CloudErrorKind = CloudErrorKind::NotYet;
const CONFLICT: CloudErrorKind = CloudErrorKind::Conflict;
const DENIED: CloudErrorKind = CloudErrorKind::Denied { explicit: false };
const FORBIDDEN: CloudErrorKind = CloudErrorKind::Denied { explicit: true };
const UNKNOWN: CloudErrorKind = CloudErrorKind::Unknown;

/// Rows in order of precedence. An error that no row matches is permanent.
#[rustfmt::skip]
static TABLE: FirstMatch<Row> = FirstMatch(&[
    // Rate limits. Each service has its own error code for them.
    row("*", "TooManyRequestsException", Any, QUOTA),
    row("*", "Throttling", Any, QUOTA),
    row("*", "ThrottlingException", Any, QUOTA),
    row("*", "ThrottledException", Any, QUOTA),
    row("*", "RequestLimitExceeded", Any, QUOTA),
    row("*", "SlowDown", Any, QUOTA),

    // Quotas that become free after some time or that AWS raises. Errors of other quotas have no row and are permanent.
    row("organizations", "ConstraintViolationException", Reason("ACCOUNT_NUMBER_LIMIT_EXCEEDED"), QUOTA),
    row("organizations", "ConstraintViolationException", Reason("ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED"), QUOTA),
    row("organizations", "ConstraintViolationException", Reason("CLOSE_ACCOUNT_QUOTA_EXCEEDED"), QUOTA),
    row("organizations", "ConstraintViolationException", Reason("CLOSE_ACCOUNT_REQUESTS_LIMIT_EXCEEDED"), QUOTA),
    row("organizations", "ConstraintViolationException", Reason("WAIT_PERIOD_ACTIVE"), WAIT),

    // Another change is in progress, or an earlier one has not propagated yet.
    row("*", "ConcurrentModificationException", Any, WAIT),
    row("organizations", "FinalizingOrganizationException", Any, WAIT),
    row("organizations", "CreateAccountStatusNotFoundException", Any, WAIT),
    row("organizations", "SourceParentNotFoundException", Any, WAIT),
    row("organizations", "PolicyTypeNotEnabledException", Any, WAIT),
    row("organizations", "PolicyChangesInProgressException", Any, WAIT),
    row("sso", "ConflictException", Words("already"), CONFLICT),
    row("identitystore", "ConflictException", Reason("CONCURRENT_MODIFICATION"), WAIT),
    row("identitystore", "ConflictException", Any, CONFLICT),
    row("*", "ConflictException", Any, WAIT),
    row("*", "OperationInProgressException", Any, WAIT),
    row("sso", "ResourceNotFoundException", Any, WAIT), // Identity Center does not know a new account at first

    // A new account or region denies calls for some minutes, with various codes.
    row("*", "InvalidClientTokenId", Any, WAIT),
    row("*", "UnrecognizedClientException", Any, WAIT),
    row("*", "InvalidAccessKeyId", Any, WAIT),
    row("*", "RegionDisabledException", Any, WAIT),
    row("*", "RegionDisabled", Any, WAIT),
    row("*", "OptInRequired", Any, WAIT),
    row("*", "SubscriptionRequiredException", Any, WAIT),
    // The session has expired. It is removed from the cache, and the next call opens another session.
    row("*", "ExpiredToken", Any, WAIT),
    row("*", "ExpiredTokenException", Any, WAIT),

    // The object already exists, or the change has already been made.
    row("organizations", "DuplicateAccountException", Any, CONFLICT),
    row("organizations", "DuplicateOrganizationalUnitException", Any, CONFLICT),
    row("organizations", "DuplicatePolicyException", Any, CONFLICT),
    row("organizations", "DuplicatePolicyAttachmentException", Any, CONFLICT),
    row("organizations", "PolicyTypeAlreadyEnabledException", Any, CONFLICT),
    row("organizations", "AccountAlreadyClosedException", Any, CONFLICT),
    row("*", "AlreadyExistsException", Any, CONFLICT),
    row("*", "TokenAlreadyExistsException", Any, CONFLICT),
    row("cloudformation", "ValidationError", Words("No updates are to be performed"), CONFLICT),

    // Explicit deny in a policy, or missing permission.
    row("*", "*", Words("explicit deny"), FORBIDDEN),
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
    row("*", "*", Status(429), QUOTA),
    row("*", "*", Status(403), DENIED),
    row("*", "*", From(500), UNKNOWN),
]);

const fn row(service: &'static str, code: &'static str, more: More, kind: CloudErrorKind) -> Row {
    Row { service, code, more, kind }
}

impl Row {
    fn applies(&self, response: &AwsErrorResponse<'_>) -> bool {
        let is = |pattern: &str, value: &str| pattern == "*" || pattern == value;
        is(self.service, response.service)
            && is(self.code, response.code)
            && match self.more {
                Any => true,
                Reason(reason) => response.reason == reason,
                Words(words) => response.message.contains(words),
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
pub(super) fn ends_session(code: &str) -> bool {
    matches!(code, "ExpiredToken" | "ExpiredTokenException" | "InvalidClientTokenId" | "UnrecognizedClientException")
}

#[cfg(test)]
mod tests;
