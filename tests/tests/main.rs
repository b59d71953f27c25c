//! Everything that is tested from outside the crates, in one program.

mod cli;
mod conformance;
mod fleet;
mod steps;
mod story;
mod tidy;
