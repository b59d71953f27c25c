//! Deletes the SaaS's stack from the account.

use super::StepResult;
use super::removal::Removal;
use crate::cloud::Role;
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let removal = Removal {
        made_by: "deploy-stack",
        role: Role::Access,
        region: context.environment().home_region,
        name: context.config().stack.name.clone(),
    };
    removal.run(context).await
}
