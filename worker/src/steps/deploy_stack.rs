//! Deploys the tenant stack into the environment's account, in the home region.

use freehold_tenancy::environment_stack::StackSlot;

use super::StepResult;
use super::shared::tenant_stack;
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    tenant_stack::deploy(context, StackSlot::Home, context.environment().home_region).await
}
