//! Deletes the stack with Freehold's two roles from the account. Freehold has no access afterwards.

use freehold_tenancy::baseline::BASELINE_STACK;
use freehold_tenancy::environment_stack::{StackKind, StackSlot};
use freehold_tenancy::step::StepName;

use super::shared::stack_deletion::StackDeletion;
use super::{StepResult, install_baseline};
use crate::cloud::Role;
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let stacks = context.stacks().await?;
    let on_record = install_baseline::find(&stacks);
    let deletion = StackDeletion {
        kind: StackKind::Baseline,
        slot: StackSlot::Home,
        created_by: StepName::InstallBaseline,
        role: Role::Organization,
        region: on_record.map_or_else(|| install_baseline::first_region(context), |stack| stack.region),
        name: BASELINE_STACK.to_owned(),
        on_record: on_record.cloned(),
    };
    deletion.run(context).await
}
