//! Everything that is tested from outside the crates, in one program.

mod accounts;
mod api;
mod bootstrap;
mod cli;
mod cloud;
mod conformance;
mod crash;
mod faults;
mod feed;
mod fleet;
mod journal_writes;
mod limits;
mod moto;
mod offboarding;
mod reconcile;
mod scenarios;
mod schema;
mod steps;
mod story;
mod tidy;
mod twice;
mod webhooks;
mod workers;
