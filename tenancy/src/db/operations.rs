//! Claims operations, extends and releases claims, and reads operations.

mod read;

use chrono::{DateTime, TimeDelta, Utc};

use super::fence::Claim;
use super::{DbError, PgPool, Result};

pub use read::{OperationFilter, OperationProperties, counts, get, list, subject, tenant_of};

/// Claims at most `limit` due operations for the duration `lease`, longest overdue first. Updates come last.
pub async fn claim(
    pool: &PgPool,
    worker: &str,
    now: DateTime<Utc>,
    lease: TimeDelta,
    limit: i64,
) -> Result<Vec<Claim>> {
    claim_with_affinity(pool, worker, now, now, lease, limit).await
}

/// Claims operations like [`claim`], but skips operations that another worker has run before, because that worker
/// already has AWS sessions in their accounts. Operations that became due at or before `any_worker_since` can be
/// claimed by any worker.
pub async fn claim_with_affinity(
    pool: &PgPool,
    worker: &str,
    now: DateTime<Utc>,
    any_worker_since: DateTime<Utc>,
    lease: TimeDelta,
    limit: i64,
) -> Result<Vec<Claim>> {
    let rows = sqlx::query!(
        r#"/* db::operations::claim */
        with first as (
            select id, state from operations
            where wake_at <= $1 and (lease_until is null or lease_until <= $1) and kind <> 'update'
                and (wake_at <= $5 or lease_until is not null or leased_by is null or leased_by = $4)
            order by wake_at, id limit $2
            for no key update skip locked
        ),
        -- A rollout starts many updates at once, which must not delay a signup.
        updates as (
            select id, state from operations
            where wake_at <= $1 and (lease_until is null or lease_until <= $1) and kind = 'update'
                and (wake_at <= $5 or lease_until is not null or leased_by is null or leased_by = $4)
            order by wake_at, id limit $2 - (select count(*) from first)
            for no key update skip locked
        ),
        due as (select id, state from first union all select id, state from updates)
        update operations o set
            -- Should the worker die, the operation is due when the lease is over.
            fence = o.fence + 1, lease_until = $3, wake_at = $3, leased_by = $4, updated_at = $1,
            started_at = coalesce(o.started_at, $1),
            state = case when o.state = 'pending' then 'running' else o.state end
        from due where o.id = due.id
        returning o.id, o.fence, due.state = 'pending' as "first!""#,
        now,
        limit,
        now + lease,
        worker,
        any_worker_since,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| Claim { operation_id: row.id.into(), fence: row.fence, first: row.first }).collect())
}

/// Extends the lease of a claim. Does not extend a claim that was released in the meantime.
pub async fn prolong(pool: &PgPool, claim: &Claim, until: DateTime<Utc>) -> Result<()> {
    let done = sqlx::query!(
        r#"/* db::operations::prolong */
        update operations set
            lease_until = case when lease_until is not null then $3::timestamptz end,
            wake_at = case when wake_at = lease_until then $3 else wake_at end
        where id = $1 and fence = $2"#,
        claim.operation_id.as_uuid(),
        claim.fence,
        until,
    )
    .execute(pool)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(DbError::LeaseLost) }
}

/// Due times of the next work that no worker has claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextWork {
    pub operation: Option<DateTime<Utc>>,
    /// Time at which the next shared poll is due.
    pub look: Option<DateTime<Utc>>,
    /// Whether webhook endpoints exist. The delivery loop finds the due deliveries itself.
    pub webhooks: bool,
}

/// Returns the times at which the next operation and the next shared poll are due.
pub async fn next_due(pool: &PgPool) -> Result<NextWork> {
    let due = sqlx::query_as!(
        NextWork,
        r#"/* db::operations::next_due */
        select
            (select min(greatest(wake_at, coalesce(lease_until, wake_at))) from operations where wake_at is not null)
                as operation,
            (select min(greatest(next_at, lease_until)) from shared_polls where next_at is not null) as look,
            exists (select from webhook_endpoints) as "webhooks!""#
    );
    Ok(due.fetch_one(pool).await?)
}

/// Returns the time at which the next operation or shared poll is due.
pub async fn next_wake(pool: &PgPool) -> Result<Option<DateTime<Utc>>> {
    let due = next_due(pool).await?;
    Ok([due.operation, due.look].into_iter().flatten().min())
}

/// Releases a claim. The operation is due again at `wake_at`. If `wake_at` is `None`, it is due only after a person
/// acts.
pub async fn release(pool: &PgPool, claim: &Claim, wake_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<()> {
    let done = sqlx::query!(
        r#"/* db::operations::release */
        update operations set lease_until = null, updated_at = $3,
            -- A wake-up that came while it was worked on is not slept through.
            wake_at = case when wake_at < lease_until then least(wake_at, $2) else $2 end
        where id = $1 and fence = $4"#,
        claim.operation_id.as_uuid(),
        wake_at,
        now,
        claim.fence,
    )
    .execute(pool)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(DbError::LeaseLost) }
}
