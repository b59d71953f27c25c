//! Tells the account and the tenant stacks which region is the home. A region that does not respond keeps the earlier
//! value: reconcile reports its stack, and a repair of the environment sets the value.

use freehold_tenancy::environment_stack::StackKind;

use super::StepResult;
use super::shared::stack_parameter::{self, ParameterState};
use super::shared::{preconditions, region_checks, tenant_stack};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let home = context.environment().home_region;
    let stacks = context.stacks().await?;
    let mut unreached = Vec::new();
    for stack in stacks.iter().filter(|stack| stack.kind == StackKind::Tenant) {
        match stack_parameter::set(context, stack, tenant_stack::HOME_REGION_PARAMETER, home.as_str()).await {
            Ok(ParameterState::Changing(outcome)) => return Ok(*outcome),
            Ok(ParameterState::Set | ParameterState::NotDeclared | ParameterState::StackMissing) => {}
            Err(StepError::Retry { .. }) if stack.region != home && region_checks::is_left_out(context) => {
                unreached.push(stack.region.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    let account = context.account()?;
    preconditions::check_ownership(context, &account).await?;
    context.aws().tag_account(&account, &context.account_tags()).await?;
    Ok(StepOutcome::done().with("unreached_regions", unreached))
}
