//! The REST API over HTTP, against a real PostgreSQL: what callers notice.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod access;
mod changes;
mod description;
mod environments;
mod events;
mod feed;
mod findings;
mod fleet_holds;
mod health;
mod idempotency;
mod mappings;
mod offboarding;
mod operations;
mod pages;
mod rate_limit;
mod refusals;
mod remedies;
mod schemathesis;
mod signup;
mod tokens;
