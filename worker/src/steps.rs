//! Steps of the workflows, with one file for each step. `shared` contains code that several steps use.

pub mod await_account;
pub mod await_closure;
pub mod close_account;
pub mod close_front_door;
pub mod cool_off;
pub mod delete_baseline;
pub mod delete_front_door;
pub mod delete_replica;
pub mod delete_stack;
pub mod deploy_replica;
pub mod deploy_stack;
pub mod disable_front_door;
pub mod enable_regions;
pub mod enable_replica_region;
pub mod enforce_residency;
pub mod front_door;
pub mod grant_access;
pub mod install_baseline;
pub mod move_home;
pub mod place_account;
pub mod preview_release;
pub mod prove_residency;
pub mod reach_account;
pub mod request_account;
pub mod revoke_access;
pub mod set_home_region;
pub mod settle_account;
pub mod suspend;
pub mod update_replica;
pub mod update_stack;
pub mod upgrade_baseline;
pub mod verify;
pub mod verify_front_door;
pub mod verify_replica;

mod shared;

pub(crate) use shared::tenant_group::name as tenant_group_name;

use crate::step_outcome::{StepError, StepOutcome};

pub type StepResult = Result<StepOutcome, StepError>;
