//! Everything that is tested from outside the crates, in one program.

mod accounts;
mod api;
mod approval;
mod audit;
mod bootstrap;
mod cli;
mod cloud;
mod conformance;
mod crash;
mod deploy;
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
mod shutdown;
mod steps;
mod story;
mod tidy;
mod twice;
mod workers;
