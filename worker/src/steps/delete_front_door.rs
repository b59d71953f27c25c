//! Deletes the stack of the front door from the account. CloudFormation disables the distribution first.

use freehold_tenancy::environment_stack::{StackKind, StackSlot};
use freehold_tenancy::front_door::{FRONT_DOOR_STACK, stack_region};
use freehold_tenancy::step::StepName;

use super::StepResult;
use super::shared::front_door_stack;
use super::shared::stack_deletion::StackDeletion;
use crate::cloud::Role;
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let stacks = context.stacks().await?;
    let on_record = front_door_stack::find(&stacks);
    let deletion = StackDeletion {
        kind: StackKind::FrontDoor,
        slot: StackSlot::Home,
        created_by: StepName::FrontDoor,
        role: Role::Access,
        region: on_record.map_or_else(stack_region, |stack| stack.region),
        name: FRONT_DOOR_STACK.to_owned(),
        on_record: on_record.cloned(),
    };
    deletion.run(context).await
}
