//! Opts the account in to the region of a replica, if the region requires opt-in.

use freehold_tenancy::operation::OperationKind;

use super::shared::{NO_REPLICA, preconditions};
use super::{StepResult, enable_regions};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let Some(replica) = context.replica() else { return Ok(StepOutcome::skipped(NO_REPLICA)) };
    if context.operation_kind() == OperationKind::ChangeRegions {
        // The tags are those of the replicas on record, so that a recovery finds the stack that is deployed next.
        let account = context.account()?;
        preconditions::check_ownership(context, &account).await?;
        context.aws().tag_account(&account, &context.account_tags()).await?;
    }
    enable_regions::enable(context, replica.region, replica.region.as_str()).await
}
