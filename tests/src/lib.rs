//! Shared test code: fixtures, fault injectors, invariants and load generators.

#![allow(clippy::missing_panics_doc, clippy::expect_used, clippy::unwrap_used, reason = "test code may panic")]

pub mod alerts;
pub mod api_fixture;
pub mod benchmark_table;
pub mod crash;
pub mod database;
pub mod event_stream;
pub mod fault_proxy;
pub mod feed_load;
pub mod fixture;
pub mod fleet;
pub mod front_door;
pub mod invariants;
pub mod log_capture;
pub mod query_counter;
pub mod random_faults;
pub mod raw_connection;
pub mod ready_environments;
pub mod receiver;
pub mod scenarios;
pub mod signup;
pub mod step_faults;
pub mod tokens;
pub mod webhook_fixture;
pub mod world_snapshot;
