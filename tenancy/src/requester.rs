//! Requester: the person or program that has made a request.

use serde::{Deserialize, Serialize};

/// Person or program that made a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// Claim `iss` of the token.
    pub issuer: String,
    /// Claim `sub` of the token.
    pub subject: String,
}
