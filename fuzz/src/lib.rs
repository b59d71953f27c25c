//! What must hold of the parsers that read what others send, whatever they send: each function here takes any bytes, and
//! panics where one of them breaks a promise. `fuzz_targets/` has a target for each; CONTRIBUTING.md says how to run one.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "to panic is how a broken promise is told")]

mod headers;
mod mappings;
mod policies;
mod queries;
mod signups;
mod simulated;
mod templates;
mod texts;

pub use headers::{accept, bearer, idempotency_key, if_match, request_id};
pub use mappings::{copy_text, csv_field};
pub use policies::{guardrail_document, pattern, policy};
pub use queries::{feed_query, instant, page_token};
pub use signups::{config, signup, tenant_patch};
pub use templates::template;
pub use texts::{ids, texts};

/// The bytes as text, if they are.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// Two texts with a line break between them.
fn two(data: &[u8]) -> Option<(&str, &str)> {
    text(data)?.split_once('\n')
}
