//! Moves the account into the OU of its residency. AWS Organizations creates accounts in the root.

use super::{StepResult, enforce_residency};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let mut ou: String = match context.fact("residency_ou_id") {
        Some(ou) => ou,
        None => enforce_residency::guarded_ou(context).await?,
    };
    let account = context.account()?;
    let parent = context.aws().parent_of(&account).await?;
    if parent != ou
        && let Err(error) = context.aws().move_account(&account, &parent, &ou).await
    {
        if error.code != "DestinationParentNotFoundException" {
            return Err(error.into());
        }
        // The OU was deleted after `enforce-residency`. `freehold bootstrap` creates another one.
        context.aws().forget_ou(&context.residency()?.ou_name());
        ou = enforce_residency::guarded_ou(context).await?;
        context.aws().move_account(&account, &parent, &ou).await?;
    }
    Ok(StepOutcome::done().with("ou_id", ou))
}
