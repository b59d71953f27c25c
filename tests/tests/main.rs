//! Integration tests of all crates, in one program. README.md describes the folders.

mod api;
mod aws_cli;
mod cli;
mod compatibility;
mod conformance;
mod console;
mod deploy;
mod examples;
mod freeze;
mod moto;
mod releases;
mod remedies;
mod robustness;
mod rollouts;
mod scenarios;
mod schema;
mod steps;
mod support_bundle;
mod tidy;
mod webhooks;
