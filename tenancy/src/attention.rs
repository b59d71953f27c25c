//! Attention: the reason why an operation needs a person, with the available remedies.

use serde::{Deserialize, Serialize};

pub use crate::attention_code::AttentionCode;
use crate::string_enum::string_enum;

/// Reason why an operation needs attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// Stable code for programs, such as `account_email_taken`. Stored as text, because a newer release may have
    /// written a code that this release does not define.
    pub code: String,
    /// Message for operators, with the cause and the required action.
    pub message: String,
    /// Remedies that the operation accepts.
    pub remedies: Vec<Remedy>,
}

impl Attention {
    /// Creates an attention with the remedy `retry`.
    pub fn new(code: AttentionCode, message: impl Into<String>) -> Self {
        Self { code: code.to_string(), message: message.into(), remedies: vec![Remedy::Retry] }
    }

    /// Returns the code, or `None` if only a newer release defines it.
    pub fn known_code(&self) -> Option<AttentionCode> {
        self.code.parse().ok()
    }

    #[must_use]
    pub fn with_remedy(mut self, remedy: Remedy) -> Self {
        self.remedies.push(remedy);
        self
    }
}

string_enum! {
    /// Action that a person can request through the API for an operation that needs attention.
    Remedy {
        /// `POST /v1/operations/{id}/retry`, after the cause is fixed.
        Retry = "retry",
        /// `POST /v1/operations/{id}/retry` with a corrected value. Requires approval.
        Correct = "correct",
        /// `POST /v1/operations/{id}/adopt` with an existing account. Requires approval.
        Adopt = "adopt",
        /// `POST /v1/operations/{id}/approve`, by another person than the requester.
        Approve = "approve",
        /// `POST /v1/operations/{id}/cancel`, which undoes the completed steps.
        Cancel = "cancel",
    }
}
