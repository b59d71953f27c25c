//! Making the world misbehave on purpose: in the world itself ([`Rule`]), or on the wire below the SDK's retries
//! ([`FaultyClient`]).

mod rule;
mod unstick;
mod wire;

pub use rule::{Fault, Faults, Hit, Rule};
pub use wire::{FaultyClient, WireEffect, WireHit, WireRule};
