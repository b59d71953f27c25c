//! Fault injection in the simulated AWS ([`Rule`]) and in the HTTP client of the AWS SDK ([`FaultyClient`]).

mod rule;
mod unstick;
mod wire;

pub use rule::{Fault, FaultHit, Faults, Rule};
pub use wire::{FaultyClient, WireEffect, WireHit, WireRule};
