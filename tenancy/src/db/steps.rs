//! The journal: reading it, and writing it under the operation's fence.

mod read;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::operations::{Claim, begin_fenced};
use super::{DbError, PgPool, Result, approvals, attention, events, mappings, quotas};
use crate::event::{EventType, NewEvent};
use crate::operation::{Attention, Remedy};
use crate::step::{Facts, StepState};
use crate::{AwsAccountId, OperationId};
use read::object;
pub use read::{history, journal, recent_durations};

/// An entry of the list that an operation walks, as it is first journaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStep {
    /// The step, as in the list.
    pub name: &'static str,
    /// The steps that must be done before it may start.
    pub after: Vec<String>,
}

/// What came of running a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRecord {
    /// The step.
    pub step: &'static str,
    /// What came of it.
    pub ending: StepDisposition,
    /// It takes longer than it may: a person is asked, and it goes on looking all the same.
    pub late: Option<Attention>,
    /// What was learnt, kept beside what is known.
    pub facts: Facts,
    /// Places that are no longer needed.
    pub released: Vec<quotas::QuotaSlot>,
    /// The quota that the step's work counts against: who is parked holds no place under it.
    pub quota: Option<&'static str>,
    /// The account that is now known to be the environment's.
    pub mapped: Option<AwsAccountId>,
}

/// How a run of a step ended.
#[derive(Debug, Clone, PartialEq)]
pub enum StepDisposition {
    /// It is done.
    Done,
    /// It looks again.
    Waiting {
        /// For what it waits.
        why: String,
        /// When it looks again.
        check_at: DateTime<Utc>,
    },
    /// AWS does not let it begin or go on yet.
    Blocked {
        /// For what it waits.
        why: String,
        /// When it tries again.
        check_at: DateTime<Utc>,
    },
    /// It failed and will try again.
    Retrying {
        /// What went wrong.
        error: String,
        /// When it tries again.
        check_at: DateTime<Utc>,
    },
    /// It waits for a person.
    Parked(Attention),
}

