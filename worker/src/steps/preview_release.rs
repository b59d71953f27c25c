//! Shows what a release would change in each region of an environment. Creates a change set for each stack, reads it,
//! and deletes it.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Region;
use freehold_tenancy::attention::{Attention, AttentionCode};
use freehold_tenancy::environment_stack::{StackKind, StackSlot};
use freehold_tenancy::release::PREVIEW_FACT;
use freehold_tenancy::wait_reason::WaitReason;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::StepResult;
use super::shared::change_set::{ReleaseTarget, target_of};
use crate::cloud::{ChangeSetState, CloudErrorKind, ErrorOrigin, Role, StackStatus};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// Expected duration of the creation of a change set in seconds.
const CHANGE_SET_SECONDS: u64 = 5;

/// Time for which a change set may be created.
const CHANGE_SET_LIMIT: TimeDelta = TimeDelta::minutes(15);

/// Preview of one region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct RegionPreview {
    region: Region,
    /// Changes of resources; empty if the stack stays as it is.
    changes: Value,
}

/// Previews one region in each run.
pub(crate) async fn run(context: &StepContext) -> StepResult {
    let done: Vec<RegionPreview> = context.step_fact(PREVIEW_FACT).unwrap_or_default();
    let stacks = context.stacks().await?;
    let is_left = |slot: StackSlot| match slot {
        StackSlot::Home => false,
        StackSlot::Replica(slot) => {
            context.environment().replicas.iter().any(|one| one.slot == slot && one.leaving_at.is_some())
        }
    };
    let mut slots = stacks.iter().filter(|stack| stack.kind == StackKind::Tenant && !is_left(stack.slot));
    let Some(next) = slots.find(|stack| done.iter().all(|one| one.region != stack.region)) else {
        return Ok(StepOutcome::done());
    };
    preview(context, next.slot, done).await
}

async fn preview(context: &StepContext, slot: StackSlot, mut done: Vec<RegionPreview>) -> StepResult {
    let (stack, target) = target_of(context, slot).await?;
    let (account, region) = (context.account()?, stack.region);
    let Some(id) = &stack.id else { return Err(failed(format!("The stack in {region} does not exist."))) };
    let name = ReleaseTarget::change_set_name(context, region, 1);
    let requested_at: Option<DateTime<Utc>> = context.step_fact(&requested_fact(region));
    let found = match requested_at {
        Some(_) => context.aws().change_set(&account, region, id, &name, true).await?,
        None => None,
    };
    let Some(found) = found else {
        let found = context.aws().stack(&account, Role::Access, region, id).await?;
        let found = found.filter(|found| context.belongs_to_environment(&found.tags));
        let Some(found) = found else { return Err(failed(format!("The stack in {region} does not exist."))) };
        if found.status == StackStatus::InProgress {
            return wait(context, &stack.name, context.entry_started_at()).await;
        }
        let new = target.new_change_set(&found, name);
        match context.aws().create_change_set(&account, region, id, &new).await {
            Ok(()) => {}
            Err(error) if error.code.trim_end_matches("Exception") == "AlreadyExists" => {}
            Err(error) if error.kind == CloudErrorKind::Failed && error.origin == ErrorOrigin::Aws => {
                return Err(
                    failed(format!("CloudFormation refuses the release in {region}: {error}")).caused_by(&error)
                );
            }
            Err(error) => return Err(error.into()),
        }
        let now = context.now();
        return Ok(wait(context, &stack.name, now).await?.with(&requested_fact(region), now.to_rfc3339()));
    };
    let changes = match found.state {
        ChangeSetState::Creating => {
            return wait(context, &stack.name, requested_at.unwrap_or_else(|| context.now())).await;
        }
        ChangeSetState::Failed => {
            context.aws().delete_change_set(&account, region, id, &name).await?;
            return Err(failed(format!("CloudFormation cannot prepare the release in {region}: {}", found.reason)));
        }
        ChangeSetState::NoChanges => json!([]),
        ChangeSetState::Available | ChangeSetState::Executed | ChangeSetState::Obsolete => json!(found.changes),
    };
    context.aws().delete_change_set(&account, region, id, &name).await?;
    done.push(RegionPreview { region, changes });
    let reason = WaitReason::ChangeSet { stack: stack.name };
    // The next run previews the next region.
    Ok(StepOutcome::wait(reason, context.now()).with(PREVIEW_FACT, json!(done)))
}

fn requested_fact(region: Region) -> String {
    format!("requested_{region}")
}

async fn wait(context: &StepContext, stack: &str, since: DateTime<Utc>) -> StepResult {
    if context.now() - since > CHANGE_SET_LIMIT {
        return Err(failed(format!("CloudFormation has not prepared the change set of the stack {stack} in time.")));
    }
    let reason = WaitReason::ChangeSet { stack: stack.to_owned() };
    let limit = u64::try_from(CHANGE_SET_LIMIT.num_seconds()).unwrap_or(u64::MAX);
    context.poll_later(reason, since, CHANGE_SET_SECONDS, limit).await
}

fn failed(message: String) -> StepError {
    StepError::Failed(Attention::new(AttentionCode::StackRejected, format!("{message} Nothing was changed.")))
}
