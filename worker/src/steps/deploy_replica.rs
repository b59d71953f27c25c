//! Deploys the tenant stack into the region of a replica.

use freehold_tenancy::environment_stack::StackSlot;

use super::StepResult;
use super::shared::{NO_REPLICA, tenant_stack};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let Some(replica) = context.replica() else { return Ok(StepOutcome::skipped(NO_REPLICA)) };
    tenant_stack::deploy(context, StackSlot::Replica(replica.slot), replica.region).await
}
