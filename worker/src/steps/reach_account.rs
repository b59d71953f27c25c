//! Waits until a role in the new account can be assumed. An account denies calls for some minutes after its creation.

use chrono::TimeDelta;
use freehold_tenancy::baseline::BASELINE_STACK;
use freehold_tenancy::step::StepName;
use freehold_tenancy::wait_reason::WaitReason;

use super::shared::account_request;
use super::{StepResult, install_baseline};
use crate::cloud::{self, CloudErrorKind, Role};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// Time after which the state of the account is checked, because the account may be closed rather than new.
const CHECK_ACTIVE_AFTER: TimeDelta = TimeDelta::minutes(5);

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let since = context
        .operation_fact("created_at")
        .or_else(|| context.step_finished_at(StepName::AwaitAccount))
        .unwrap_or_else(|| context.entry_started_at());
    let (expected, limits) = (&context.config().expected_durations, &context.config().timeouts);
    let (expected, at_most) = (expected.account_usable_seconds, limits.account_usable_seconds);
    if context.is_too_early_to_poll(since, expected).await {
        return context.poll_later(WaitReason::AccountUsable, since, expected, at_most).await;
    }
    match probe(context).await? {
        Ok(()) => Ok(StepOutcome::done().with("took_seconds", context.estimated_duration_seconds(since))),
        Err(error)
            if matches!(error.kind, CloudErrorKind::NotYet | CloudErrorKind::Denied { explicit_deny: false }) =>
        {
            if context.now() - since > CHECK_ACTIVE_AFTER {
                account_request::check_active(context).await?;
            }
            context.poll_later(WaitReason::AccountUsable, since, expected, at_most).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Assumes the organisation's role and calls CloudFormation, the last service that accepts calls in a new account.
async fn probe(context: &StepContext) -> Result<cloud::Result<()>, StepError> {
    let account = context.account()?;
    let (role, region) = (Role::Organization, install_baseline::region(context).await?);
    Ok(match context.aws().check_role(&account, role).await {
        Ok(()) => context.aws().stack(&account, role, region, BASELINE_STACK).await.map(drop),
        denied => denied,
    })
}
