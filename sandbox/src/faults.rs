//! Fault injection in the simulated AWS ([`Rule`], [`RegionOutage`]) and in the HTTP client of the AWS SDK
//! ([`FaultyClient`]).

mod outage;
mod rule;
mod unstick;
mod wire;

pub(crate) use outage::outage_error;
pub use outage::{OutageForm, RegionOutage};
pub use rule::{Fault, FaultHit, Faults, Rule};
pub use wire::{FaultyClient, WireEffect, WireHit, WireRule};
