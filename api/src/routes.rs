//! Route handlers with their request and response schemas, one file per resource.

pub(crate) mod access_review;
pub(crate) mod account_mappings;
pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod baseline_upgrades;
pub(crate) mod docs;
pub(crate) mod environments;
pub(crate) mod events;
pub(crate) mod findings;
pub(crate) mod fleet_holds;
mod front_door;
pub(crate) mod health;
pub(crate) mod home_moves;
pub(crate) mod legal_hold;
pub(crate) mod maintenance_windows;
pub(crate) mod offboarding;
pub(crate) mod operation_events;
pub(crate) mod operations;
pub(crate) mod region_rules;
pub(crate) mod regions;
pub(crate) mod releases;
pub(crate) mod residency_proofs;
pub(crate) mod schema;
pub(crate) mod suspension;
pub(crate) mod tenants;
pub(crate) mod vending;
pub(crate) mod webhooks;
