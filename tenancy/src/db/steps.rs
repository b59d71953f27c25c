//! Reads the journal, and writes it under the fence of the operation.

mod read;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::fence::{Claim, begin_fenced};
use super::{DbError, PgPool, Result, events};
use crate::OperationId;
use crate::event::{EventType, NewEvent};
use crate::step::{StepName, StepState};
pub(super) use read::object;
pub use read::{history, journal, recent_durations};

/// Step of a workflow before its first run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStep {
    pub name: StepName,
    /// Steps that must be done before this step can start.
    pub after: Vec<String>,
}

/// Writes the steps of the workflow to the journal. Steps that are already in the journal keep their state.
pub async fn plan(pool: &PgPool, claim: &Claim, steps: &[PlannedStep], now: DateTime<Utc>) -> Result<()> {
    let mut tx = begin_fenced(pool, claim).await?;
    for (position, step) in (0_i16..).zip(steps) {
        sqlx::query!(
            r#"/* db::steps::plan */
            insert into operation_steps (operation_id, name, position, after, state) values ($1, $2, $3, $4, $5)
            on conflict (operation_id, name) do update set position = excluded.position, after = excluded.after"#,
            claim.operation_id.as_uuid(),
            step.name.as_str(),
            position,
            &step.after,
            StepState::Pending.as_str(),
        )
        .execute(&mut *tx)
        .await?;
    }
    if events::has_none(&mut tx, claim.operation_id, EventType::OperationStarted).await? {
        let news = [NewEvent { event_type: EventType::OperationStarted, data: json!({}) }];
        events::append(&mut tx, claim.operation_id, &news, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Records that the given steps have started to run.
pub async fn begin(pool: &PgPool, claim: &Claim, steps: &[StepName], now: DateTime<Utc>) -> Result<()> {
    let names: Vec<String> = steps.iter().map(ToString::to_string).collect();
    // This is one statement for performance, because each poll runs it.
    let held = sqlx::query_scalar!(
        r#"/* db::steps::begin */
        with held as (select id from operations where id = $1 and fence = $4 for no key update),
        begun as (
            update operation_steps s set attempts = s.attempts + 1, state = 'running',
                started_at = coalesce(s.started_at, $3)
            from held, operation_steps before
            where s.operation_id = held.id and s.name = any($2)
              and before.operation_id = s.operation_id and before.name = s.name
            returning s.name, s.position, before.started_at is null as first
        ),
        news as (select name, row_number() over (order by position) as n from begun where first),
        operation as (
            update operations o set last_seq = o.last_seq + (select count(*) from news), updated_at = $3
            from held where o.id = held.id and exists (select from news)
            returning o.id, o.tenant_id, o.environment_id, o.last_seq - (select count(*) from news) as seen
        ),
        event as (
            insert into events (operation_id, seq, tenant_id, environment_id, type, data, occurred_at)
            select o.id, o.seen + news.n, o.tenant_id, o.environment_id, $5, jsonb_build_object('step', news.name), $3
            from operation o, news
        )
        select exists (select from held) as "held!""#,
        claim.operation_id.as_uuid(),
        &names,
        now,
        claim.fence,
        EventType::StepStarted.as_str(),
    )
    .fetch_one(pool)
    .await?;
    if held { Ok(()) } else { Err(DbError::LeaseLost) }
}

/// Writes the intent of a step in its own transaction.
pub async fn write_intent(
    pool: &PgPool,
    claim: &Claim,
    step: StepName,
    intent: &Value,
    now: DateTime<Utc>,
) -> Result<()> {
    set_intent(pool, claim, step, Some(intent), Some(now)).await
}

/// Deletes the intent of a step. The caller must be certain that the request was not sent.
pub async fn withdraw(pool: &PgPool, claim: &Claim, step: StepName) -> Result<()> {
    set_intent(pool, claim, step, None, None).await
}

async fn set_intent(
    pool: &PgPool,
    claim: &Claim,
    step: StepName,
    intent: Option<&Value>,
    at: Option<DateTime<Utc>>,
) -> Result<()> {
    // This is one statement, so that the snapshot that checks the fence also locks the row of the operation.
    let done = sqlx::query!(
        r#"/* db::steps::set_intent */
        with held as (select id from operations where id = $1 and fence = $2 for no key update)
        update operation_steps s set intent = $4, intent_at = $5 from held where s.operation_id = held.id
            and s.name = $3"#,
        claim.operation_id.as_uuid(),
        claim.fence,
        step.as_str(),
        intent,
        at,
    )
    .execute(pool)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(DbError::LeaseLost) }
}

/// Resets steps that are parked or late. The caller must have locked the operation.
pub(super) async fn reset_for_retry(tx: &mut PgConnection, id: OperationId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::steps::reset_for_retry */
        update operation_steps s set state = 'pending', check_at = null, attempts_without_progress = 0,
            retried_at = $2, waits_for = null, last_error = null, last_error_aws_request_id = null,
            attention = null, blocked_since = null, finished_at = null, skip_reason = null
        where operation_id = $1 and (
            state = 'parked' or attention is not null
            -- The stack may need permissions that were configured after its baseline was installed.
            or (name = 'install-baseline' and state = 'done' and exists (
                select from operation_steps d
                where d.operation_id = $1 and d.name = any($3) and d.state = 'parked'
            ))
            -- The template of the stack may have been corrected.
            or (name = 'deploy-stack' and state = 'done' and exists (
                select from operation_steps v
                where v.operation_id = $1 and v.name = 'verify' and (v.state = 'parked' or v.attention is not null)
            ))
            or (name like 'deploy-replica-%' and state = 'done' and exists (
                select from operation_steps v
                where v.operation_id = $1 and v.name = replace(s.name, 'deploy-', 'verify-')
                    and (v.state = 'parked' or v.attention is not null)
            ))
        )"#,
        id.as_uuid(),
        now,
        &StepName::DEPLOYMENTS.iter().map(ToString::to_string).collect::<Vec<_>>(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends the waits of a cancelled operation: its unfinished steps are pending and have no next check. The caller must
/// have locked the operation.
pub(super) async fn end_waits(tx: &mut PgConnection, id: OperationId) -> Result<()> {
    sqlx::query!(
        r#"/* db::steps::end_waits */
        update operation_steps set state = 'pending', check_at = null, waits_for = null
        where operation_id = $1 and state in ('running', 'waiting')"#,
        id.as_uuid(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Resets a step that is done, so that it runs again. Returns whether the operation has the step. The caller must have
/// locked the operation.
pub(super) async fn repeat(tx: &mut PgConnection, id: OperationId, step: StepName) -> Result<bool> {
    let done = sqlx::query!(
        r#"/* db::steps::repeat */
        update operation_steps set state = 'pending', finished_at = null, skip_reason = null
        where operation_id = $1 and name = $2"#,
        id.as_uuid(),
        step.as_str(),
    );
    Ok(done.execute(tx).await?.rows_affected() == 1)
}

/// Wakes all waiting steps with the name `step` whose request is no longer in progress, and sets their fact `ended`.
/// The fact `fact` of a step contains the id of its request. Returns the number of operations that are now due earlier
/// than before.
pub async fn wake_finished(
    pool: &PgPool,
    step: StepName,
    fact: &str,
    in_progress: &[String],
    now: DateTime<Utc>,
) -> Result<u64> {
    let woken = sqlx::query!(
        r#"/* db::steps::wake_finished */
        with held as materialized (
            -- Lock order: operations before steps, by id. A locked operation is skipped: its worker polls by itself.
            select o.id from operation_steps s join operations o on o.id = s.operation_id
            where s.name = $1 and s.state = 'waiting' and s.check_at > $4
              and s.facts ->> $2 is not null and s.facts ->> $2 <> all ($3)
            order by o.id for no key update of o skip locked
        ),
        told as (
            update operation_steps s set check_at = $4, facts = facts || '{"ended": true}' from held
            where s.operation_id = held.id and s.name = $1 and s.state = 'waiting'
        )
        update operations o set wake_at = least(o.wake_at, $4) from held where o.id = held.id"#,
        step.as_str(),
        fact,
        in_progress,
        now,
    )
    .execute(pool)
    .await?;
    Ok(woken.rows_affected())
}
