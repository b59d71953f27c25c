//! Waits for the end of the cooling-off period. The environment can be restored until then.

use chrono::TimeDelta;
use freehold_tenancy::step::StepName;
use freehold_tenancy::wait_reason::WaitReason;

use super::shared::NO_ACCOUNT;
use super::{StepResult, close_account};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

/// Expected time between the end of the cooling-off period and the account closure. Two stacks are deleted in this
/// time.
const STACK_DELETION_TIME: TimeDelta = TimeDelta::minutes(15);

pub(crate) async fn run(context: &StepContext) -> StepResult {
    if context.account_id().is_none() {
        return Ok(StepOutcome::skipped(NO_ACCOUNT));
    }
    if context.cooling_off_period().is_zero() {
        return Ok(StepOutcome::skipped("no cooling-off period is configured"));
    }
    let suspended_at = context.step_finished_at(StepName::Suspend).unwrap_or(context.operation_created_at());
    let ends_at = suspended_at + context.cooling_off_period();
    if context.now() >= ends_at {
        return Ok(StepOutcome::done());
    }
    let waiting = StepOutcome::wait(WaitReason::CoolingOff { ends_at }, ends_at).with("ends_at", ends_at.to_rfc3339());
    Ok(match close_account::expected_at(context, ends_at + STACK_DELETION_TIME).await? {
        Some(expected) => waiting.with("closure_expected_at", expected.to_rfc3339()),
        None => waiting,
    })
}
