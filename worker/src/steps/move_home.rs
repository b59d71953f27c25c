//! Makes a replica the home of the environment, in the records of Freehold. The new home must respond; the old one may
//! be down.

use chrono::TimeDelta;
use freehold_tenancy::Region;
use freehold_tenancy::attention::{Attention, AttentionCode};
use freehold_tenancy::db::lifecycle::{NEW_HOME_FIELD, OLD_HOME_MESSAGE_FACT, OLD_HOME_STATE_FACT, OLD_HOME_URL_FACT};
use freehold_tenancy::environment_stack::StackSlot;
use freehold_tenancy::replica::ReplicaState;
use freehold_tenancy::wait_reason::WaitReason;

use super::StepResult;
use super::shared::check_target::CheckTarget;
use super::shared::region_checks::{self, CheckedRegion};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// Interval between two checks of an old home that does not respond.
const CHECK_INTERVAL: TimeDelta = TimeDelta::seconds(15);

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let environment = context.environment();
    let region: Option<Region> = context.input_field(NEW_HOME_FIELD);
    if region == Some(environment.home_region) {
        // An earlier run has moved the home.
        return Ok(StepOutcome::done());
    }
    let replica = environment.replicas.iter().find(|replica| Some(replica.region) == region);
    let Some(replica) = replica.filter(|replica| replica.leaving_at.is_none()) else {
        return Err(StepError::Failed(Attention::new(
            AttentionCode::StackBroken,
            "The environment no longer has the replica that was to become its home. Choose another replica.",
        )));
    };
    let new_home = CheckedRegion::of(context, StackSlot::Replica(replica.slot), replica.region).await?;
    if let Some(reason) = new_home.check_stack(context).await? {
        return region_checks::poll_check(context, reason).await;
    }
    let old_home = CheckedRegion::of(context, StackSlot::Home, environment.home_region).await?;
    let problem = match old_home.check_stack(context).await {
        Ok(None) => None,
        Ok(Some(reason)) | Err(StepError::Blocked { reason, .. }) => Some(reason.to_string()),
        Err(StepError::Journal(error)) => return Err(error.into()),
        Err(StepError::Retry { error, .. }) => Some(error),
        Err(StepError::NeedsAttention(attention) | StepError::Failed(attention)) => Some(attention.message),
    };
    if let Some(error) = &problem
        && !region_checks::is_left_out(context)
    {
        let reason = WaitReason::StackResponse { error: error.clone() };
        return Ok(StepOutcome::wait(reason, context.now() + CHECK_INTERVAL));
    }
    let url = match old_home.target(context) {
        Ok(CheckTarget::Url(url)) => Some(url),
        _ => None,
    };
    let state = if problem.is_none() { ReplicaState::Ready } else { ReplicaState::Unreachable };
    let message = problem.map(|problem| {
        format!(
            "The region did not respond when the home moved to {}: {problem}. Once it does, request the same replica \
             regions again (freehold tenants change-regions), which verifies it.",
            replica.region
        )
    });
    Ok(StepOutcome::done()
        .with("from", environment.home_region.as_str())
        .with("to", replica.region.as_str())
        .with(OLD_HOME_STATE_FACT, state.as_str())
        .with(OLD_HOME_MESSAGE_FACT, message)
        .with(OLD_HOME_URL_FACT, url))
}
