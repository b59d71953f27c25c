//! Waits until a role in the fresh account can be assumed: for minutes after its creation an account refuses calls.

use super::StepResult;
use crate::cloud::{Kind, Role};
use crate::context::StepContext;
use crate::step::Outcome;

/// Most trouble with fresh accounts ends within seven minutes; mostly it is over in one (field reports).
const USUALLY_SECONDS: u64 = 60;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let account = context.account()?;
    let since =
        context.known("created_at").or_else(|| context.done_at("await-account")).unwrap_or_else(|| context.now());
    match context.cloud().reach(&account, Role::Organization).await {
        Ok(()) => Ok(Outcome::done().with("took_seconds", context.took_seconds(since))),
        Err(error) if matches!(error.kind, Kind::Wait | Kind::Denied { explicit: false }) => {
            let at_most = context.config().waits.account_usable_seconds;
            context.look_again("the fresh account to accept calls", since, USUALLY_SECONDS, at_most).await
        }
        Err(error) => Err(error.into()),
    }
}
