//! Updates the tenant stack in the home region to the release of the operation.

use freehold_tenancy::environment_stack::StackSlot;

use super::StepResult;
use super::shared::release_update;
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    release_update::run(context, StackSlot::Home).await
}
