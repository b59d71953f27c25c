//! Records the outcome of a step, together with the changes that result from it.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::attention::recompute_attention;
use super::finish::make_ready_with_home;
use super::move_home::record_home_move;
use super::record_front_door::record_front_door;
use super::record_replica::record_replica;
use super::step_record::{StepDisposition, StepRecord};
use crate::OperationId;
use crate::attention::{Attention, Remedy};
use crate::baseline::BASELINE_VERSION_FACT;
use crate::db::fence::{Claim, begin_fenced};
use crate::db::steps::object;
use crate::db::{
    PgPool, Result, access_grants, account_mappings, approvals, environment_stacks, events, parse_json, quotas,
    residency_proofs,
};
use crate::event::{EventType, NewEvent};
use crate::step::{StepName, StepState};
use crate::wait_reason::WaitReason;

/// Records the outcome of a step, its facts, slots, account mapping and events in one transaction.
///
/// Fails with [`crate::db::DbError::AccountTaken`] if the account is mapped to another environment.
pub async fn record_step(pool: &PgPool, claim: &Claim, outcome: &StepRecord, now: DateTime<Utc>) -> Result<()> {
    let mut tx = begin_fenced(pool, claim).await?;
    let id = claim.operation_id;
    let outcome = &recheck_approval(&mut tx, id, outcome, now).await?;
    let before = sqlx::query!(
        r#"/* db::lifecycle::record_step */
        select waits_for, last_error, facts, attention from operation_steps where operation_id = $1 and name = $2"#,
        id.as_uuid(),
        outcome.step.as_str(),
    )
    .fetch_one(&mut *tx)
    .await?;
    let mut facts = object(before.facts);
    let has_new_facts = outcome.facts.iter().any(|(name, value)| facts.get(name) != Some(value));
    facts.extend(outcome.facts.clone());

    let mut journal = vec![];
    let (state, waits_for, check_at, last_error) = match &outcome.state {
        StepDisposition::Done => {
            journal.push(step_event(EventType::StepSucceeded, outcome.step, json!({})));
            (StepState::Done, None, None, None)
        }
        StepDisposition::Skipped(reason) => {
            let data = json!({ events::SKIP_REASON_FIELD: reason });
            journal.push(step_event(EventType::StepSucceeded, outcome.step, data));
            (StepState::Done, None, None, None)
        }
        StepDisposition::Waiting { why, check_at } | StepDisposition::Blocked { why, check_at } => {
            if before.waits_for.as_ref() != Some(why) {
                journal.push(step_event(EventType::StepWaiting, outcome.step, json!({ "waits_for": why })));
            }
            (StepState::Waiting, Some(why.clone()), Some(*check_at), None)
        }
        StepDisposition::Retrying { error, check_at, .. } => {
            if before.last_error.as_ref() != Some(error) {
                journal.push(step_event(EventType::StepRetrying, outcome.step, json!({ "error": error })));
            }
            (StepState::Waiting, Some(WaitReason::NextAttempt.to_string()), Some(*check_at), Some(error.clone()))
        }
        StepDisposition::Parked(attention) => (StepState::Parked, None, None, Some(attention.message.clone())),
        StepDisposition::Failed(failure) => (StepState::Failed, None, None, Some(failure.message.clone())),
    };
    let (attention, previous_attention) = (
        outcome.attention(),
        before.attention.map(|value| parse_json::<Attention>(value, "an attention")).transpose()?,
    );
    if let Some(attention) = attention
        && previous_attention
            .as_ref()
            .is_none_or(|previous_attention| previous_attention.code != attention.code || state == StepState::Parked)
    {
        let data =
            json!({ "code": attention.code, "message": attention.message, "goes_on": state != StepState::Parked });
        journal.push(step_event(EventType::OperationNeedsAttention, outcome.step, data));
    }
    let skip_reason = match &outcome.state {
        StepDisposition::Skipped(reason) => Some(reason),
        _ => None,
    };
    let last_error_aws_request_id = match &outcome.state {
        StepDisposition::Retrying { aws_request_id, .. } => aws_request_id.as_ref(),
        StepDisposition::Parked(attention) | StepDisposition::Failed(attention) => attention.aws_request_id.as_ref(),
        _ => None,
    };
    let failed = matches!(outcome.state, StepDisposition::Retrying { .. }) && !has_new_facts;
    sqlx::query!(
        r#"/* db::lifecycle::record_step */
        update operation_steps set state = $3, facts = $4, waits_for = $5, check_at = $6, last_error = $7,
            attempts_without_progress = case when $8 then attempts_without_progress + 1 else 0 end,
            finished_at = case when $3 = 'done' then $9::timestamptz end,
            attention = $10, blocked_since = case when $11 then coalesce(blocked_since, $9) end,
            last_error_aws_request_id = $12, skip_reason = $13
        where operation_id = $1 and name = $2"#,
        id.as_uuid(),
        outcome.step.as_str(),
        state.as_str(),
        Value::Object(facts),
        waits_for,
        check_at,
        last_error,
        failed,
        now,
        outcome.failure().or(attention).map(|attention| json!(attention)),
        matches!(outcome.state, StepDisposition::Blocked { .. }),
        last_error_aws_request_id,
        skip_reason,
    )
    .execute(&mut *tx)
    .await?;
    // First, because they lock the findings before the row of the environment.
    journal.extend(record_replica(&mut tx, id, outcome, now).await?);
    journal.extend(record_front_door(&mut tx, id, outcome, now).await?);
    journal.extend(record_home_move(&mut tx, id, outcome, now).await?);
    if let Some(version) = outcome.facts.get(BASELINE_VERSION_FACT).and_then(Value::as_str) {
        set_baseline_version(&mut tx, id, version, now).await?;
    }
    for slot in &outcome.released {
        quotas::release(&mut tx, id, slot).await?;
    }
    if let Some(account) = &outcome.mapped
        && account_mappings::assign(&mut tx, id, account, now).await?
    {
        let data = json!({ "aws_account_id": account });
        journal.push(NewEvent { event_type: EventType::AccountAssigned, data });
    }
    if let Some(changes) = &outcome.access {
        access_grants::record(&mut tx, id, changes, now).await?;
    }
    if let Some(change) = &outcome.stack {
        environment_stacks::record(&mut tx, id, change, now).await?;
    }
    if let Some(proof) = &outcome.proof {
        residency_proofs::insert(&mut tx, id, proof).await?;
    }
    if let (StepDisposition::Parked(_), Some(quota)) = (&outcome.state, outcome.quota) {
        quotas::release_all(&mut tx, id, quota, outcome.step).await?;
    }
    events::append(&mut tx, id, &journal, now).await?;
    if attention.is_some() || previous_attention.is_some() {
        recompute_attention(&mut tx, id, now).await?;
    }
    if outcome.step == StepName::Verify && outcome.state == StepDisposition::Done {
        make_ready_with_home(&mut tx, id, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn set_baseline_version(tx: &mut PgConnection, id: OperationId, version: &str, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::lifecycle::set_baseline_version */
        update environments e set baseline_version = $2, updated_at = $3
        from operations o where o.id = $1 and e.id = o.environment_id"#,
        id.as_uuid(),
        version,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Changes a step from parked to waiting if its approval was decided while the step ran.
async fn recheck_approval<'a>(
    tx: &mut PgConnection,
    id: OperationId,
    outcome: &'a StepRecord,
    now: DateTime<Utc>,
) -> Result<Cow<'a, StepRecord>> {
    let waits =
        matches!(&outcome.state, StepDisposition::Parked(attention) if attention.remedies.contains(&Remedy::Approve));
    if !waits || approvals::pending(tx, id).await?.is_some() {
        return Ok(Cow::Borrowed(outcome));
    }
    let state = StepDisposition::Waiting { why: WaitReason::RecordedDecision.to_string(), check_at: now };
    Ok(Cow::Owned(StepRecord { state, ..outcome.clone() }))
}

fn step_event(event_type: EventType, step: StepName, mut data: Value) -> NewEvent {
    if let Value::Object(data) = &mut data {
        data.insert("step".to_owned(), step.as_str().into());
    }
    NewEvent { event_type, data }
}
