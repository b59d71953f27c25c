//! Webhooks: what receivers get, and what they can do to others.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod delivery;
mod endpoints;
mod idle;
mod isolation;
mod retries;
mod secrets;
mod ssrf;
