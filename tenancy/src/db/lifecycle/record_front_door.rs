//! Records the state of a front door after a run of one of its steps.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::step_record::{StepDisposition, StepRecord};
use crate::db::environment_front_doors::{self, Addresses};
use crate::db::{Result, findings};
use crate::event::{EventType, NewEvent};
use crate::front_door::FrontDoorState;
use crate::step::FrontDoorWork;
use crate::{OperationId, Region};

/// Updates the front door that the step works on, and deletes its row once its stack is deleted. Returns the event of
/// a changed state. The caller must have locked the operation, and no row of an environment: this function locks the
/// environment after the lock of the findings.
pub(super) async fn record_front_door(
    tx: &mut PgConnection,
    id: OperationId,
    outcome: &StepRecord,
    now: DateTime<Utc>,
) -> Result<Option<NewEvent>> {
    let Some(work) = outcome.step.front_door() else { return Ok(None) };
    let Some(before) = environment_front_doors::of_operation(tx, id).await? else { return Ok(None) };
    let is_complete = matches!(outcome.state, StepDisposition::Done | StepDisposition::Skipped(_));
    if work == FrontDoorWork::Delete && is_complete {
        let environments = findings::LockedEnvironments::lock(tx, vec![before.environment.as_uuid()]).await?;
        environment_front_doors::delete(tx, before.environment).await?;
        environments.write_changes(tx, now).await?;
        return Ok(None);
    }
    let Some((state, message)) = state_after(outcome, work, before.was_deployed) else { return Ok(None) };
    let text = |fact: &str| outcome.facts.get(fact).and_then(Value::as_str);
    let addresses = text("domain").zip(text("url")).map(|(domain, url)| {
        let failover_region: Option<Region> = text("failover_region").and_then(|region| region.parse().ok());
        Addresses { domain, url, failover_region }
    });
    let (environment, is_changed) = (before.environment, state != before.state);
    if (state == FrontDoorState::Failed) == (before.state == FrontDoorState::Failed) {
        environment_front_doors::set_state(tx, environment, state, message, addresses, now).await?;
    } else {
        let environments = findings::LockedEnvironments::lock(tx, vec![environment.as_uuid()]).await?;
        environment_front_doors::set_state(tx, environment, state, message, addresses, now).await?;
        environments.write_changes(tx, now).await?;
    }
    let event_type = match state {
        FrontDoorState::Deployed => EventType::FrontDoorDeployed,
        FrontDoorState::Failed => EventType::FrontDoorFailed,
        _ => return Ok(None),
    };
    Ok(is_changed.then(|| NewEvent { event_type, data: json!({}) }))
}

/// Returns the state of the front door after a run and its reason, or `None` if the run does not change it.
fn state_after(
    outcome: &StepRecord,
    work: FrontDoorWork,
    was_deployed: bool,
) -> Option<(FrontDoorState, Option<&str>)> {
    let message = outcome.attention().map(|attention| attention.message.as_str());
    let state = match (&outcome.state, work) {
        (StepDisposition::Skipped(_), _) => return None,
        (StepDisposition::Failed(failure), _) => return Some((FrontDoorState::Failed, Some(&failure.message))),
        (StepDisposition::Parked(_), _) => FrontDoorState::Failed,
        (_, FrontDoorWork::Delete) => FrontDoorState::Deleting,
        (StepDisposition::Done, FrontDoorWork::Verify) => FrontDoorState::Deployed,
        (StepDisposition::Done, FrontDoorWork::Disable) => FrontDoorState::Disabled,
        (_, FrontDoorWork::Close | FrontDoorWork::Disable) => return None,
        _ if was_deployed => FrontDoorState::Updating,
        _ => FrontDoorState::Creating,
    };
    Some((state, message))
}
