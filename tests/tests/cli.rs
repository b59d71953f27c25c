//! Tests of the command line.

mod bootstrap;
mod help;
pub(crate) mod process;
mod program;
