//! Moves the account into the quarantine OU, whose policy denies everything but Freehold's role.

use freehold_tenancy::attention::AttentionCode;

use super::StepResult;
use super::shared::{HAS_LEFT, NO_ACCOUNT, preconditions};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let Some(account) = context.account_if_any()? else { return Ok(StepOutcome::skipped(NO_ACCOUNT)) };
    let ou = context.aws().quarantine_ou().await?.ok_or_else(|| {
        StepError::needs_attention(
            AttentionCode::QuarantineNotPrepared,
            "There is no quarantine OU yet. Run `freehold bootstrap`, then retry.",
        )
    })?;
    if let Err(error) = preconditions::check_ownership(context, &account).await {
        let has_left = error.is_needs_attention() && context.aws().account(account.id()).await?.is_none();
        // An account outside the organisation belongs to its new owner, and no longer costs anything.
        let skipped = || StepOutcome::skipped(HAS_LEFT).with(preconditions::LEFT_FACT, true);
        return if has_left { Ok(skipped()) } else { Err(error) };
    }
    let parent = context.aws().parent_of(&account).await?;
    if parent != ou {
        context.aws().move_account(&account, &parent, &ou).await?;
    }
    Ok(StepOutcome::done().with("ou_id", ou))
}
