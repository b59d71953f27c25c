//! Fault injection: in the simulated AWS ([`Rule`]), or in the HTTP client below the SDK's retries ([`FaultyClient`]).

mod rule;
mod unstick;
mod wire;

pub use rule::{Fault, FaultHit, Faults, Rule};
pub use wire::{FaultyClient, WireEffect, WireHit, WireRule};
