//! The steps, one file each; what several of them share stands beside them.

pub mod await_account;
pub mod await_closure;
pub mod close_account;
pub mod cool_off;
pub mod delete_baseline;
pub mod delete_stack;
pub mod deploy_stack;
pub mod enable_regions;
pub mod enforce_residency;
pub mod grant_access;
pub mod install_baseline;
pub mod place_account;
pub mod reach_account;
pub mod request_account;
pub mod revoke_access;
pub mod settle_account;
pub mod suspend;
pub mod verify;

mod account;
mod approval;
pub(crate) mod creation_failures;
mod guard;
mod removal;
mod stack;
pub(crate) mod work_failures;

use crate::step::{StepError, StepOutcome};

/// The answer of every step.
pub type StepResult = Result<StepOutcome, StepError>;
