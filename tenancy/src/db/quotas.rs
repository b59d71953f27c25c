//! Stores the slots of quotas that limit concurrent work in the organisation, and the queue for free slots. All workers
//! share them.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::fence::{Claim, begin_fenced};
use super::rates::{self, CallRate};
use super::{PgPool, Result, vending};
use crate::OperationId;
use crate::operation::OperationKind;
use crate::quota::Quota;
use crate::step::StepName;
use crate::vending::{AccountCeilings, VendingStop};

/// Slot of a quota that an operation holds or is queued for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaSlot {
    pub quota: Quota,
    /// Step that waits for the slot.
    pub step: StepName,
    /// Item that distinguishes several slots of one operation; empty if the operation needs only one slot.
    pub item: String,
}

/// Limits of a quota and rules of its queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaLimits {
    /// Maximum number of slots that can be taken at the same time.
    pub limit: u16,
    /// Maximum number of slots per environment; `None` means unlimited.
    pub limit_per_environment: Option<u16>,
    /// Delay added to the queue time of offboardings, restores and repairs, so that onboardings go first.
    pub maintenance_delay: TimeDelta,
    /// Rate limit of the call that needs the slot. A granted slot includes a token of this rate limit.
    pub call_rate: Option<CallRate>,
    /// The requests in progress at AWS must be counted again if the last count was made before this time. `None` if
    /// only Freehold's own slots are counted.
    pub counted_since: Option<DateTime<Utc>>,
    /// Maximum numbers of accounts. `None` for quotas that create no accounts.
    pub ceilings: Option<AccountCeilings>,
}

/// Result of a request for a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotResult {
    /// The slot and a rate token are granted.
    Granted,
    /// The operation is queued.
    Queued {
        /// Number of operations ahead in the queue.
        ahead: i64,
    },
    /// A slot is free, but no rate token is available before `until`.
    RateLimited {
        /// Time of the next rate token.
        until: DateTime<Utc>,
    },
    /// A slot seems to be free, but requests from outside Freehold must be counted first.
    UsageUnknown,
    /// No account may be created, because an operator has paused vending or a configured maximum is reached.
    Stopped(VendingStop),
}

/// State of a quota and its queue, relative to one operation.
struct QueueState {
    granted: bool,
    taken: i64,
    taken_each: i64,
    ahead: i64,
    external_in_progress: i64,
    counted_at: Option<DateTime<Utc>>,
}

