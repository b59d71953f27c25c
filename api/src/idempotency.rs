//! Idempotency keys: a repeated request with the same key and body gets the stored response.
//!
//! `route_policy.rs` defines which routes store the key and the response themselves, in the transaction of the change.

mod key;
mod reservation;
mod response;

pub(crate) use key::{Key, hash, stored_response};
pub(crate) use reservation::{ReservedKey, has_key, release, reserve, store_response};
pub(crate) use response::{accepted_response, is_replayed, mark_as_replayed, replay_or_refuse};
