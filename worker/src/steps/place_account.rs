//! Moves the account from the root, where Organizations puts it, under the guardrails of its residency.

use super::StepResult;
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let ou: String = context.fact("residency_ou_id").ok_or_else(|| {
        StepError::needs_attention("residency_not_prepared", "The journal does not say which OU the account goes to.")
    })?;
    let account = context.account()?;
    let parent = context.cloud().parent_of(&account).await?;
    if parent != ou {
        context.cloud().move_account(&account, &parent, &ou).await?;
    }
    Ok(StepOutcome::done().with("ou_id", ou))
}
