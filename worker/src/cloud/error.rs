//! Why a cloud did not do what it was asked, in the six kinds that a step tells apart.

use std::fmt;

use chrono::{DateTime, Utc};

/// A call that failed, or whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudError {
    /// What to do about it.
    pub kind: CloudErrorKind,
    /// The call, such as `organizations:MoveAccount`.
    pub call: &'static str,
    /// AWS's error code, or one of ours for what never reached AWS (`Timeout`, `RateReached`).
    pub code: String,
    /// AWS's message.
    pub message: String,
    /// AWS's id of the request, for its support.
    pub request_id: Option<String>,
}

/// The six kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudErrorKind {
    /// It may or may not have been done: a timeout, a reset, a 5xx. Look, then ask again.
    Unknown,
    /// It cannot be done yet: a fresh account, a policy on its way, another change under way. Ask again later.
    NotYet,
    /// It is there, or done, already.
    Conflict,
    /// Not allowed; `explicit` where a policy denies it in so many words.
    Denied {
        /// Whether AWS said that a policy denies it explicitly.
        explicit: bool,
    },
    /// A rate or quota is used up; nothing was done.
    Throttled {
        /// When to ask again, where that is known.
        until: Option<DateTime<Utc>>,
    },
    /// It will fail again for the same reason.
    Failed,
}

impl CloudError {
    /// Whether AWS gave this as its reason, which stands first in the message.
    pub fn has_reason(&self, reason: &str) -> bool {
        self.message.starts_with(reason)
    }

    /// Whether it is known that nothing was done.
    pub fn had_no_effect(&self) -> bool {
        self.kind != CloudErrorKind::Unknown
    }
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the request id, which the log has: what happens again reads the same again.
        write!(f, "{} answered {}", self.call, self.code)?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl std::error::Error for CloudError {}
