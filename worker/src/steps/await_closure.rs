//! Waits until AWS has closed the account.

use chrono::{DateTime, Utc};
use freehold_tenancy::quota::Quota;

use super::{StepResult, close_account};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

/// Minutes, as a rule ("Closing a member account in your organization").
const USUALLY_SECONDS: u64 = 60;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let asked: Option<DateTime<Utc>> = context.operation_fact(close_account::ASKED);
    let (Some(account), Some(asked)) = (context.account_if_any()?, asked) else { return Ok(StepOutcome::done()) };
    let found = context.cloud().account(account.id()).await?;
    match found.as_ref().map(|account| account.state.as_str()) {
        // SUSPENDED is what CLOSED was called before 2026-09.
        Some("CLOSED" | "SUSPENDED") | None => Ok(StepOutcome::done()
            .with("took_seconds", context.took_seconds(asked))
            .releasing(context.slot(Quota::AccountClosures, ""))),
        Some(_) => {
            let at_most = context.config().timeouts.account_closure_seconds;
            context.poll_later("AWS to close the account", asked, USUALLY_SECONDS, at_most).await
        }
    }
}
