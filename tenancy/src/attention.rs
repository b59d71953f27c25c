//! Attention: the reason for which an operation needs a person, and the remedies.

use serde::{Deserialize, Serialize};

pub use crate::attention_code::AttentionCode;
use crate::string_enum::string_enum;

/// Reason for which an operation needs attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// Stable code for programs, such as `account_email_taken`. A text, because a newer release may have stored a code
    /// that this one does not have.
    pub code: String,
    /// Message for people: the cause and what to do.
    pub message: String,
    /// Remedies that are offered.
    pub remedies: Vec<Remedy>,
}

impl Attention {
    /// Creates an attention with the remedy `retry`.
    pub fn new(code: AttentionCode, message: impl Into<String>) -> Self {
        Self { code: code.to_string(), message: message.into(), remedies: vec![Remedy::Retry] }
    }

    /// Returns the code, or `None` for a code of a newer release.
    pub fn known_code(&self) -> Option<AttentionCode> {
        self.code.parse().ok()
    }

    /// Adds a remedy to those that are offered.
    #[must_use]
    pub fn with_remedy(mut self, remedy: Remedy) -> Self {
        self.remedies.push(remedy);
        self
    }
}

string_enum! {
    /// Action of the API that a person can take on an operation that needs attention.
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
