//! The background worker. The only place that knows the AWS SDK.

mod attention_codes;
pub mod aws;
pub mod bootstrap;
pub mod cloud;
pub mod context;
mod current_step;
pub mod guardrail;
mod key_cleanup;
pub mod limits;
pub mod offboarding;
pub mod onboarding;
mod operation_loop;
mod poll_schedule;
mod quota;
pub mod reconcile;
pub mod restoring;
mod runner;
pub mod saga;
mod services;
mod shared_poller;
pub mod step;
pub mod steps;
mod wakeups;
mod webhooks;
mod worker;
pub mod workflows;

pub use crate::current_step::current_step;
pub use crate::services::SetupError;
pub use crate::worker::{Worker, WorkerOptions};

/// What Freehold knows of AWS's refusals and failures, row by row: the scenario of docs/scenarios.md that a row serves (0: any)
/// and the row in words.
pub fn rows() -> Vec<(u8, String)> {
    let failures = steps::creation_failures::rows().chain(steps::work_failures::rows());
    aws::rows().chain(attention_codes::rows()).chain(failures).collect()
}