/// Requests a slot and a rate token for its call. Slots are granted in the order of the queue while fewer than the
/// limit are taken. An operation that already has the slot needs only the token.
pub async fn acquire(
    pool: &PgPool,
    claim: &Claim,
    slot: &QuotaSlot,
    limits: &QuotaLimits,
    now: DateTime<Utc>,
) -> Result<SlotResult> {
    let mut tx = begin_fenced(pool, claim).await?;
    let queue_state = enqueue(&mut tx, claim, slot, limits, now).await?;
    let free = i64::from(limits.limit) - queue_state.taken - queue_state.external_in_progress;
    let each = limits.limit_per_environment.is_some_and(|limit| queue_state.taken_each >= i64::from(limit));
    let result = if queue_state.granted {
        take_rate_token(&mut tx, limits, 0, now).await?
    } else if each || queue_state.ahead >= i64::from(limits.limit) - queue_state.taken {
        SlotResult::Queued { ahead: queue_state.ahead }
    } else if limits.counted_since.is_some_and(|since| queue_state.counted_at.is_none_or(|at| at < since)) {
        SlotResult::UsageUnknown
    } else if queue_state.ahead >= free {
        SlotResult::Queued { ahead: queue_state.ahead }
    } else if let Some(stop) = vending_stop(&mut tx, claim, limits, now).await? {
        SlotResult::Stopped(stop)
    } else {
        take_rate_token(&mut tx, limits, queue_state.ahead, now).await?
    };
    if result == SlotResult::Granted && !queue_state.granted {
        sqlx::query!(
            r#"/* db::quotas::acquire */
            update slots set granted_at = $4 where quota = $1 and operation_id = $2 and item = $3"#,
            slot.quota.as_str(),
            claim.operation_id.as_uuid(),
            slot.item,
            now,
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(result)
}

/// Returns the reason why no account may be created. The caller holds the lock of the quota, so concurrent workers
/// cannot exceed a maximum together.
async fn vending_stop(
    tx: &mut PgConnection,
    claim: &Claim,
    limits: &QuotaLimits,
    now: DateTime<Utc>,
) -> Result<Option<VendingStop>> {
    let Some(ceilings) = limits.ceilings else { return Ok(None) };
    vending::stop_reason(tx, ceilings, Some(claim.operation_id), now).await
}

/// Adds the request to the queue, unless it is in the queue already, and returns the state of the queue.
async fn enqueue(
    tx: &mut PgConnection,
    claim: &Claim,
    slot: &QuotaSlot,
    limits: &QuotaLimits,
    now: DateTime<Utc>,
) -> Result<QueueState> {
    sqlx::query!(
        "/* db::quotas::acquire */ select pg_advisory_xact_lock(hashtextextended($1, 0))",
        slot.quota.as_str()
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        r#"/* db::quotas::acquire */
        insert into slots (quota, operation_id, item, requested_at, step, queued_at)
        -- The queue is ordered by signup, not by the order in which workers reach this statement.
        select $1, id, $3, $4::timestamptz, $5, case when kind = $6 then created_at else $7::timestamptz end
        from operations where id = $2
        on conflict (quota, operation_id, item) do update
        -- The work under this slot has ended: a further request is queued again at the same position.
        set granted_at = null, ended_at = null, request_id = null, polled_at = null, individual_polls = 0
        where slots.ended_at is not null"#,
        slot.quota.as_str(),
        claim.operation_id.as_uuid(),
        slot.item,
        now,
        slot.step.as_str(),
        OperationKind::Onboard.as_str(),
        now + limits.maintenance_delay,
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
            coalesce(shared_polls.external_in_progress, 0)::bigint as "external_in_progress!",
                shared_polls.counted_at as "counted_at?"
        from slots mine left join shared_polls on shared_polls.quota = mine.quota
        where mine.quota = $1 and mine.operation_id = $2 and mine.item = $3"#,
        slot.quota.as_str(),
        claim.operation_id.as_uuid(),
        slot.item,
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

/// Takes a rate token if at least `ahead` further tokens remain for the operations ahead in the queue.
async fn take_rate_token(
    tx: &mut PgConnection,
    limits: &QuotaLimits,
    ahead: i64,
    now: DateTime<Utc>,
) -> Result<SlotResult> {
    let Some(call_rate) = &limits.call_rate else { return Ok(SlotResult::Granted) };
    let ahead = usize::try_from(ahead).unwrap_or(0);
    let until = rates::take_until_answered(tx, call_rate, ahead, now).await?;
    Ok(until.map_or(SlotResult::Granted, |until| SlotResult::RateLimited { until }))
}

/// Revokes a granted slot, because requests from outside Freehold have exhausted the quota. The operation keeps its
/// position in the queue. The requests in progress must be counted again before the next slot is granted.
pub async fn requeue(pool: &PgPool, claim: &Claim, slot: &QuotaSlot) -> Result<()> {
    let mut tx = begin_fenced(pool, claim).await?;
    sqlx::query!(
        r#"/* db::quotas::requeue */
        update slots set granted_at = null where quota = $1 and operation_id = $2 and item = $3"#,
        slot.quota.as_str(),
        claim.operation_id.as_uuid(),
        slot.item,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        r#"/* db::quotas::requeue */
        insert into shared_polls (quota) values ($1) on conflict (quota) do update set counted_at = null"#,
        slot.quota.as_str(),
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Records the AWS request id of the work that occupies the slot, and the step that waits for the end of the work.
/// Reschedules the next shared poll.
pub async fn note_request(
    pool: &PgPool,
    claim: &Claim,
    slot: &QuotaSlot,
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
        on conflict (quota) do update set next_at = least(coalesce(shared_polls.next_at, excluded.next_at),
            excluded.next_at)"#,
        slot.quota.as_str(),
        claim.operation_id.as_uuid(),
        slot.item,
        request_id,
        waits.as_str(),
        now,
        claim.fence,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Returns the AWS request ids among `requests` that are not recorded for another slot.
pub async fn unclaimed(pool: &PgPool, claim: &Claim, slot: &QuotaSlot, requests: &[String]) -> Result<Vec<String>> {
    let unclaimed = sqlx::query_scalar!(
        r#"/* db::quotas::unclaimed */
        select request as "request!" from unnest($4::text[]) request
        where not exists (
            select from slots where quota = $1 and request_id = request and (operation_id, item) <> ($2, $3)
        )"#,
        slot.quota.as_str(),
        claim.operation_id.as_uuid(),
        slot.item,
        requests,
    );
    Ok(unclaimed.fetch_all(pool).await?)
}

/// Releases a slot. The caller must have locked the operation.
pub(super) async fn release(tx: &mut PgConnection, operation: OperationId, slot: &QuotaSlot) -> Result<()> {
    sqlx::query!(
        "/* db::quotas::release */ delete from slots where quota = $1 and operation_id = $2 and item = $3",
        slot.quota.as_str(),
        operation.as_uuid(),
        slot.item,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Releases all slots of the parked step `step` under `quota` and removes it from the queue. The caller must have
/// locked the operation.
pub(super) async fn release_all(
    tx: &mut PgConnection,
    operation: OperationId,
    quota: Quota,
    step: StepName,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::quotas::release_all */
        delete from slots where quota = $1 and operation_id = $2
            -- The steps of an operation that share another quota wait for the same work.
            and (step = $3 or quota <> 'region-opt-ins')"#,
        quota.as_str(),
        operation.as_uuid(),
        step.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Wakes one queued operation per free slot, in the order of the queue, each at the time of its rate token. Returns the
/// number of operations that are now due earlier than before.
pub async fn wake_queue(
    pool: &PgPool,
    quota: Quota,
    limit: u16,
    call_rate: Option<&CallRate>,
    now: DateTime<Utc>,
) -> Result<u64> {
    let (first, spacing) = match call_rate {
        Some(call_rate) => {
            let tokens = rates::available_tokens(pool, call_rate, now).await?;
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
            limit greatest(0, $2 - (select count(*) from slots where quota = $1 and granted_at is not null
                and ended_at is null)
                - coalesce((select external_in_progress from shared_polls where quota = $1), 0))
        ),
        next as (
            select operation_id, step, min($3::timestamptz + ahead * $4::interval) as at
            from first_in_line group by operation_id, step
        ),
        held as materialized (
            -- Lock order: operations before steps, by id. A locked operation is skipped: its worker polls by itself.
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
