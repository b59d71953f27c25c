//! Tests of the REST API over HTTP, with a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod access_review;
mod account_mappings;
mod approvals;
mod audit;
mod authorization;
mod billing_join;
mod change_freeze;
mod description;
mod environments;
mod errors;
mod events;
mod findings;
mod fleet_holds;
mod forged_tokens;
mod front_door;
mod health;
mod idempotency;
mod identity_providers;
mod maintenance_windows;
mod offboarding;
mod operation_actions;
mod operation_events;
mod operations;
mod pages;
mod pins;
mod rate_limit;
mod regions;
mod releases;
mod replica_regions;
mod residency_proof;
mod rollouts;
mod schemathesis;
mod search;
mod signup;
mod suspension;
mod tenant_updates;
mod tenant_view;
mod tokens;
mod traces;
mod vending;
