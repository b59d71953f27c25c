//! Waits until nobody can want the environment back any more.

use chrono::TimeDelta;
use freehold_tenancy::step::StepName;

use super::shared::format_minute;
use super::{StepResult, close_account};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

/// Between the end of the cooling-off period and the closure lies the deletion of two stacks.
const STACKS_TAKE: TimeDelta = TimeDelta::minutes(15);

pub(crate) async fn run(context: &StepContext) -> StepResult {
    if context.account_id().is_none() {
        return Ok(StepOutcome::done());
    }
    let suspended_at = context.done_at(StepName::Suspend).unwrap_or(context.operation_created_at());
    let ends_at = suspended_at + context.cooling_off();
    if context.now() >= ends_at {
        return Ok(StepOutcome::done());
    }
    let why = format!("the cooling-off period to end at {}; until then it can be restored", format_minute(ends_at));
    let waiting = StepOutcome::wait(why, ends_at).with("ends_at", ends_at.to_rfc3339());
    Ok(match close_account::expected_at(context, ends_at + STACKS_TAKE).await? {
        Some(expected) => waiting.with("closure_expected_at", expected.to_rfc3339()),
        None => waiting,
    })
}
