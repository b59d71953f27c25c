//! Makes the functions of the environment refuse CloudFront, which the quarantine does not stop: service control
//! policies do not apply to AWS services. The step is done when the front door no longer gets an answer from a
//! function.

use freehold_tenancy::config::FRONT_DOOR_PARAMETER;
use freehold_tenancy::environment_stack::StackKind;
use freehold_tenancy::wait_reason::WaitReason;

use super::StepResult;
use super::shared::stack_parameter::{self, ParameterState};
use super::shared::{HAS_LEFT, NO_ACCOUNT, preconditions, region_checks};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    if context.account_if_any()?.is_none() {
        return Ok(StepOutcome::skipped(NO_ACCOUNT));
    }
    if preconditions::has_left(context) {
        return Ok(StepOutcome::skipped(HAS_LEFT));
    }
    for stack in context.stacks().await?.iter().filter(|stack| stack.kind == StackKind::Tenant) {
        match stack_parameter::set(context, stack, FRONT_DOOR_PARAMETER, "false").await? {
            ParameterState::Changing(outcome) => return Ok(*outcome),
            ParameterState::Set | ParameterState::NotDeclared | ParameterState::StackMissing => {}
        }
    }
    let url = context.environment().front_door.as_ref().and_then(|front_door| front_door.url.as_deref());
    match url {
        Some(url) if context.aws().front_door_answers(url).await? => {
            region_checks::poll_check(context, WaitReason::FrontDoorClosed).await
        }
        _ => Ok(StepOutcome::done()),
    }
}
