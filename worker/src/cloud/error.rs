//! Errors of cloud calls, in the six kinds that steps distinguish.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::shorten::shorten;

/// Maximum number of characters of AWS's message that an error shows, so that Freehold's own words have room next to
/// it.
const MAX_MESSAGE_CHARS: usize = 600;

/// Error of a cloud call that failed or whose response was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudError {
    /// Kind of the error, which determines how a step continues.
    pub kind: CloudErrorKind,
    /// Name of the AWS call, such as `organizations:MoveAccount`.
    pub call: &'static str,
    pub origin: ErrorOrigin,
    /// Error code of AWS, or of Freehold (`Timeout`, `RateReached`).
    pub code: String,
    pub message: String,
    /// Request id of AWS, which AWS support needs.
    pub request_id: Option<String>,
}

/// Program that reports an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorOrigin {
    /// AWS answered the call with the error.
    Aws,
    /// Freehold did not make the call, got no answer, or cannot use the answer.
    Freehold,
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
    /// Creates an error that Freehold reports itself. `message` is a clause, without the name of the call.
    pub(crate) fn from_freehold(kind: CloudErrorKind, call: &'static str, code: &str, message: String) -> Self {
        Self { kind, call, origin: ErrorOrigin::Freehold, code: code.to_owned(), message, request_id: None }
    }

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
        let message = shorten(&self.message, MAX_MESSAGE_CHARS);
        match self.origin {
            ErrorOrigin::Freehold => write!(f, "{}: {message}", self.call),
            ErrorOrigin::Aws if message.is_empty() => write!(f, "{} answered {}", self.call, self.code),
            ErrorOrigin::Aws => write!(f, "{} answered {}: {message}", self.call, self.code),
        }
    }
}

impl std::error::Error for CloudError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_freehold_does_not_read_as_an_answer_of_aws() {
        let call = "lambda:InvokeFunctionUrl";
        let error = CloudError::from_freehold(CloudErrorKind::Failed, call, "NotJson", "the answer is no JSON".into());
        assert_eq!(error.to_string(), "lambda:InvokeFunctionUrl: the answer is no JSON");
        let error = CloudError { origin: ErrorOrigin::Aws, code: "Throttling".into(), message: String::new(), ..error };
        assert_eq!(error.to_string(), "lambda:InvokeFunctionUrl answered Throttling");
    }
}
