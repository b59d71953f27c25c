//! Waits until AWS has closed the account.

use chrono::{DateTime, Utc};
use freehold_tenancy::quota::Quota;
use freehold_tenancy::wait_reason::WaitReason;

use super::{StepResult, close_account};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

/// Expected duration of a closure ("Closing a member account in your organization").
const EXPECTED_SECONDS: u64 = 60;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let requested_at: Option<DateTime<Utc>> = context.operation_fact(close_account::REQUESTED_AT_FACT);
    let (Some(account), Some(requested_at)) = (context.account_if_any()?, requested_at) else {
        return Ok(StepOutcome::skipped("no account is being closed"));
    };
    let found = context.aws().account(account.id()).await?;
    match found.as_ref().map(|account| account.state.as_str()) {
        // AWS reported CLOSED as SUSPENDED before 2026-09.
        Some("CLOSED" | "SUSPENDED") | None => Ok(StepOutcome::done()
            .with("took_seconds", context.estimated_duration_seconds(requested_at))
            .with_released_slot(context.slot(Quota::AccountClosures, ""))),
        Some(_) => {
            let at_most = context.config().timeouts.account_closure_seconds;
            context.poll_later(WaitReason::AccountClosure, requested_at, EXPECTED_SECONDS, at_most).await
        }
    }
}
