//! Moves the account into the OU of its residency. AWS Organizations creates accounts in the root.

use super::{StepResult, enforce_residency};
use crate::cloud::CloudErrorKind;
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
        // The OU may have been deleted after `enforce-residency`; `freehold bootstrap` creates another one. The policy
        // of the control role then names the new OU only, so that AWS denies the move to the former one.
        let is_denied = matches!(error.kind, CloudErrorKind::Denied { .. } | CloudErrorKind::NotYet);
        if error.code != "DestinationParentNotFoundException" && !is_denied {
            return Err(error.into());
        }
        context.aws().forget_ou(&context.residency()?.ou_name());
        let former = std::mem::replace(&mut ou, enforce_residency::guarded_ou(context).await?);
        if ou == former {
            return Err(error.into());
        }
        context.aws().move_account(&account, &parent, &ou).await?;
    }
    Ok(StepOutcome::done().with("ou_id", ou))
}
