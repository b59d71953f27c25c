//! Tests that detect changes of stored data and public interfaces: stored and sent JSON, hashes, the database schema,
//! the API, the command line, the configuration, metrics and alerts.
//!
//! The files in `freeze/frozen` are snapshots that are never changed. A test applies `freeze/renames.toml` to a frozen
//! file and checks that the current state still contains each line; additions are allowed. With the environment
//! variable `FREEZE_RECORD=1`, a test writes its frozen file if the file does not exist yet.

mod compare;
mod database;
mod hashes;
mod interface;
mod openapi;
mod renames;
mod stored;
mod values;
