//! Fuzz tests of the parsers of external input. Each function takes arbitrary bytes and panics if a parser violates one
//! of its properties. `fuzz_targets/` has one target per function; CONTRIBUTING.md describes how to run them.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a fuzz test reports a violation by a panic")]

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

/// Returns the bytes as text, or `None` if they are not UTF-8.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// Splits the bytes into two texts at the first line break.
fn split_at_line_break(data: &[u8]) -> Option<(&str, &str)> {
    text(data)?.split_once('\n')
}
