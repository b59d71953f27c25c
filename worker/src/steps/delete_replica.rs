//! Deletes the tenant stack of a replica from the account.

use freehold_tenancy::environment_stack::StackSlot;
use freehold_tenancy::operation::OperationKind;

use super::StepResult;
use super::shared::{NO_REPLICA, preconditions, tenant_stack};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let Some(replica) = context.replica() else { return Ok(StepOutcome::skipped(NO_REPLICA)) };
    let outcome = tenant_stack::delete(context, StackSlot::Replica(replica.slot), replica.region).await?;
    let is_done = outcome.wait.is_none() && outcome.failed.is_none();
    if is_done && context.operation_kind() == OperationKind::RemoveRegions {
        let account = context.account()?;
        preconditions::check_ownership(context, &account).await?;
        context.aws().tag_account(&account, &context.account_tags_without_leaving_replicas()).await?;
    }
    Ok(outcome)
}
