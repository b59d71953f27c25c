//! Closes the AWS account if the closure was requested and a second person has approved it. Waits while AWS's 30-day
//! limit on closures is exhausted.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::approval::{ApprovalAction, ApprovalState};
use freehold_tenancy::config::CloseAccounts;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::wait_reason::WaitReason;

use super::StepResult;
use super::shared::{NO_ACCOUNT, approval, preconditions};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// Period of AWS's limit on account closures ("Quotas for AWS Organizations").
const CLOSURE_WINDOW: TimeDelta = TimeDelta::days(30);

/// Name of the fact with the time at which Freehold requested the closure.
pub(super) const REQUESTED_AT_FACT: &str = "closure_asked_at";

/// Name of the fact that the account was not in the organisation; the end of its mapping reads it.
const LEFT_ORGANIZATION_FACT: &str = "left_organization";

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let Some(account) = context.account_if_any()? else { return Ok(StepOutcome::skipped(NO_ACCOUNT)) };
    if !context.input_flag("close_account") {
        return Ok(StepOutcome::skipped("closing the account was not requested"));
    }
    if !is_requested(context) {
        return Ok(StepOutcome::skipped("close_accounts of [offboarding] no longer allows closing accounts"));
    }
    if !is_approved(context).await? {
        return Ok(StepOutcome::skipped("the closure was not approved"));
    }
    let state = context.aws().account(account.id()).await?.map(|account| account.state);
    if state.as_deref() != Some("ACTIVE") {
        let outcome = match (context.pending_intent::<String>(), state) {
            // The response to an earlier request was lost.
            (Some((_, at)), _) => StepOutcome::done().with(REQUESTED_AT_FACT, at.to_rfc3339()),
            (None, Some(state)) => StepOutcome::skipped(format!("account {account} has the state {state} already"))
                .with(REQUESTED_AT_FACT, context.now().to_rfc3339()),
            (None, None) => StepOutcome::skipped(format!("account {account} is no longer in the organisation"))
                .with(LEFT_ORGANIZATION_FACT, true)
                .with_released_slot(context.slot(Quota::AccountClosures, "")),
        };
        return Ok(outcome);
    }
    if let Some(free_at) = next_closure_at(context, 0).await? {
        return Err(StepError::Blocked {
            reason: WaitReason::ClosureLimit { free_at: Some(free_at) },
            until: Some(free_at),
            at_most: None,
        });
    }
    context.acquire_slot(&context.slot(Quota::AccountClosures, ""), context.config().quotas.account_closures).await?;
    preconditions::check_deletion_allowed(context, &account).await?;
    context.record_intent(&account.id().as_str()).await?;
    match context.aws().close_account(&account).await {
        Ok(()) => Ok(StepOutcome::done().with(REQUESTED_AT_FACT, context.now().to_rfc3339())),
        Err(error) => {
            if error.had_no_effect() {
                context.withdraw_intent().await?;
            }
            Err(if error.has_reason("CLOSE_ACCOUNT_QUOTA_EXCEEDED") {
                closure_limit_exhausted(context)
            } else {
                error.into()
            })
        }
    }
}

fn is_requested(context: &StepContext) -> bool {
    context.input_flag("close_account") && context.config().offboarding.close_accounts == CloseAccounts::OnRequest
}

/// Returns whether a second person has approved the closure. After a rejection, the account stays open.
async fn is_approved(context: &StepContext) -> Result<bool, StepError> {
    let approvals = context.approvals().await?;
    match approvals.iter().rfind(|approval| approval.action == ApprovalAction::Close).map(|approval| approval.state) {
        Some(ApprovalState::Approved) => Ok(true),
        Some(ApprovalState::Pending) => Err(approval::approval_required(
            "Closing the AWS account is permanent and requires approval. A person other than the requester must \
             approve or reject it.",
        )),
        Some(ApprovalState::Rejected | ApprovalState::Expired) | None => Ok(false),
    }
}

/// Returns the error that makes the step wait, because other programs in the organisation have used up the closure
/// limit. AWS does not report the time at which a closure is possible again.
fn closure_limit_exhausted(context: &StepContext) -> StepError {
    StepError::Blocked {
        reason: WaitReason::ClosureLimit { free_at: None },
        until: Some(context.now() + TimeDelta::days(1)),
        at_most: None,
    }
}

/// Returns the expected time of the account closure, but not before `earliest`. Returns `None` if no closure was
/// requested.
pub(super) async fn expected_at(
    context: &StepContext,
    earliest: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StepError> {
    if !is_requested(context) {
        return Ok(None);
    }
    let ahead = context.closures_ahead().await?;
    Ok(Some(next_closure_at(context, ahead).await?.map_or(earliest, |free_at| free_at.max(earliest))))
}

/// Returns the time at which AWS's limit allows this closure after `ahead` others, or `None` if the limit allows it
/// now.
async fn next_closure_at(context: &StepContext, ahead: i64) -> Result<Option<DateTime<Utc>>, StepError> {
    let closures = context.closures_since(context.now() - CLOSURE_WINDOW).await?;
    let allowed = monthly_quota(context.known_accounts().await?);
    let used = i64::try_from(closures.len()).unwrap_or(i64::MAX);
    let excess = used + ahead - allowed;
    // The oldest closure is the first to leave the window.
    let index = usize::try_from(excess).ok().map(|index| index.min(closures.len().saturating_sub(1)));
    Ok(index.and_then(|index| closures.get(index)).map(|at| *at + CLOSURE_WINDOW))
}

/// Returns AWS's limit of closures in 30 days: 20 % of the accounts, at least 250 and at most 1,000 ("Quotas for AWS
/// Organizations").
fn monthly_quota(accounts: i64) -> i64 {
    (accounts / 5).clamp(250, 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closure_quota_is_a_fifth_of_the_accounts_within_limits() {
        assert_eq!([10, 1_250, 2_000, 5_000, 40_000].map(monthly_quota), [250, 250, 400, 1_000, 1_000]);
    }
}