/// Journals the list that the operation walks; steps that are there already keep their state.
pub async fn plan(pool: &PgPool, claim: &Claim, steps: &[PlannedStep], now: DateTime<Utc>) -> Result<()> {
    let mut tx = begin_fenced(pool, claim).await?;
    for (position, step) in (0_i16..).zip(steps) {
        sqlx::query!(
            r#"/* db::steps::plan */
            insert into operation_steps (operation_id, name, position, after, state) values ($1, $2, $3, $4, $5)
            on conflict (operation_id, name) do update set position = excluded.position, after = excluded.after"#,
            claim.operation_id.as_uuid(),
            step.name,
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

/// Journals that these steps are about to run.
pub async fn begin(pool: &PgPool, claim: &Claim, steps: &[&'static str], now: DateTime<Utc>) -> Result<()> {
    let names: Vec<String> = steps.iter().map(ToString::to_string).collect();
    // One statement, which every look at anything pays for.
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

/// Writes down what a step is about to ask, in a transaction of its own.
pub async fn intend(pool: &PgPool, claim: &Claim, step: &str, intent: &Value, now: DateTime<Utc>) -> Result<()> {
    set_intent(pool, claim, step, Some(intent), Some(now)).await
}

/// Takes an intent back: it is known that nothing was asked.
pub async fn withdraw(pool: &PgPool, claim: &Claim, step: &str) -> Result<()> {
    set_intent(pool, claim, step, None, None).await
}

async fn set_intent(
    pool: &PgPool,
    claim: &Claim,
    step: &str,
    intent: Option<&Value>,
    at: Option<DateTime<Utc>>,
) -> Result<()> {
    // One statement: the row of the operation is locked by the same snapshot that checks the fence.
    let done = sqlx::query!(
        r#"/* db::steps::set_intent */
        with held as (select id from operations where id = $1 and fence = $2 for no key update)
        update operation_steps s set intent = $4, intent_at = $5 from held where s.operation_id = held.id and s.name = $3"#,
        claim.operation_id.as_uuid(),
        claim.fence,
        step,
        intent,
        at,
    )
    .execute(pool)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(DbError::LeaseLost) }
}

/// Journals what came of a step, with everything that follows from it, in one transaction.
///
/// Fails with [`DbError::AccountTaken`] where the account to be mapped belongs to another environment.
pub async fn record(pool: &PgPool, claim: &Claim, outcome: &StepRecord, now: DateTime<Utc>) -> Result<()> {
    let mut tx = begin_fenced(pool, claim).await?;
    let id = claim.operation_id;
    let outcome = &recheck_approval(&mut tx, id, outcome, now).await?;
    let before = sqlx::query!(
        r#"/* db::steps::record */
        select waits_for, last_error, facts, attention from operation_steps where operation_id = $1 and name = $2"#,
        id.as_uuid(),
        outcome.step,
    )
    .fetch_one(&mut *tx)
    .await?;
    let mut facts = object(before.facts);
    let learnt = outcome.facts.iter().any(|(name, value)| facts.get(name) != Some(value));
    facts.extend(outcome.facts.clone());

    let mut journal = vec![];
    let (state, waits_for, check_at, last_error) = match &outcome.ending {
        StepDisposition::Done => {
            journal.push(step_event(EventType::StepSucceeded, outcome.step, json!({})));
            (StepState::Done, None, None, None)
        }
        StepDisposition::Waiting { why, check_at } | StepDisposition::Blocked { why, check_at } => {
            if before.waits_for.as_ref() != Some(why) {
                journal.push(step_event(EventType::StepWaiting, outcome.step, json!({ "waits_for": why })));
            }
            (StepState::Waiting, Some(why.clone()), Some(*check_at), None)
        }
        StepDisposition::Retrying { error, check_at } => {
            if before.last_error.as_ref() != Some(error) {
                journal.push(step_event(EventType::StepRetrying, outcome.step, json!({ "error": error })));
            }
            (StepState::Waiting, Some("another try".to_owned()), Some(*check_at), Some(error.clone()))
        }
        StepDisposition::Parked(attention) => (StepState::Parked, None, None, Some(attention.message.clone())),
    };
    let (asks, asked) = (outcome.attention(), before.attention.map(attention::read).transpose()?);
    if let Some(asks) = asks
        && asked.as_ref().is_none_or(|asked| asked.code != asks.code || state == StepState::Parked)
    {
        let data = json!({ "code": asks.code, "message": asks.message, "goes_on": state != StepState::Parked });
        journal.push(step_event(EventType::OperationNeedsAttention, outcome.step, data));
    }
    let failed = matches!(outcome.ending, StepDisposition::Retrying { .. }) && !learnt;
    sqlx::query!(
        r#"/* db::steps::record */
        update operation_steps set state = $3, facts = $4, waits_for = $5, check_at = $6, last_error = $7,
            attempts_without_progress = case when $8 then attempts_without_progress + 1 else 0 end,
            finished_at = case when $3 = 'done' then $9::timestamptz end,
            attention = $10, blocked_since = case when $11 then coalesce(blocked_since, $9) end
        where operation_id = $1 and name = $2"#,
        id.as_uuid(),
        outcome.step,
        state.as_str(),
        Value::Object(facts),
        waits_for,
        check_at,
        last_error,
        failed,
        now,
        asks.map(|asks| json!(asks)),
        matches!(outcome.ending, StepDisposition::Blocked { .. }),
    )
    .execute(&mut *tx)
    .await?;
    for place in &outcome.released {
        quotas::release(&mut tx, id, place).await?;
    }
    if let Some(account) = &outcome.mapped
        && mappings::assign(&mut tx, id, account, now).await?
    {
        let data = json!({ "aws_account_id": account });
        journal.push(NewEvent { event_type: EventType::AccountAssigned, data });
    }
    if let (StepDisposition::Parked(_), Some(quota)) = (&outcome.ending, outcome.quota) {
        quotas::release_all(&mut tx, id, quota).await?;
    }
    events::append(&mut tx, id, &journal, now).await?;
    if asks.is_some() || asked.is_some() {
        attention::recompute(&mut tx, id, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Who would wait for an approval looks again where that was decided while its step ran.
async fn recheck_approval<'a>(
    tx: &mut PgConnection,
    id: OperationId,
    outcome: &'a StepRecord,
    now: DateTime<Utc>,
) -> Result<Cow<'a, StepRecord>> {
    let waits =
        matches!(&outcome.ending, StepDisposition::Parked(attention) if attention.remedies.contains(&Remedy::Approve));
    if !waits || approvals::pending(tx, id).await?.is_some() {
        return Ok(Cow::Borrowed(outcome));
    }
    let ending = StepDisposition::Waiting { why: "what was decided just now".to_owned(), check_at: now };
    Ok(Cow::Owned(StepRecord { ending, ..outcome.clone() }))
}

impl StepRecord {
    /// Why it needs a person, where it does.
    fn attention(&self) -> Option<&Attention> {
        match &self.ending {
            StepDisposition::Parked(attention) => Some(attention),
            StepDisposition::Done => None,
            StepDisposition::Waiting { .. } | StepDisposition::Blocked { .. } | StepDisposition::Retrying { .. } => {
                self.late.as_ref()
            }
        }
    }
}

/// Lets steps that are parked or late try again; within a transaction that holds the operation's row.
pub(super) async fn reset_for_retry(tx: &mut PgConnection, id: OperationId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::steps::reset_for_retry */
        update operation_steps set state = 'pending', check_at = null, attempts_without_progress = 0, retried_at = $2,
            attention = null, blocked_since = null
        where operation_id = $1 and (state = 'parked' or attention is not null)"#,
        id.as_uuid(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Lets waiting steps called `step` look at once whose request, kept as the fact `fact`, is not in progress any more, tells
/// them so by the fact `finish_transaction`, and answers how many operations that woke.
pub async fn wake_finished(
    pool: &PgPool,
    step: &str,
    fact: &str,
    in_progress: &[String],
    now: DateTime<Utc>,
) -> Result<u64> {
    let woken = sqlx::query!(
        r#"/* db::steps::wake_finished */
        with held as materialized (
            -- Operations before steps and in order, as everywhere; who is being written to shared_polls by itself.
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
        step,
        fact,
        in_progress,
        now,
    )
    .execute(pool)
    .await?;
    Ok(woken.rows_affected())
}

fn step_event(event_type: EventType, step: &str, mut data: Value) -> NewEvent {
    if let Value::Object(data) = &mut data {
        data.insert("step".to_owned(), step.into());
    }
    NewEvent { event_type, data }
}
