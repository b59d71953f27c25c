//! Errors of cloud calls, in the six kinds that steps distinguish.

use std::fmt;

use chrono::{DateTime, Utc};

/// A call that failed or whose response was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudError {
    /// Kind of error, which decides how to continue.
    pub kind: CloudErrorKind,
    /// Name of the call, such as `organizations:MoveAccount`.
    pub call: &'static str,
    /// Error code of AWS, or of Freehold if the call did not reach AWS (`Timeout`, `RateReached`).
    pub code: String,
    pub message: String,
    /// AWS's request id, which AWS support asks for.
    pub request_id: Option<String>,
}

/// The kind of a cloud error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudErrorKind {
    /// The effect is unknown, for example after a timeout, a connection reset or a 5xx: read the state before a retry.
    Unknown,
    /// Not possible yet, for example in a new account or during another change: retry later.
    NotYet,
    /// The object exists, or the change is made, already.
    Conflict,
    Denied {
        /// Whether AWS reports an explicit deny in a policy.
        explicit: bool,
    },
    /// A rate limit or quota is exhausted; the call had no effect.
    Throttled {
        /// Time of the next attempt, if known.
        until: Option<DateTime<Utc>>,
    },
    /// Permanent: a retry would fail for the same reason.
    Failed,
}

impl CloudError {
    /// Returns whether AWS gave this reason. The message starts with the reason.
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
        // The request id is only logged, so that repeated failures have identical messages.
        write!(f, "{} answered {}", self.call, self.code)?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl std::error::Error for CloudError {}
