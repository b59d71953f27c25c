//! Deploys the front door: lets CloudFront call the functions of the environment, and creates or updates the
//! distribution in front of them.

use freehold_tenancy::config::FRONT_DOOR_PARAMETER;
use freehold_tenancy::environment_stack::{EnvironmentStack, StackKind, StackSlot};
use freehold_tenancy::front_door::{FrontDoor, FrontDoorState};

use super::StepResult;
use super::shared::front_door_stack::{self, DOMAIN_OUTPUT, Origins, URL_OUTPUT, not_possible};
use super::shared::stack_parameter::{self, ParameterState};
use super::shared::{NO_FRONT_DOOR, region_checks};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let is_wanted = |front_door: &FrontDoor| front_door.state != FrontDoorState::Deleting;
    if !context.environment().front_door.as_ref().is_some_and(is_wanted) {
        return Ok(StepOutcome::skipped(NO_FRONT_DOOR));
    }
    if !context.residency()?.edge {
        return Err(not_possible(format!(
            "The residency `{}` no longer allows a front door (edge = false). Remove the front door of the \
             environment, or allow it again in the configuration, then retry.",
            context.environment().residency
        )));
    }
    let stacks = context.stacks().await?;
    if let Some(outcome) = allow_cloudfront(context, &stacks).await? {
        return Ok(outcome);
    }
    let origins = Origins::of(context, &stacks)?;
    let outcome = front_door_stack::deployment(context, &stacks, &origins).run(context).await?;
    if outcome.wait.is_some() || outcome.failed.is_some() {
        return Ok(outcome);
    }
    let output = |name: &str| outcome.facts.get(&format!("output_{name}")).cloned();
    let (domain, url) = (output(DOMAIN_OUTPUT), output(URL_OUTPUT));
    let failover = origins.failover.map(|(region, _)| region.as_str());
    Ok(outcome.with("domain", domain).with("url", url).with("failover_region", failover))
}

/// Lets CloudFront call the function of each tenant stack. Returns the outcome of this run if a stack must be changed
/// first.
async fn allow_cloudfront(
    context: &StepContext,
    stacks: &[EnvironmentStack],
) -> Result<Option<StepOutcome>, StepError> {
    for stack in stacks.iter().filter(|stack| stack.kind == StackKind::Tenant) {
        let state = match stack_parameter::set(context, stack, FRONT_DOOR_PARAMETER, "true").await {
            // The old home may be down. Its function accepts CloudFront already.
            Err(StepError::Retry { .. }) if region_checks::is_left_out(context) && stack.slot != StackSlot::Home => {
                continue;
            }
            state => state?,
        };
        match state {
            ParameterState::Set | ParameterState::StackMissing => {}
            ParameterState::Changing(outcome) => return Ok(Some(*outcome)),
            // CloudFront sends no requests to a function without a URL.
            ParameterState::NotDeclared if !front_door_stack::is_origin(context, stack) => {}
            ParameterState::NotDeclared => {
                return Err(not_possible(format!(
                    "The stack {} in {} does not have the parameter {FRONT_DOOR_PARAMETER}, so its function would \
                     refuse CloudFront. Remove the front door, or have a template with this parameter deployed \
                     (docs/template.md), then retry.",
                    stack.name, stack.region
                )));
            }
        }
    }
    Ok(None)
}
