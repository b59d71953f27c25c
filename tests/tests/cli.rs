//! Tests of the command line.

mod bootstrap;
mod config;
mod fault;
mod help;
pub(crate) mod process;
mod program;
mod proof;
mod references;
mod regions;
mod releases;
mod review;
mod rollouts;
mod secrets;
