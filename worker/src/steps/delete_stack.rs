//! Deletes the tenant stack from the account.

use freehold_tenancy::step::StepName;

use super::StepResult;
use super::shared::stack_deletion::StackDeletion;
use crate::cloud::Role;
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let deletion = StackDeletion {
        created_by: StepName::DeployStack,
        role: Role::Access,
        region: context.environment().home_region,
        name: context.config().stack.name.clone(),
    };
    deletion.run(context).await
}
