//! Moves the account into the OU of its residency. AWS Organizations creates accounts in the root.

use freehold_tenancy::attention::AttentionCode;

use super::StepResult;
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let ou: String = context.fact("residency_ou_id").ok_or_else(|| {
        StepError::needs_attention(
            AttentionCode::ResidencyNotPrepared,
            "The journal does not contain the OU for the account. Report this as a defect.",
        )
    })?;
    let account = context.account()?;
    let parent = context.aws().parent_of(&account).await?;
    if parent != ou {
        context.aws().move_account(&account, &parent, &ou).await?;
    }
    Ok(StepOutcome::done().with("ou_id", ou))
}
