//! Tests of the command line.

mod access;
mod bootstrap;
mod bundle;
mod completions;
mod config;
mod confirmations;
mod events;
mod fault;
mod help;
mod lists;
pub(crate) mod process;
mod program;
mod proof;
mod references;
mod regions;
mod releases;
mod review;
mod rollouts;
mod secrets;
mod terminal;
mod webhooks;
