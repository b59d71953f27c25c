//! Tests of steps and operations with a real PostgreSQL and the simulated AWS.

mod accounts;
mod approval;
mod baseline;
mod change_regions;
mod cloud;
pub(crate) mod front_door;
mod front_door_walks;
mod limits;
mod move_home;
pub(crate) mod offboarding;
mod onboarding;
mod pacing;
pub(crate) mod reconcile;
mod recover;
mod released_accounts;
mod replica_findings;
pub(crate) mod replicas;
pub(crate) mod residency_proof;
mod skipped_steps;
mod stacks;
mod step_faults;
mod step_replay;
mod suspension;
mod template_validation;
mod vending;
