//! Waits until a role in the fresh account can be assumed: for minutes after its creation an account refuses calls.

use super::{StepResult, install_baseline};
use crate::cloud::{self, Kind};
use crate::context::StepContext;
use crate::step::{Outcome, StepError};

/// Most trouble with fresh accounts ends within seven minutes; mostly it is over in one (field reports).
const USUALLY_SECONDS: u64 = 60;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let since = context
        .learnt("created_at")
        .or_else(|| context.done_at("await-account"))
        .unwrap_or_else(|| context.entry_started_at());
    match probe(context).await? {
        Ok(()) => Ok(Outcome::done().with("took_seconds", context.took_seconds(since))),
        Err(error) if matches!(error.kind, Kind::Wait | Kind::Denied { explicit: false }) => {
            let at_most = context.config().waits.account_usable_seconds;
            context.look_again("the fresh account to accept calls", since, USUALLY_SECONDS, at_most).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Assumes the organisation's role, then asks CloudFormation, which in a fresh account is the last to answer.
async fn probe(context: &StepContext) -> Result<cloud::Result<()>, StepError> {
    let account = context.account()?;
    let baseline = install_baseline::deployment(context);
    Ok(match context.cloud().reach(&account, baseline.role).await {
        Ok(()) => context.cloud().stack(&account, baseline.role, baseline.region, &baseline.name).await.map(drop),
        refused => refused,
    })
}
