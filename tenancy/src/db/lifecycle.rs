//! State transitions of operations and environments. Each transition is one database transaction: it takes locks,
//! checks the state, updates several tables and appends events.
//!
//! All transitions take locks in the same order: the advisory lock of the tenant, the operations of the tenant by id,
//! steps and slots, and the row of the tenant. Two transitions of one tenant therefore run one after the other.
//!
//! An operation:
//!
//! ```text
//!  signup, add_environment,
//!  offboard, restore, suspend, resume, open_repair, open_baseline_upgrade, open_residency_proof, change_regions,
//!  move_home, open_update, open_preview, cancel
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
//! An operation on an environment that continues to serve can also fail: `fail` ends the operation from `running`. The
//! environment stays `ready`, also while such an operation is open or needs attention.
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
//! `suspend` puts an environment into the state `suspended`, from each state except `offboarding` and `offboarded`. The
//! state is derived (view `suspended_environments`) and stored as `offboarding`. `resume` leads through `restoring` to
//! `ready`; an environment that has never had an account is onboarded again. `offboard` is possible from `suspended`.
//!
//! `change_admin` opens a repair too. `restore` is possible during the cooling-off period only. A tenant is offboarded
//! together with its last environment.

mod add_environment;
mod attention;
mod cancel;
mod change_admin;
mod change_regions;
mod change_tier;
mod decide;
mod finish;
mod intend_stack;
mod legal_hold;
mod move_home;
mod offboard;
mod open_operation;
mod open_update;
mod prove_residency;
mod queries;
mod record_front_door;
mod record_replica;
mod record_step;
mod recover;
mod repair;
mod request_approval;
mod restore;
mod resume;
mod retry;
mod rollouts;
mod step_record;
mod suspend;
mod upgrade_baseline;

use crate::OperationId;

pub use add_environment::{AddRefusal, AddResult, MAX_ENVIRONMENTS, NewEnvironment, add_environment, find_refusal};
pub use cancel::cancel;
pub use change_admin::{ChangeAdminResult, change_admin};
pub use change_regions::{ChangeRegionsResult, RegionChange, SLOTS_FIELD, change_regions, open_due_removals};
pub use change_tier::{TierDecisionResult, TierRequestResult, change_tier, decide_tier, request_tier};
pub use decide::{DecisionResult, decide};
pub use finish::{fail, succeed};
pub use intend_stack::{intend_stack, withdraw_stack};
pub use legal_hold::{LegalHoldResult, set_legal_hold};
pub use move_home::{
    MoveHomeResult, NEW_HOME_FIELD, OLD_HOME_MESSAGE_FACT, OLD_HOME_STATE_FACT, OLD_HOME_URL_FACT, move_home,
};
pub use offboard::offboard;
pub use open_update::{UpdateRequest, UpdateResult, open_preview, open_update};
pub use prove_residency::{ProofRequestResult, open_residency_proof};
pub use record_step::record_step;
pub use recover::{RecoverResult, recover};
pub use repair::open_repair;
pub use request_approval::{RequestResult, request_approval, request_creation_approval};
pub use restore::restore;
pub use resume::resume;
pub use retry::{RetryResult, retry};
pub use rollouts::{
    CreateRolloutResult, NewRollout, PlanRolloutResult, RolloutChangeResult, RolloutForecast, RolloutRequest,
    RolloutTurn, advance_rollout, change_rollout, create_rollout, plan_rollout, record_firing_alarm,
};
pub use step_record::{StepDisposition, StepRecord};
pub use suspend::{NewSuspension, SuspensionResult, suspend};
pub use upgrade_baseline::{UpgradeResult, open_baseline_upgrade};

/// Result of a request to cancel, offboard, restore, suspend or resume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifecycleResult {
    /// These operations carry out the request. Some of them may have been open before the request.
    Started(Vec<OperationId>),
    /// The tenant, environment or operation does not exist.
    NotFound,
    /// The tenant has changed since the caller has read it.
    Outdated,
    /// The tenant is on legal hold for the given reason.
    LegalHold(String),
    /// The environment is offboarded already, and its account was not closed.
    AlreadyOffboarded,
    /// The tenant is suspended, and must be resumed first.
    Suspended,
    /// An operator has started the offboarding, so that a token of the tenant cannot undo it.
    ReservedForOperator,
    /// This operation on an environment must end first.
    Busy(OperationId),
    /// The request cannot be carried out for the given reason, which completes the sentence "it cannot be done: …".
    NotAllowed(&'static str),
}
