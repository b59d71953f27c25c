//! Closes the account, where somebody has asked for that and another person has approved it: planned against AWS's quota.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::approval::{ApprovalAction, ApprovalState};
use freehold_tenancy::config::CloseAccounts;
use freehold_tenancy::quota::Quota;

use super::StepResult;
use super::shared::format_minute;
use super::shared::{approval, preconditions};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// Closures count for so long ("Quotas for AWS Organizations").
const WINDOW: TimeDelta = TimeDelta::days(30);

/// Whether the account was asked to be closed.
pub(super) const ASKED: &str = "closure_asked_at";

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let Some(account) = context.account_if_any()? else { return Ok(StepOutcome::done()) };
    if !wanted(context) || !approved(context).await? {
        return Ok(StepOutcome::done());
    }
    let state = context.cloud().account(account.id()).await?.map(|account| account.state);
    if state.as_deref() != Some("ACTIVE") {
        // On its way already, or gone from the organisation.
        let asked = context.pending_intent::<String>().map_or_else(|| context.now(), |(_, at)| at);
        return Ok(StepOutcome::done().with(ASKED, asked.to_rfc3339()));
    }
    if let Some(free_at) = no_room_until(context, 0).await? {
        return Err(StepError::Blocked {
            why: format!("AWS's limit on closures in 30 days, which has room on {}", format_minute(free_at)),
            until: Some(free_at),
            at_most: None,
        });
    }
    context.acquire_slot(&context.slot(Quota::AccountClosures, ""), context.config().quotas.account_closures).await?;
    preconditions::check_deletion_allowed(context, &account).await?;
    context.intend(&account.id().as_str()).await?;
    match context.cloud().close_account(&account).await {
        Ok(()) => Ok(StepOutcome::done().with(ASKED, context.now().to_rfc3339())),
        Err(error) => {
            if error.had_no_effect() {
                context.withdraw().await?;
            }
            Err(if error.has_reason("CLOSE_ACCOUNT_QUOTA_EXCEEDED") { others_close_too(context) } else { error.into() })
        }
    }
}

fn wanted(context: &StepContext) -> bool {
    context.input_flag("close_account") && context.config().offboarding.close_accounts == CloseAccounts::OnRequest
}

/// Whether another person has said yes; somebody who said no is obeyed as well.
async fn approved(context: &StepContext) -> Result<bool, StepError> {
    let asked = context.approvals().await?;
    match asked.iter().rfind(|approval| approval.action == ApprovalAction::Close).map(|approval| approval.state) {
        Some(ApprovalState::Approved) => Ok(true),
        Some(ApprovalState::Pending) => Err(approval::needed(
            "The account is about to be closed for good. Another person than the one that asked for it has to approve or \
             reject that.",
        )),
        Some(ApprovalState::Rejected) | None => Ok(false),
    }
}

/// Somebody else in the organisation closes accounts as well: AWS says no, and does not say until when.
fn others_close_too(context: &StepContext) -> StepError {
    StepError::Blocked {
        why: "AWS's limit on closures in 30 days, which others in the organisation use as well".to_owned(),
        until: Some(context.now() + TimeDelta::days(1)),
        at_most: None,
    }
}

/// When the account is expected to be closed that could be at `earliest`, where it is to be closed at all.
pub(super) async fn expected_at(
    context: &StepContext,
    earliest: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StepError> {
    if !wanted(context) {
        return Ok(None);
    }
    let ahead = context.closures_ahead().await?;
    Ok(Some(no_room_until(context, ahead).await?.map_or(earliest, |free_at| free_at.max(earliest))))
}

/// When there is room under the quota of 30 days with so many `ahead` in line, where there is none now.
async fn no_room_until(context: &StepContext, ahead: i64) -> Result<Option<DateTime<Utc>>, StepError> {
    let closures = context.closures_since(context.now() - WINDOW).await?;
    let allowed = monthly_quota(context.known_accounts().await?);
    let used = i64::try_from(closures.len()).unwrap_or(i64::MAX);
    let too_many = used + ahead - allowed;
    // Closures leave the window in the order in which they entered it.
    let leaves = usize::try_from(too_many).ok().map(|place| place.min(closures.len().saturating_sub(1)));
    Ok(leaves.and_then(|place| closures.get(place)).map(|at| *at + WINDOW))
}

/// 20 % of the accounts, at least 250 and at most 1,000 ("Quotas for AWS Organizations").
fn monthly_quota(accounts: i64) -> i64 {
    (accounts / 5).clamp(250, 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_accounts_may_be_closed_in_a_month_within_limits() {
        assert_eq!([10, 1_250, 2_000, 5_000, 40_000].map(monthly_quota), [250, 250, 400, 1_000, 1_000]);
    }
}
