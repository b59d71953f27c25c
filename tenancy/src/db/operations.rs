//! Claiming operations, and carrying them on.

mod read;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{Postgres, Transaction};

use super::{DbError, PgPool, Result, events, offboarding};
use crate::OperationId;
use crate::environment::EnvironmentState;
use crate::event::{EventType, NewEvent};
use crate::operation::OperationKind;

pub(super) use read::requester;
pub use read::{OperationFilter, Subject, counts, get, list, subject, tenant_of};

/// A claimed operation: every write on its behalf is refused once somebody else has claimed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The operation.
    pub operation_id: OperationId,
    /// Its fence at the time of the claim.
    pub fence: i64,
    /// Whether no worker had looked at it before.
    pub first: bool,
}

/// Claims at most `limit` operations that are due, those first that have been due longest, for `lease`.
pub async fn claim(
    pool: &PgPool,
    worker: &str,
    now: DateTime<Utc>,
    lease: TimeDelta,
    limit: i64,
) -> Result<Vec<Claim>> {
    claim_with_affinity(pool, worker, now, now, lease, limit).await
}

/// Claims likewise, but leaves to other workers what they had before, unless that was due by `left_since`: whoever had an
/// operation has sessions in its account.
pub async fn claim_with_affinity(
    pool: &PgPool,
    worker: &str,
    now: DateTime<Utc>,
    left_since: DateTime<Utc>,
    lease: TimeDelta,
    limit: i64,
) -> Result<Vec<Claim>> {
    let rows = sqlx::query!(
        r#"/* db::operations::claim */
        with due as (
            select id, state from operations
            where wake_at <= $1 and (lease_until is null or lease_until <= $1)
                and (wake_at <= $5 or lease_until is not null or leased_by is null or leased_by = $4)
            order by wake_at, id limit $2
            for no key update skip locked
        )
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
        left_since,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| Claim { operation_id: row.id.into(), fence: row.fence, first: row.first }).collect())
}

/// Prolongs the lease of a claim; one that has been released in this very moment stays released.
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

/// What is due next, of what nobody works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextWork {
    /// An operation.
    pub operation: Option<DateTime<Utc>>,
    /// A look that serves several of them.
    pub look: Option<DateTime<Utc>>,
    /// Whether there are webhook endpoints, which have a look of their own.
    pub webhooks: bool,
}

/// When the next operation, and the next look for several of them, is due.
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

/// When the next of either is due.
pub async fn next_wake(pool: &PgPool) -> Result<Option<DateTime<Utc>>> {
    let due = next_due(pool).await?;
    Ok([due.operation, due.look].into_iter().flatten().min())
}

/// Begins a transaction in which the claim is known to hold, and keeps holding until it ends.
pub(super) async fn begin_fenced(pool: &PgPool, claim: &Claim) -> Result<Transaction<'static, Postgres>> {
    let mut tx = pool.begin().await?;
    let held = sqlx::query_scalar!(
        "/* db::operations::begin_fenced */ select 1 from operations where id = $1 and fence = $2 for no key update",
        claim.operation_id.as_uuid(),
        claim.fence,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if held.is_some() { Ok(tx) } else { Err(DbError::LeaseLost) }
}

/// Lets go of a claim until `wake_at`; `None` lets the operation sleep until a person wakes it.
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

/// Ends an operation well, with everything that follows for its environment, in one transaction.
pub async fn succeed(pool: &PgPool, claim: &Claim, now: DateTime<Utc>) -> Result<()> {
    let mut tx = begin_fenced(pool, claim).await?;
    let kind = sqlx::query_scalar!(
        r#"/* db::operations::succeed */ select kind as "kind: OperationKind" from operations where id = $1"#,
        claim.operation_id.as_uuid(),
    )
    .fetch_one(&mut *tx)
    .await?;
    let achieved = kind.state_when_done();
    let mut news = Vec::new();
    if achieved == EnvironmentState::Offboarded {
        news.extend(offboarding::release_accounts(&mut tx, claim.operation_id, now).await?);
    } else {
        news.push(NewEvent { event_type: EventType::EnvironmentReady, data: json!({}) });
    }
    news.push(NewEvent { event_type: EventType::OperationSucceeded, data: json!({}) });
    events::append(&mut tx, claim.operation_id, &news, now).await?;
    sqlx::query!(
        r#"/* db::operations::succeed */
        with operation as (
            update operations set state = 'succeeded', finished_at = $2, updated_at = $2, wake_at = null,
                lease_until = null, leased_by = null,
                attention_code = null, attention_message = null, attention_remedies = null
            where id = $1 returning environment_id
        )
        update environments e set state = $3, updated_at = $2,
            ready_at = case when $3 = 'ready' then coalesce(ready_at, $2) else ready_at end,
            offboarded_at = case when $3 = 'offboarded' then $2::timestamptz end
        from operation where e.id = operation.environment_id"#,
        claim.operation_id.as_uuid(),
        now,
        achieved.as_str(),
    )
    .execute(&mut *tx)
    .await?;
    if achieved == EnvironmentState::Offboarded {
        offboarding::close_tenant(&mut tx, claim.operation_id, now).await?;
    }
    tx.commit().await?;
    Ok(())
}
