//! Transitions of operations and environments. Each is one transaction over several tables: it locks, checks the state,
//! writes the rows of several stores and appends the events.
//!
//! Locks are taken in one order: the advisory lock of the tenant, its operations by id, then steps and slots, then the
//! tenant's row. Two decisions about one tenant therefore run one after the other.
//!
//! An operation:
//!
//! ```text
//!  signup, add_environment,
//!  offboard, restore, open_repair, cancel
//!         │
//!         ▼
//!     ┌─────────┐  first claim   ┌─────────┐  succeed   ┌───────────┐
//!     │ pending ├───────────────►│ running ├───────────►│ succeeded │
//!     └────┬────┘                └─┬─────▲─┘            └───────────┘
//!          │   a step parks or is  │     │ retry, decide,
//!          │   late (record_step)  ▼     │ or the step recovers
//!          │                 ┌───────────┴─────┐
//!          │                 │ needs_attention │
//!          │                 └────────┬────────┘
//!          │  cancel, restore, reject │        (also from running)
//!          ▼                          ▼
//!     ┌──────────────────────────────────┐
//!     │             canceled             │
//!     └──────────────────────────────────┘
//! ```
//!
//! An environment; its state is `needs_attention` instead while its open operation needs attention:
//!
//! ```text
//!  signup,           ┌────────────┐  succeed   ┌───────┐  open_repair   ┌───────────┐
//!  add_environment ─►│ onboarding ├───────────►│ ready ├───────────────►│ restoring │
//!                    └──┬───────┬─┘            │       │◄───────────────┤           │
//!    cancel before an   │       │ cancel       └───┬───┘    succeed     └──▲─────┬──┘
//!    account was        │       │                  │ offboard       restore │     │ offboard
//!    requested          │       ▼                  ▼                        │     ▼
//!                       │     ┌─────────────────────────────────────────────┴──────┐
//!                       │     │                     offboarding                    │
//!                       │     └──────────────────────┬─────────────────────────────┘
//!                       ▼                            ▼ succeed
//!                     ┌────────────────────────────────────────────────────────────┐
//!                     │                         offboarded                         │
//!                     └────────────────────────────────────────────────────────────┘
//! ```
//!
//! `restore` is possible during the cooling-off period only. A tenant is offboarded together with its last environment.

mod add_environment;
mod attention;
mod cancel;
mod decide;
mod finish;
mod legal_hold;
mod offboard;
mod open_operation;
mod queries;
mod record_step;
mod repair;
mod request_approval;
mod restore;
mod retry;

use crate::OperationId;

pub use add_environment::{AddResult, MAX_ENVIRONMENTS, add_environment};
pub use cancel::cancel;
pub use decide::{DecisionResult, decide};
pub use finish::succeed;
pub use legal_hold::set_legal_hold;
pub use offboard::offboard;
pub use record_step::{StepDisposition, StepRecord, record_step};
pub use repair::open_repair;
pub use request_approval::{RequestResult, request_approval, request_vending};
pub use restore::restore;
pub use retry::{RetryResult, retry};

/// Result of a transition of environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifecycleResult {
    /// Done by these operations, which may have been open before.
    Started(Vec<OperationId>),
    /// The tenant, environment or operation does not exist.
    NotFound,
    /// The tenant is on legal hold, for this reason.
    LegalHold(String),
    /// The environment is offboarded already, and its account was not closed.
    AlreadyOffboarded,
    /// Not possible, for this reason; completes "it cannot be done: …".
    NotAllowed(&'static str),
}
