//! Checks directly before a deletion: the account belongs to this environment, and the tenant has no legal hold.

use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::wait_reason::WaitReason;

use chrono::TimeDelta;

use crate::cloud::Target;
use crate::context::StepContext;
use crate::step_outcome::StepError;

/// Interval between two checks while a legal hold is active, in case the wake-up after the end of the hold is lost.
const LEGAL_HOLD_CHECK_INTERVAL: TimeDelta = TimeDelta::hours(1);

/// Fact of the step `suspend`: the account has left the organisation.
pub(in crate::steps) const LEFT_FACT: &str = "account_left";

/// Checks that the account mapping and the tags of the account both name this environment.
pub(in crate::steps) async fn check_ownership(context: &StepContext, account: &Target) -> Result<(), StepError> {
    let mapped = context.is_mapped(account.id()).await?;
    let tags = match context.aws().account_tags(account.id()).await {
        Err(error) if error.code == "TargetNotFoundException" => return Err(account_missing(account)),
        tags => tags?,
    };
    if mapped && context.belongs_to_environment(&tags) {
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

/// Returns whether the account left the organisation before it was suspended. Such an account is not changed any more.
pub(in crate::steps) fn has_left(context: &StepContext) -> bool {
    context.operation_fact(LEFT_FACT).unwrap_or(false)
}

fn account_missing(account: &Target) -> StepError {
    StepError::needs_attention(
        AttentionCode::AccountMissing,
        format!(
            "Account {account} is no longer in the organisation, so nothing in it was changed. Invite it back, then \
             retry."
        ),
    )
}
