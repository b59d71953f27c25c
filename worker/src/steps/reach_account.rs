//! Waits until a role in the fresh account can be assumed: for minutes after its creation an account refuses calls.

use chrono::TimeDelta;
use freehold_tenancy::step::StepName;

use super::shared::account_request;
use super::{StepResult, install_baseline};
use crate::cloud::{self, CloudErrorKind};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// Who refuses for longer than this may not be fresh but closed.
const UNUSUAL: TimeDelta = TimeDelta::minutes(5);

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let since = context
        .operation_fact("created_at")
        .or_else(|| context.done_at(StepName::AwaitAccount))
        .unwrap_or_else(|| context.entry_started_at());
    let (usual, waits) = (&context.config().expected_durations, &context.config().timeouts);
    let (usually, at_most) = (usual.account_usable_seconds, waits.account_usable_seconds);
    let why = "the fresh account to accept calls";
    if context.is_too_early_to_poll(since, usually).await {
        return context.poll_later(why, since, usually, at_most).await;
    }
    match probe(context).await? {
        Ok(()) => Ok(StepOutcome::done().with("took_seconds", context.took_seconds(since))),
        Err(error) if matches!(error.kind, CloudErrorKind::NotYet | CloudErrorKind::Denied { explicit: false }) => {
            if context.now() - since > UNUSUAL {
                account_request::check_active(context).await?;
            }
            context.poll_later(why, since, usually, at_most).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Assumes the organisation's role, then asks CloudFormation, which in a fresh account is the last to answer.
async fn probe(context: &StepContext) -> Result<cloud::Result<()>, StepError> {
    let account = context.account()?;
    let baseline = install_baseline::deployment(context);
    Ok(match context.cloud().check_role(&account, baseline.role).await {
        Ok(()) => context.cloud().stack(&account, baseline.role, baseline.region, &baseline.name).await.map(drop),
        refused => refused,
    })
}
