//! Attention: the reason why an operation requires action by a person, with the available remedies.

use serde::{Deserialize, Serialize};

pub use crate::attention_code::{AttentionCode, Remedy};
use crate::customer_sentence::UNKNOWN_CODE_SENTENCE;

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
    /// AWS's id of the request that failed, which AWS support needs; `None` if no request to AWS caused the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_request_id: Option<String>,
}

impl Attention {
    /// Creates an `Attention` with the remedies of `code`.
    pub fn new(code: AttentionCode, message: impl Into<String>) -> Self {
        let (code, remedies) = (code.to_string(), code.remedies().to_vec());
        Self { code, message: message.into(), remedies, aws_request_id: None }
    }

    /// Returns the code as an [`AttentionCode`], or `None` if this version of Freehold does not define the code.
    pub fn known_code(&self) -> Option<AttentionCode> {
        self.code.parse().ok()
    }

    /// Returns the sentence that support staff read to the customer. A code that this version of Freehold does not
    /// define has a general one.
    pub fn customer_sentence(&self) -> &'static str {
        self.known_code().map_or(UNKNOWN_CODE_SENTENCE, AttentionCode::customer_sentence)
    }
}
