//! Checks directly before a deletion: the account belongs to this environment, and the tenant has no legal hold.

use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::wait_reason::WaitReason;

use chrono::TimeDelta;

use crate::cloud::Target;
use crate::context::StepContext;
use crate::step_outcome::StepError;

/// Interval between two checks while a legal hold is active, in case the wake-up after the end of the hold is lost.
const LEGAL_HOLD_CHECK_INTERVAL: TimeDelta = TimeDelta::hours(1);

/// Checks that the account mapping and the tags of the account both name this environment.
pub(in crate::steps) async fn check_ownership(context: &StepContext, account: &Target) -> Result<(), StepError> {
    let mapped = context.is_mapped(account.id()).await?;
    if mapped && context.belongs_to_environment(&context.aws().account_tags(account.id()).await?) {
        return Ok(());
    }
    let problem =
        if mapped { "does not have the tags of this environment" } else { "is not mapped to this environment" };
    Err(StepError::needs_attention(
        AttentionCode::AccountNotOurs,
        format!(
            "Account {account} {problem}, so nothing in it was changed. Find out who owns the account and correct its \
             tags or mapping, then retry."
        ),
    ))
}

/// Checks that the tenant has no legal hold and that the account belongs to this environment.
pub(in crate::steps) async fn check_deletion_allowed(context: &StepContext, account: &Target) -> Result<(), StepError> {
    if context.is_on_legal_hold().await? {
        let until = Some(context.now() + LEGAL_HOLD_CHECK_INTERVAL);
        return Err(StepError::Blocked { reason: WaitReason::LegalHold, until, at_most: None });
    }
    check_ownership(context, account).await
}
