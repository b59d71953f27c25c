//! Errors of cloud calls, in the six kinds that steps distinguish.

use std::fmt;

use chrono::{DateTime, Utc};

/// Error of a cloud call that failed or whose response was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudError {
    /// Kind of the error, which determines how a step continues.
    pub kind: CloudErrorKind,
    /// Name of the AWS call, such as `organizations:MoveAccount`.
    pub call: &'static str,
    /// Error code of AWS, or of Freehold if the call did not reach AWS (`Timeout`, `RateReached`).
    pub code: String,
    pub message: String,
    /// Request id of AWS, which AWS support needs.
    pub request_id: Option<String>,
}

/// Kind of a cloud error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudErrorKind {
    /// The effect of the call is unknown, for example after a timeout, a lost connection or a 5xx response. The state
    /// must be read before a retry.
    Unknown,
    /// The call is not possible yet, for example in a new account or during another change. It can be retried later.
    NotYet,
    /// The object already exists, or the change has already been made.
    Conflict,
    Denied {
        /// Whether AWS reports an explicit deny in a policy.
        explicit_deny: bool,
    },
    /// A rate limit or quota is exhausted; the call had no effect.
    Throttled {
        /// Time at which the call can be retried, if known.
        until: Option<DateTime<Utc>>,
    },
    /// The error is permanent, so a retry would fail for the same reason.
    Failed,
}

impl CloudError {
    /// Returns whether AWS's failure reason is `reason`. The error message starts with AWS's reason.
    pub fn has_reason(&self, reason: &str) -> bool {
        self.message.starts_with(reason)
    }

    /// Returns whether the call certainly had no effect.
    pub fn had_no_effect(&self) -> bool {
        self.kind != CloudErrorKind::Unknown
    }
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The request id is left out, so that repeated failures have identical messages.
        write!(f, "{} answered {}", self.call, self.code)?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl std::error::Error for CloudError {}
