//! Stores shared polls: one List call reports the requests in progress under a quota to all operations that wait for
//! them, in all workers.

use chrono::{DateTime, TimeDelta, Utc};

use super::{PgPool, Result};
use crate::OperationId;
use crate::quota::Quota;

/// Request in progress at AWS that an operation waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct InProgress {
    pub operation_id: OperationId,
    /// Item that distinguishes several slots of one operation; empty if the operation has only one slot.
    pub item: String,
    /// Time at which the slot of the request was granted.
    pub since: DateTime<Utc>,
    /// Time of the last poll that found the request in progress.
    pub seen: DateTime<Utc>,
    /// Number of times that the operation had to poll individually.
    pub individual_polls: i16,
}

/// Current usage of an AWS quota.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaUsage {
    pub in_progress: Vec<InProgress>,
    /// Number of operations that are queued for a slot.
    pub in_line: i64,
    /// Number of slots in use by Freehold and by other programs in the organisation.
    pub taken: i64,
    /// Number of slots in use by other programs in the organisation.
    pub external_in_progress: i64,
}

/// Claims all due polls for the duration `lease`, so that no other worker runs them.
pub async fn claim_due(pool: &PgPool, now: DateTime<Utc>, lease: TimeDelta) -> Result<Vec<Quota>> {
    let rows = sqlx::query_scalar!(
        r#"/* db::shared_polls::claim_due */
        update shared_polls set lease_until = $2
        where next_at <= $1 and (lease_until is null or lease_until <= $1) returning quota"#,
        now,
        now + lease,
    )
    .fetch_all(pool)
    .await?;
    // A quota that only a newer release defines is polled by the workers of that release.
    Ok(rows.iter().filter_map(|quota| quota.parse().ok()).collect())
}

/// Gives the caller the exclusive right to count the requests in progress, for the duration `lease`. Returns false if
/// the last count was made at or after `since`, or if another worker is counting.
pub async fn claim_count(
    pool: &PgPool,
    quota: Quota,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    lease: TimeDelta,
) -> Result<bool> {
    let claimed = sqlx::query!(
        r#"/* db::shared_polls::claim_count */
        insert into shared_polls as l (quota, lease_until) values ($1, $4) on conflict (quota) do update
            set lease_until = $4
        where (l.counted_at is null or l.counted_at < $2) and (l.lease_until is null or l.lease_until <= $3)"#,
        quota.as_str(),
        since,
        now,
        now + lease,
    )
    .execute(pool)
    .await?;
    Ok(claimed.rows_affected() == 1)
}

/// Returns the current usage of `quota`, as recorded in the database.
pub async fn usage(pool: &PgPool, quota: Quota) -> Result<QuotaUsage> {
    let in_progress = sqlx::query!(
        r#"/* db::shared_polls::usage */
        select operation_id, item, granted_at as "since!", coalesce(polled_at, granted_at) as "seen!", individual_polls
        from slots where quota = $1 and granted_at is not null and ended_at is null and request_id is not null
        order by granted_at, operation_id, item"#,
        quota.as_str(),
    )
    .fetch_all(pool)
    .await?;
    let row = sqlx::query!(
        r#"/* db::shared_polls::usage */
        select (select count(*) from slots where quota = $1 and granted_at is null) as "in_line!",
            (select count(*) from slots where quota = $1 and granted_at is not null and ended_at is null) as "taken!",
            coalesce((select external_in_progress from shared_polls where quota = $1),
                0)::bigint as "external_in_progress!""#,
        quota.as_str(),
    )
    .fetch_one(pool)
    .await?;
    let in_progress = in_progress.into_iter().map(|row| InProgress {
        operation_id: row.operation_id.into(),
        item: row.item,
        since: row.since,
        seen: row.seen,
        individual_polls: row.individual_polls,
    });
    Ok(QuotaUsage {
        in_progress: in_progress.collect(),
        in_line: row.in_line,
        taken: row.taken + row.external_in_progress,
        external_in_progress: row.external_in_progress,
    })
}

