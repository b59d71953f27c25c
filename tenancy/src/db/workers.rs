//! Stores whether each running worker can call AWS. The workers check this by themselves.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PgPool, Result};
use crate::{Clock, WorkerId};

/// Real time in seconds after which a worker without a check counts as stopped. This time is several times as long as
/// the interval between two checks.
const MAX_CHECK_AGE_SECONDS: f64 = 180.0;

/// Real time in seconds between two checks of a worker whose last check failed.
pub const FAILED_CHECK_INTERVAL_SECONDS: f64 = 15.0;

/// Outage of AWS access: no running worker can call AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsAccessOutage {
    /// Start of the outage: the time at which the last running worker lost its access.
    pub since: DateTime<Utc>,
    /// Reason why that worker cannot call AWS.
    pub error: String,
    /// Time of the next check of that worker.
    pub next_check_at: DateTime<Utc>,
}

/// Change of the AWS access of the fleet that the check of one worker has caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AwsAccessChange {
    None,
    /// No running worker can call AWS any more.
    OutageStarted,
    OutageEnded,
}

/// Records the result of a worker's check at the time `now`. `error` is the reason why the worker cannot call AWS, or
/// `None` if it can. Deletes the rows of workers that died long ago.
pub async fn record_check(
    pool: &PgPool,
    worker: WorkerId,
    name: &str,
    error: Option<&str>,
    now: DateTime<Utc>,
) -> Result<AwsAccessChange> {
    let mut tx = pool.begin().await?;
    // One worker at a time, so that exactly one of them sees the outage start.
    sqlx::query!("/* db::workers::record_check */ lock table workers in share row exclusive mode")
        .execute(&mut *tx)
        .await?;
    let before = find_outage(&mut tx).await?;
    sqlx::query!(
        r#"/* db::workers::record_check */
        with stopped as (delete from workers where checked_at < $5::timestamptz - interval '1 hour' and id <> $1)
        insert into workers (id, name, checked_at, aws_failing_since, aws_error)
        values ($1, $2, $5::timestamptz, case when $3::text is not null then $4::timestamptz end, $3)
        on conflict (id) do update set checked_at = excluded.checked_at, aws_error = excluded.aws_error,
            aws_failing_since = case when excluded.aws_error is not null
                then coalesce(workers.aws_failing_since, excluded.aws_failing_since) end"#,
        worker.as_uuid(),
        name,
        error,
        now,
        Clock::real().now(),
    )
    .execute(&mut *tx)
    .await?;
    let after = find_outage(&mut tx).await?;
    tx.commit().await?;
    Ok(match (before, after) {
        (None, Some(_)) => AwsAccessChange::OutageStarted,
        (Some(_), None) => AwsAccessChange::OutageEnded,
        _ => AwsAccessChange::None,
    })
}

/// Deletes the row of a worker that stops.
pub async fn delete(pool: &PgPool, worker: WorkerId) -> Result<()> {
    sqlx::query!("/* db::workers::delete */ delete from workers where id = $1", worker.as_uuid()).execute(pool).await?;
    Ok(())
}

/// Returns the outage of AWS access; `None` if a running worker can call AWS, or if no worker is running.
pub async fn aws_access_outage(pool: &PgPool) -> Result<Option<AwsAccessOutage>> {
    find_outage(&mut *pool.acquire().await?).await
}

async fn find_outage(connection: &mut PgConnection) -> Result<Option<AwsAccessOutage>> {
    let row = sqlx::query!(
        r#"/* db::workers::find_outage */
        select aws_failing_since, aws_error, checked_at + $2 * interval '1 second' as "next_check_at!"
        from workers where checked_at > $3::timestamptz - $1 * interval '1 second'
        order by aws_failing_since desc nulls first limit 1"#,
        MAX_CHECK_AGE_SECONDS,
        FAILED_CHECK_INTERVAL_SECONDS,
        Clock::real().now(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.and_then(|row| {
        let (since, error) = (row.aws_failing_since?, row.aws_error?);
        Some(AwsAccessOutage { since, error, next_check_at: row.next_check_at })
    }))
}
