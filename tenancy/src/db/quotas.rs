//! What AWS allows one organisation to have in progress at one time, shared by all workers: places, and the line for them.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::fence::{Claim, begin_fenced};
use super::rates::{self, CallRate};
use super::{PgPool, Result};
use crate::OperationId;
use crate::operation::OperationKind;
use crate::quota::Quota;
use crate::step::StepName;

/// A place under a quota that allows so many at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaSlot {
    /// Which quota.
    pub quota: Quota,
    /// Which step waits for it.
    pub step: StepName,
    /// Which of several places of one operation; empty where it only ever needs one.
    pub item: String,
}

/// What a quota allows, and how the line for it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaLimits {
    /// So many at one time.
    pub limit: u16,
    /// So many at one time for one environment, where that is limited too.
    pub limit_each: Option<u16>,
    /// By how much maintenance lets onboarding pass.
    pub yields: TimeDelta,
    /// The rate of the call that the place is for: a place comes with leave to make it.
    pub call_rate: Option<CallRate>,
    /// Places count as known only where everything in progress was counted since then; `None` believes our own count.
    pub counted_since: Option<DateTime<Utc>>,
}

/// The answer to who asks for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotResult {
    /// It has one, and leave to make the call.
    Granted,
    /// It waits; so many are in line before it.
    Queued {
        /// How many are in line before it.
        ahead: i64,
    },
    /// It is its turn, but the rate of the call has no room before then.
    RateLimited {
        /// When there will be.
        until: DateTime<Utc>,
    },
    /// It is its turn, if nobody else in the organisation has taken the place: what is in progress has to be counted.
    UsageUnknown,
}

/// How a quota stands for somebody who asks.
struct QueueState {
    granted: bool,
    taken: i64,
    taken_each: i64,
    ahead: i64,
    external_in_progress: i64,
    counted_at: Option<DateTime<Utc>>,
}

