//! Attention: the reason why an operation requires action by a person, with the available remedies.

use serde::{Deserialize, Serialize};

pub use crate::attention_code::{AttentionCode, Remedy};

/// Reason why an operation needs attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// Stable code for programs, such as `account_email_taken`. Stored as text, because a newer version of Freehold may
    /// have written a code that this version does not define.
    pub code: String,
    /// Message for operators, with the cause and the required action.
    pub message: String,
    /// Remedies that the operation accepts.
    pub remedies: Vec<Remedy>,
}

impl Attention {
    /// Creates an `Attention` with the remedies of `code`.
    pub fn new(code: AttentionCode, message: impl Into<String>) -> Self {
        Self { code: code.to_string(), message: message.into(), remedies: code.remedies().to_vec() }
    }

    /// Returns the code as an [`AttentionCode`], or `None` if this version of Freehold does not define the code.
    pub fn known_code(&self) -> Option<AttentionCode> {
        self.code.parse().ok()
    }
}
