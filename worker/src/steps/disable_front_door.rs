//! Disables the distribution of the front door, so that it answers no request.

use super::StepResult;
use super::shared::front_door_stack::{self, ENABLED_PARAMETER};
use super::shared::stack_parameter::{self, ParameterState};
use super::shared::{HAS_LEFT, NO_ACCOUNT, preconditions};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

/// Reason of a skipped step that works on the distribution.
const NO_DISTRIBUTION: &str = "the account has no distribution of a front door";

pub(crate) async fn run(context: &StepContext) -> StepResult {
    if context.account_if_any()?.is_none() {
        return Ok(StepOutcome::skipped(NO_ACCOUNT));
    }
    if preconditions::has_left(context) {
        return Ok(StepOutcome::skipped(HAS_LEFT));
    }
    let stacks = context.stacks().await?;
    let Some(stack) = front_door_stack::find(&stacks) else { return Ok(StepOutcome::skipped(NO_DISTRIBUTION)) };
    match stack_parameter::set(context, stack, ENABLED_PARAMETER, "false").await? {
        ParameterState::Changing(outcome) => Ok(*outcome),
        ParameterState::Set => Ok(StepOutcome::done()),
        ParameterState::NotDeclared | ParameterState::StackMissing => Ok(StepOutcome::skipped(NO_DISTRIBUTION)),
    }
}
