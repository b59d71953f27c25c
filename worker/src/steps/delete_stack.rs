//! Deletes the tenant stack of the home region from the account.

use freehold_tenancy::environment_stack::StackSlot;

use super::StepResult;
use super::shared::tenant_stack;
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    tenant_stack::delete(context, StackSlot::Home, context.environment().home_region).await
}
