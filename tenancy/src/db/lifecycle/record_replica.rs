//! Records the state of a replica after a run of one of its steps.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::step_record::{StepDisposition, StepRecord};
use crate::OperationId;
use crate::db::{Result, environment_replicas, findings};
use crate::event::{EventType, NewEvent};
use crate::replica::ReplicaState;
use crate::step::ReplicaWork;

/// Updates the replica that the step works on, and deletes its row once its stack is deleted. Returns the event of a
/// changed state. The caller must have locked the operation, and no row of an environment: this function locks the
/// environment after the lock of the findings.
pub(super) async fn record_replica(
    tx: &mut PgConnection,
    id: OperationId,
    outcome: &StepRecord,
    now: DateTime<Utc>,
) -> Result<Option<NewEvent>> {
    let Some((slot, work)) = outcome.step.replica() else { return Ok(None) };
    let Some(before) = environment_replicas::of_operation(tx, id, slot).await? else { return Ok(None) };
    if work == ReplicaWork::Delete {
        if matches!(outcome.state, StepDisposition::Done | StepDisposition::Skipped(_)) {
            environment_replicas::delete(tx, before.environment, slot).await?;
        }
        return Ok(None);
    }
    let Some((state, message)) = state_after(outcome, work, before.was_ready) else { return Ok(None) };
    let url = outcome.facts.get("url").and_then(Value::as_str);
    let is_changed = state != before.state;
    if state.is_in_order() == before.state.is_in_order() {
        environment_replicas::set_state(tx, before.environment, slot, state, message, url, now).await?;
    } else {
        let environments = findings::LockedEnvironments::lock(tx, vec![before.environment.as_uuid()]).await?;
        environment_replicas::set_state(tx, before.environment, slot, state, message, url, now).await?;
        environments.write_changes(tx, now).await?;
    }
    let event_type = match state {
        ReplicaState::Ready => EventType::RegionReady,
        ReplicaState::Failed | ReplicaState::Unreachable => EventType::RegionFailed,
        _ => return Ok(None),
    };
    Ok(is_changed.then(|| NewEvent { event_type, data: json!({ "region": before.region }) }))
}

/// Returns the state of the replica after a run and its reason, or `None` if the run does not change it.
fn state_after(outcome: &StepRecord, work: ReplicaWork, was_ready: bool) -> Option<(ReplicaState, Option<&str>)> {
    let state = match &outcome.state {
        StepDisposition::Skipped(_) => return None,
        StepDisposition::Failed(failure) => return Some((ReplicaState::Failed, Some(&failure.message))),
        StepDisposition::Retrying { .. } if outcome.late.is_some() => ReplicaState::Unreachable,
        _ if outcome.attention().is_some() => ReplicaState::Failed,
        StepDisposition::Done if work == ReplicaWork::Verify => ReplicaState::Ready,
        _ if was_ready => ReplicaState::Updating,
        _ => ReplicaState::Deploying,
    };
    Some((state, outcome.attention().map(|attention| attention.message.as_str())))
}
