//! Updates the tenant stack in the region of a replica to the release of the operation.

use freehold_tenancy::environment_stack::StackSlot;

use super::StepResult;
use super::shared::{NO_REPLICA, release_update};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let Some(replica) = context.replica() else { return Ok(StepOutcome::skipped(NO_REPLICA)) };
    release_update::run(context, StackSlot::Replica(replica.slot)).await
}
