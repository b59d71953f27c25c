//! Deletes the tenant stack of the home region from the account.

use freehold_tenancy::environment_stack::{StackKind, StackSlot};
use freehold_tenancy::step::StepName;

use super::StepResult;
use super::shared::stack_deletion::StackDeletion;
use super::shared::tenant_stack;
use crate::cloud::Role;
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let stacks = context.stacks().await?;
    let on_record = tenant_stack::find(&stacks, StackSlot::Home);
    let deletion = StackDeletion {
        kind: StackKind::Tenant,
        slot: StackSlot::Home,
        created_by: StepName::DeployStack,
        role: Role::Access,
        // A worker of the previous version, and a recovery, have left no row.
        region: on_record.map_or(context.environment().home_region, |stack| stack.region),
        name: on_record.map_or_else(|| context.config().stack.name.clone(), |stack| stack.name.clone()),
        on_record: on_record.cloned(),
    };
    deletion.run(context).await
}
