//! Every AWS error that Freehold knows, and what it means to a step: the table, on one page.

use crate::cloud::CloudErrorKind;
use More::{Any, From, Reason, Status, Words};

/// What AWS answered in place of what was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AwsErrorResponse<'a> {
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

/// A row: what AWS answers, what it means, and which scenario of docs/scenarios.md it serves (0: any).
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    service: &'static str,
    code: &'static str,
    more: More,
    kind: CloudErrorKind,
    pub(super) scenario: u8,
}

/// What else must hold for a row to apply.
#[derive(Debug, PartialEq)]
enum More {
    Any,
    Reason(&'static str),
    /// In the message.
    Words(&'static str),
    Status(u16),
    /// This status and those above it.
    From(u16),
}

const QUOTA: CloudErrorKind = CloudErrorKind::Throttled { until: None };
const WAIT: CloudErrorKind = CloudErrorKind::NotYet;
const CONFLICT: CloudErrorKind = CloudErrorKind::Conflict;
const DENIED: CloudErrorKind = CloudErrorKind::Denied { explicit: false };
const FORBIDDEN: CloudErrorKind = CloudErrorKind::Denied { explicit: true };
const UNKNOWN: CloudErrorKind = CloudErrorKind::Unknown;

/// The first row that applies counts. What no row applies to will fail again for the same reason.
#[rustfmt::skip]
pub(super) static TABLE: &[Row] = &[
    // Rates: each service has its own word.
    row("*", "TooManyRequestsException", Any, QUOTA, 7),
    row("*", "Throttling", Any, QUOTA, 41),
    row("*", "ThrottlingException", Any, QUOTA, 26),
    row("*", "ThrottledException", Any, QUOTA, 0),
    row("*", "RequestLimitExceeded", Any, QUOTA, 0),
    row("*", "SlowDown", Any, QUOTA, 0),

    // Quotas that others give back, or that a new day or AWS raises. A limit that waiting does not raise has no row.
    row("organizations", "ConstraintViolationException", Reason("ACCOUNT_NUMBER_LIMIT_EXCEEDED"), QUOTA, 5),
    row("organizations", "ConstraintViolationException", Reason("ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED"), QUOTA, 6),
    row("organizations", "ConstraintViolationException", Reason("CLOSE_ACCOUNT_QUOTA_EXCEEDED"), QUOTA, 47),
    row("organizations", "ConstraintViolationException", Reason("CLOSE_ACCOUNT_REQUESTS_LIMIT_EXCEEDED"), QUOTA, 47),
    row("organizations", "ConstraintViolationException", Reason("WAIT_PERIOD_ACTIVE"), WAIT, 0),

    // Another change is under way, or an earlier one has not arrived everywhere.
    row("*", "ConcurrentModificationException", Any, WAIT, 8),
    row("organizations", "FinalizingOrganizationException", Any, WAIT, 9),
    row("organizations", "CreateAccountStatusNotFoundException", Any, WAIT, 13),
    row("organizations", "SourceParentNotFoundException", Any, WAIT, 17),
    row("organizations", "PolicyTypeNotEnabledException", Any, WAIT, 20),
    row("organizations", "PolicyChangesInProgressException", Any, WAIT, 20),
    row("sso", "ConflictException", Words("already"), CONFLICT, 27),
    row("identitystore", "ConflictException", Reason("CONCURRENT_MODIFICATION"), WAIT, 27),
    row("identitystore", "ConflictException", Any, CONFLICT, 27),
    row("*", "ConflictException", Any, WAIT, 27), // and 30, 47
    row("*", "OperationInProgressException", Any, WAIT, 0),
    row("sso", "ResourceNotFoundException", Any, WAIT, 22), // Identity Center hears of a fresh account late

    // A fresh account or a fresh region settles for some minutes, and says so in many words.
    row("*", "InvalidClientTokenId", Any, WAIT, 23),
    row("*", "UnrecognizedClientException", Any, WAIT, 23),
    row("*", "InvalidAccessKeyId", Any, WAIT, 23),
    row("*", "RegionDisabledException", Any, WAIT, 23),
    row("*", "RegionDisabled", Any, WAIT, 23),
    row("*", "OptInRequired", Any, WAIT, 24),
    row("*", "SubscriptionRequiredException", Any, WAIT, 24),
    // The session is dropped; the next call opens another.
    row("*", "ExpiredToken", Any, WAIT, 25),
    row("*", "ExpiredTokenException", Any, WAIT, 25),

    // There, or done, already.
    row("organizations", "DuplicateAccountException", Any, CONFLICT, 16),
    row("organizations", "DuplicateOrganizationalUnitException", Any, CONFLICT, 18),
    row("organizations", "DuplicatePolicyException", Any, CONFLICT, 18),
    row("organizations", "DuplicatePolicyAttachmentException", Any, CONFLICT, 18),
    row("organizations", "PolicyTypeAlreadyEnabledException", Any, CONFLICT, 20),
    row("organizations", "AccountAlreadyClosedException", Any, CONFLICT, 47),
    row("*", "AlreadyExistsException", Any, CONFLICT, 33),
    row("*", "TokenAlreadyExistsException", Any, CONFLICT, 34),
    row("cloudformation", "ValidationError", Words("No updates are to be performed"), CONFLICT, 36),

    // Not allowed: by a policy that says so, or because nothing allows it.
    row("*", "*", Words("explicit deny"), FORBIDDEN, 32),
    row("*", "AccessDenied", Any, DENIED, 22),
    row("*", "AccessDeniedException", Any, DENIED, 22),
    row("*", "AccessDeniedForDependencyException", Any, DENIED, 0),
    row("*", "UnauthorizedOperation", Any, DENIED, 0),
    row("*", "NotAuthorized", Any, DENIED, 0),

    // AWS's own trouble: the effect is unknown.
    row("*", "InternalFailure", Any, UNKNOWN, 1),
    row("*", "InternalError", Any, UNKNOWN, 1),
    row("*", "InternalServerException", Any, UNKNOWN, 1),
    row("*", "ServiceException", Any, UNKNOWN, 1),
    row("*", "ServiceUnavailable", Any, UNKNOWN, 1),
    row("*", "ServiceUnavailableException", Any, UNKNOWN, 1),
    row("*", "RequestTimeout", Any, UNKNOWN, 1),

    // Everything else by its HTTP status.
    row("*", "*", Status(429), QUOTA, 14),
    row("*", "*", Status(403), DENIED, 14),
    row("*", "*", From(500), UNKNOWN, 14),
];

const fn row(service: &'static str, code: &'static str, more: More, kind: CloudErrorKind, scenario: u8) -> Row {
    Row { service, code, more, kind, scenario }
}

impl Row {
    fn applies(&self, refusal: &AwsErrorResponse<'_>) -> bool {
        let is = |pattern: &str, value: &str| pattern == "*" || pattern == value;
        is(self.service, refusal.service)
            && is(self.code, refusal.code)
            && match self.more {
                Any => true,
                Reason(reason) => refusal.reason == reason,
                Words(words) => refusal.message.contains(words),
                Status(status) => refusal.status == status,
                From(status) => refusal.status >= status,
            }
    }
}

/// What to do about a refusal.
pub(super) fn kind(refusal: &AwsErrorResponse<'_>) -> CloudErrorKind {
    judge(TABLE.iter(), refusal)
}

fn judge<'a>(mut rows: impl Iterator<Item = &'a Row>, refusal: &AwsErrorResponse<'_>) -> CloudErrorKind {
    rows.find(|row| row.applies(refusal)).map_or(CloudErrorKind::Failed, |row| row.kind.clone())
}

/// Whether the session that asked is of no use any more.
pub(super) fn ends_session(code: &str) -> bool {
    matches!(code, "ExpiredToken" | "ExpiredTokenException" | "InvalidClientTokenId" | "UnrecognizedClientException")
}

/// Every row in words, with the scenario that it serves.
pub(crate) fn rows() -> impl Iterator<Item = (u8, String)> {
    TABLE.iter().map(|row| {
        let more = match row.more {
            Any => String::new(),
            Reason(reason) => format!(" {reason}"),
            Words(words) => format!(" “{words}”"),
            Status(status) => format!(" with HTTP {status}"),
            From(status) => format!(" with HTTP {status} or above"),
        };
        let meaning = match row.kind {
            CloudErrorKind::Unknown => "the effect is unknown: look, then ask again",
            CloudErrorKind::NotYet => "not yet: ask again later",
            CloudErrorKind::Conflict => "there already",
            CloudErrorKind::Denied { explicit: true } => "a policy denies it",
            CloudErrorKind::Denied { explicit: false } => "nothing allows it",
            CloudErrorKind::Throttled { .. } => "used up: ask again later",
            CloudErrorKind::Failed => "for good",
        };
        let service = if row.service == "*" { "any service" } else { row.service };
        let code = if row.code == "*" { "any other error" } else { row.code };
        (row.scenario, format!("{service}: {code}{more} → {meaning}"))
    })
}

#[cfg(test)]
mod tests;