/// Asks for a place, and for leave to make the call that it is for: granted to those first in line while fewer than the
/// limit are taken. Who has a place already is only asked to keep to the rate.
pub async fn acquire(
    pool: &PgPool,
    claim: &Claim,
    place: &QuotaSlot,
    terms: &QuotaLimits,
    now: DateTime<Utc>,
) -> Result<SlotResult> {
    let mut tx = begin_fenced(pool, claim).await?;
    let queue_state = enqueue(&mut tx, claim, place, terms, now).await?;
    let free = i64::from(terms.limit) - queue_state.taken - queue_state.external_in_progress;
    let each = terms.limit_each.is_some_and(|limit| queue_state.taken_each >= i64::from(limit));
    let line = if queue_state.granted {
        take_rate_token(&mut tx, terms, 0, now).await?
    } else if each || queue_state.ahead >= i64::from(terms.limit) - queue_state.taken {
        SlotResult::Queued { ahead: queue_state.ahead }
    } else if terms.counted_since.is_some_and(|since| queue_state.counted_at.is_none_or(|at| at < since)) {
        SlotResult::UsageUnknown
    } else if queue_state.ahead >= free {
        SlotResult::Queued { ahead: queue_state.ahead }
    } else {
        take_rate_token(&mut tx, terms, queue_state.ahead, now).await?
    };
    if line == SlotResult::Granted && !queue_state.granted {
        sqlx::query!(
            r#"/* db::quotas::acquire */
            update slots set granted_at = $4 where quota = $1 and operation_id = $2 and item = $3"#,
            place.quota.as_str(),
            claim.operation_id.as_uuid(),
            place.item,
            now,
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(line)
}

/// Puts the place into the line, unless it is there, and answers how things stand.
async fn enqueue(
    tx: &mut PgConnection,
    claim: &Claim,
    place: &QuotaSlot,
    terms: &QuotaLimits,
    now: DateTime<Utc>,
) -> Result<QueueState> {
    sqlx::query!(
        "/* db::quotas::acquire */ select pg_advisory_xact_lock(hashtextextended($1, 0))",
        place.quota.as_str()
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        r#"/* db::quotas::acquire */
        insert into slots (quota, operation_id, item, requested_at, step, queued_at)
        -- Whoever signed up first is first, whichever of several that are worked on at once comes to ask first.
        select $1, id, $3, $4::timestamptz, $5, case when kind = $6 then created_at else $7::timestamptz end
        from operations where id = $2
        on conflict (quota, operation_id, item) do update
        -- The work that had this place is over: whoever wants another stands in line again, where it stood.
        set granted_at = null, ended_at = null, request_id = null, polled_at = null, individual_polls = 0
        where slots.ended_at is not null"#,
        place.quota.as_str(),
        claim.operation_id.as_uuid(),
        place.item,
        now,
        place.step.as_str(),
        OperationKind::Onboard.as_str(),
        now + terms.yields,
    )
    .execute(&mut *tx)
    .await?;
    let row = sqlx::query!(
        r#"/* db::quotas::acquire */
        select mine.granted_at is not null as "granted!",
            (select count(*) from slots where quota = $1 and granted_at is not null and ended_at is null) as "taken!",
            (select count(*) from slots s join operations o on o.id = s.operation_id
                where s.quota = $1 and s.granted_at is not null and s.ended_at is null
                and o.environment_id = (select environment_id from operations where id = $2)) as "taken_each!",
            (select count(*) from slots ahead where ahead.quota = $1 and ahead.granted_at is null
                and (ahead.queued_at, ahead.operation_id, ahead.item)
                    < (mine.queued_at, mine.operation_id, mine.item)) as "ahead!",
            coalesce(shared_polls.external_in_progress, 0)::bigint as "external_in_progress!", shared_polls.counted_at as "counted_at?"
        from slots mine left join shared_polls on shared_polls.quota = mine.quota
        where mine.quota = $1 and mine.operation_id = $2 and mine.item = $3"#,
        place.quota.as_str(),
        claim.operation_id.as_uuid(),
        place.item,
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(QueueState {
        granted: row.granted,
        taken: row.taken,
        taken_each: row.taken_each,
        ahead: row.ahead,
        external_in_progress: row.external_in_progress,
        counted_at: row.counted_at,
    })
}

/// Takes leave to make the call, if it is to be had with `ahead` more of them left for those before.
async fn take_rate_token(
    tx: &mut PgConnection,
    terms: &QuotaLimits,
    ahead: i64,
    now: DateTime<Utc>,
) -> Result<SlotResult> {
    let Some(call_rate) = &terms.call_rate else { return Ok(SlotResult::Granted) };
    let until = rates::take(tx, call_rate, ahead, now).await?;
    Ok(until.map_or(SlotResult::Granted, |until| SlotResult::RateLimited { until }))
}

/// Steps back into the line, at the same place in it: somebody else turned out to have taken the place. Everything in
/// progress has to be counted before the next is granted.
pub async fn requeue(pool: &PgPool, claim: &Claim, place: &QuotaSlot) -> Result<()> {
    let mut tx = begin_fenced(pool, claim).await?;
    sqlx::query!(
        r#"/* db::quotas::requeue */
        update slots set granted_at = null where quota = $1 and operation_id = $2 and item = $3"#,
        place.quota.as_str(),
        claim.operation_id.as_uuid(),
        place.item,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        r#"/* db::quotas::requeue */
        insert into shared_polls (quota) values ($1) on conflict (quota) do update set counted_at = null"#,
        place.quota.as_str(),
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Notes what AWS calls the work that has the place, and that `waits` is the step that waits for its end; with one more in
/// progress, when to look is decided anew at once.
pub async fn note_request(
    pool: &PgPool,
    claim: &Claim,
    place: &QuotaSlot,
    request_id: &str,
    waits: StepName,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::quotas::note_request */
        with held as (select id from operations where id = $2 and fence = $7 for no key update),
        noted as (
            update slots set request_id = $4, step = $5, polled_at = $6 from held
            where quota = $1 and operation_id = held.id and item = $3 and request_id is distinct from $4
            returning quota
        )
        insert into shared_polls (quota, next_at) select quota, $6 from noted
        on conflict (quota) do update set next_at = least(coalesce(shared_polls.next_at, excluded.next_at), excluded.next_at)"#,
        place.quota.as_str(),
        claim.operation_id.as_uuid(),
        place.item,
        request_id,
        waits.as_str(),
        now,
        claim.fence,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Those of `requests` that may be what `place` has asked for: nobody else has noted that they are theirs.
pub async fn unclaimed(pool: &PgPool, claim: &Claim, place: &QuotaSlot, requests: &[String]) -> Result<Vec<String>> {
    let unclaimed = sqlx::query_scalar!(
        r#"/* db::quotas::unclaimed */
        select request as "request!" from unnest($4::text[]) request
        where not exists (
            select from slots where quota = $1 and request_id = request and (operation_id, item) <> ($2, $3)
        )"#,
        place.quota.as_str(),
        claim.operation_id.as_uuid(),
        place.item,
        requests,
    );
    Ok(unclaimed.fetch_all(pool).await?)
}

/// Gives a place back; within a transaction that holds the operation's row.
pub(super) async fn release(tx: &mut PgConnection, operation: OperationId, place: &QuotaSlot) -> Result<()> {
    sqlx::query!(
        "/* db::quotas::release */ delete from slots where quota = $1 and operation_id = $2 and item = $3",
        place.quota.as_str(),
        operation.as_uuid(),
        place.item,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives back whatever the operation has under `quota`, places in line included; within a transaction that holds the
/// operation's row.
pub(super) async fn release_all(tx: &mut PgConnection, operation: OperationId, quota: Quota) -> Result<()> {
    sqlx::query!(
        "/* db::quotas::release_all */ delete from slots where quota = $1 and operation_id = $2",
        quota.as_str(),
        operation.as_uuid(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Wakes those first in line for the places that are free, each when the rate of its call has room for it, and answers how
/// many of them look earlier than they would have.
pub async fn wake_queue(
    pool: &PgPool,
    quota: Quota,
    limit: u16,
    call_rate: Option<&CallRate>,
    now: DateTime<Utc>,
) -> Result<u64> {
    let (first, spacing) = match call_rate {
        Some(call_rate) => {
            let tokens = rates::bucket_state(pool, call_rate, now).await?;
            (tokens.first().max(now), tokens.spacing)
        }
        None => (now, TimeDelta::zero()),
    };
    let woken = sqlx::query!(
        r#"/* db::quotas::wake_queue */
        with first_in_line as (
            select operation_id, step, row_number() over (order by queued_at, operation_id, item) - 1 as ahead
            from slots where quota = $1 and granted_at is null
            order by queued_at, operation_id, item
            limit greatest(0, $2 - (select count(*) from slots where quota = $1 and granted_at is not null and ended_at is null)
                - coalesce((select external_in_progress from shared_polls where quota = $1), 0))
        ),
        next as (
            select operation_id, step, min($3::timestamptz + ahead * $4::interval) as at
            from first_in_line group by operation_id, step
        ),
        held as materialized (
            -- Operations before steps and in order, as everywhere; who is being written to shared_polls by itself.
            select o.id, next.step, next.at from next join operations o on o.id = next.operation_id
            where o.wake_at > next.at order by o.id for no key update of o skip locked
        ),
        step as (
            update operation_steps s set check_at = held.at from held
            where s.operation_id = held.id and s.name = held.step and s.state = 'waiting' and s.check_at > held.at
        )
        update operations o set wake_at = held.at from held where o.id = held.id"#,
        quota.as_str(),
        i64::from(limit),
        first,
        interval(spacing),
    )
    .execute(pool)
    .await?;
    Ok(woken.rows_affected())
}

fn interval(span: TimeDelta) -> sqlx::postgres::types::PgInterval {
    sqlx::postgres::types::PgInterval { months: 0, days: 0, microseconds: span.num_microseconds().unwrap_or(i64::MAX) }
}
