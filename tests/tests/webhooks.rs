//! Tests of webhooks: deliveries, endpoints, retries, secrets and protection against SSRF.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod delivery;
mod endpoints;
mod formats;
mod idle;
mod isolation;
mod retries;
mod secrets;
mod ssrf;
mod targets;
mod test_events;
