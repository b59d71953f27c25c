//! Background worker of Freehold, the only crate that depends on the AWS SDK.

mod attention_codes;
pub mod aws;
pub mod bootstrap;
pub mod cloud;
pub mod context;
mod current_step;
mod first_match;
pub mod guardrail;
mod jitter;
mod key_cleanup;
pub mod limits;
pub mod offboarding;
pub mod onboarding;
mod operation_loop;
mod poll_schedule;
pub mod reconcile;
pub mod restoring;
mod runner;
pub mod saga;
mod services;
mod shared_poller;
pub mod step;
pub mod step_outcome;
pub mod steps;
pub mod template;
pub mod upgrading_baseline;
mod wakeups;
mod webhooks;
mod worker;
pub mod workflows;

pub use crate::current_step::current_step;
pub use crate::services::SetupError;
pub use crate::worker::{Worker, WorkerOptions};
