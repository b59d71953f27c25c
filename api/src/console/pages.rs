//! Pages of the console.

pub(super) mod actions;
pub(super) mod approvals;
pub(super) mod attention;
pub(super) mod findings;
pub(super) mod operation;
pub(super) mod overview;
pub(super) mod rollouts;
pub(super) mod tenant;
pub(super) mod tenants;

use url::form_urlencoded::byte_serialize;

/// Returns a text as a value of a query.
fn encode(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}
