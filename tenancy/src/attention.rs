//! Attention: why an operation needs a person, and what that person can do.

use serde::{Deserialize, Serialize};

use crate::string_enum::string_enum;

/// Why an operation needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// Stable, for programs: `account_email_taken`.
    pub code: String,
    /// One sentence in plain words, for people.
    pub message: String,
    /// What can be done about it.
    pub remedies: Vec<Remedy>,
}

impl Attention {
    /// A reason that a person removes and then has it tried again.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), remedies: vec![Remedy::Retry] }
    }

    /// The same, and this can be done about it too.
    #[must_use]
    pub fn with_remedy(mut self, remedy: Remedy) -> Self {
        self.remedies.push(remedy);
        self
    }
}

string_enum! {
    /// What a person can do, through the API, about an operation that needs attention.
    Remedy {
        /// `POST /v1/operations/{id}/retry`, once the cause is gone.
        Retry = "retry",
        /// The same with a corrected value in the body; a second person approves.
        Correct = "correct",
        /// `POST /v1/operations/{id}/adopt` with an account that is there already; a second person approves.
        Adopt = "adopt",
        /// `POST /v1/operations/{id}/approve`, by another person than the one that asked.
        Approve = "approve",
        /// `POST /v1/operations/{id}/cancel`: what it has made is taken away again.
        Cancel = "cancel",
    }
}
