//! What is checked right before something is taken away: the account is this environment's, and nothing holds it back.

use chrono::TimeDelta;

use crate::cloud::Target;
use crate::context::StepContext;
use crate::step_outcome::StepError;

/// Whoever lifts a legal hold wakes those that wait for it; this is for when that wake-up is lost.
const LOOK_AGAIN: TimeDelta = TimeDelta::hours(1);

/// Both the mapping and the account's own tags say that it is this environment's.
pub(in crate::steps) async fn check_ownership(context: &StepContext, account: &Target) -> Result<(), StepError> {
    let mapped = context.is_mapped(account.id()).await?;
    if mapped && context.is_ours(&context.cloud().account_tags(account.id()).await?) {
        return Ok(());
    }
    let what = if mapped { "does not carry the tags of this environment" } else { "is not mapped to this environment" };
    Err(StepError::needs_attention(
        "account_not_ours",
        format!(
            "Account {account} {what}, so nothing in it is touched. Find out whose it is; put it right, then retry."
        ),
    ))
}

/// Nothing is destroyed under a legal hold, nor in an account that is not certainly ours.
pub(in crate::steps) async fn check_deletion_allowed(context: &StepContext, account: &Target) -> Result<(), StepError> {
    if context.is_on_legal_hold().await? {
        let why = "the legal hold on the tenant to be lifted".to_owned();
        return Err(StepError::Blocked { why, until: Some(context.now() + LOOK_AGAIN), at_most: None });
    }
    check_ownership(context, account).await
}
