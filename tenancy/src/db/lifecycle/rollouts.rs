//! Transitions of rollouts. Each one is a transaction that locks the row of the rollout first, so that an update starts
//! either before a person has paused the rollout, or not at all.
//!
//! ```text
//!  create_rollout
//!       │
//!       ▼          advance_rollout, for each wave           last wave
//!  ┌─────────┐     ┌─────────────────────────────────────┐  has ended   ┌───────────┐
//!  │ pending ├────►│ awaiting_approval, running, baking  ├─────────────►│ succeeded │
//!  └─────────┘     └──┬───────────▲───┬───────────▲──────┘              └───────────┘
//!                     │ pause     │   │ too many  │ retry
//!                     ▼           │   ▼ failures  │
//!                  ┌────────┐ resume┌────────┐    │      ┌──────────────┐     ┌─────────────┐
//!                  │ paused ├─────┘ │ halted ├────┘ ────►│ rolling_back ├────►│ rolled_back │
//!                  └────────┘       └────────┘ roll back └──────────────┘     └─────────────┘
//! ```
//!
//! `abort` ends a rollout in any state before its end. Updates in progress finish in every state, and their results are
//! recorded.
//!
//! No transition of an operation writes to a rollout: it holds the lock of the operation, for which a rollout that
//! starts an update may wait. A rollout is due as soon as one of its operations has ended, see
//! [`rollouts::claim_due`](crate::db::rollouts::claim_due).

mod advance;
mod alarms;
mod begin;
mod candidates;
mod catch_up;
mod change;
mod create;
mod record;
mod write_state;

pub use advance::{RolloutTurn, advance_rollout};
pub use alarms::record_firing_alarm;
pub use change::{RolloutChangeResult, RolloutRequest, change_rollout};
pub use create::{CreateRolloutResult, NewRollout, PlanRolloutResult, RolloutForecast, create_rollout, plan_rollout};