/// Records the requests that AWS has in progress under `quota`. A request of Freehold that is no longer among
/// `requests` frees its slot, and its operation polls immediately. Requests that Freehold did not make are recorded as
/// slots of other programs in the organisation. Returns the number of operations woken.
pub async fn record_usage(pool: &PgPool, quota: Quota, requests: &[String], now: DateTime<Utc>) -> Result<u64> {
    let mut tx = pool.begin().await?;
    sqlx::query!(
        "/* db::shared_polls::record_usage */ select pg_advisory_xact_lock(hashtextextended($1, 0))",
        quota.as_str()
    )
    .execute(&mut *tx)
    .await?;
    let woken = sqlx::query!(
        r#"/* db::shared_polls::record_usage */
        with known as (
            update slots set
                -- Work that was requested while the list was read may be missing from it.
                ended_at = case when request_id <> all ($2) and polled_at < $3 then $3::timestamptz end,
                polled_at = case when request_id = any ($2) then $3 else polled_at end
            where quota = $1 and request_id is not null and ended_at is null
            returning operation_id, step, request_id, ended_at
        ),
        counted as (
            insert into shared_polls as l (quota, counted_at, external_in_progress)
            select $1, $3, greatest(0, cardinality($2::text[]) - (select count(*) from known
                where request_id = any ($2))
                -- One that was granted and not noted yet may be among them: then it is no stranger.
                - (select count(*) from slots where quota = $1 and granted_at is not null and request_id is null))
            on conflict (quota) do update set counted_at = $3, external_in_progress = excluded.external_in_progress,
                lease_until = null
        ),
        held as materialized (
            -- Lock order: operations before steps, by id. A locked operation is skipped: its worker polls by itself.
            select o.id, ended.step from (select distinct operation_id, step from known
                where ended_at is not null) ended
            join operations o on o.id = ended.operation_id order by o.id for no key update of o skip locked
        ),
        told as (
            update operation_steps s set check_at = $3 from held
            where s.operation_id = held.id and s.name = held.step and s.state = 'waiting' and s.check_at > $3
        )
        update operations o set wake_at = $3 from held where o.id = held.id and o.wake_at > $3"#,
        quota.as_str(),
        requests,
        now,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(woken.rows_affected())
}

/// Makes the operations that wait for `requests` poll individually now, and records the individual poll for each
/// request.
pub async fn request_individual_poll(
    pool: &PgPool,
    quota: Quota,
    requests: &[&InProgress],
    now: DateTime<Utc>,
) -> Result<()> {
    let operations: Vec<_> = requests.iter().map(|one| one.operation_id.as_uuid()).collect();
    let items: Vec<String> = requests.iter().map(|one| one.item.clone()).collect();
    sqlx::query!(
        r#"/* db::shared_polls::request_individual_poll */
        with looking as (
            update slots s set polled_at = $4, individual_polls = least(s.individual_polls + 1, 1000)
            from unnest($2::uuid[], $3::text[]) as told (operation_id, item)
            where s.quota = $1 and s.operation_id = told.operation_id and s.item = told.item
            returning s.operation_id, s.step
        ),
        held as materialized (
            select o.id, looking.step from (select distinct operation_id, step from looking) looking
            join operations o on o.id = looking.operation_id order by o.id for no key update of o skip locked
        ),
        told as (
            update operation_steps s set check_at = $4 from held
            where s.operation_id = held.id and s.name = held.step and s.state = 'waiting' and s.check_at > $4
        )
        update operations o set wake_at = $4 from held where o.id = held.id and o.wake_at > $4"#,
        quota.as_str(),
        &operations,
        &items,
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Releases a claimed poll and schedules the next one at `next_at`, or none if `next_at` is `None`.
pub async fn schedule_next(pool: &PgPool, quota: Quota, next_at: Option<DateTime<Utc>>) -> Result<()> {
    sqlx::query!(
        "/* db::shared_polls::schedule_next */ update shared_polls set next_at = $2, lease_until = null
            where quota = $1",
        quota.as_str(),
        next_at,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Gives up the exclusive right to count the requests in progress, after the count failed, so that another worker can
/// count them.
pub async fn release_count(pool: &PgPool, quota: Quota) -> Result<()> {
    sqlx::query!(
        "/* db::shared_polls::release_count */ update shared_polls set lease_until = null where quota = $1",
        quota.as_str()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Returns the number of slots that other programs in the organisation occupied at the last count.
pub async fn external_usage(pool: &PgPool, quota: Quota) -> Result<i32> {
    let external_in_progress = sqlx::query_scalar!(
        "/* db::shared_polls::external_usage */ select external_in_progress from shared_polls where quota = $1",
        quota.as_str()
    );
    Ok(external_in_progress.fetch_optional(pool).await?.unwrap_or(0))
}
