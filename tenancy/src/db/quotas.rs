//! What AWS allows one organisation, shared by all workers: places and rates.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::operations::{Claim, fenced};
use super::{PgPool, Result};
use crate::OperationId;

/// A place under a quota that allows so many at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which quota.
    pub quota: &'static str,
    /// Which step waits for it.
    pub step: &'static str,
    /// Which of several places of one operation; empty where it only ever needs one.
    pub item: String,
}

/// The answer to who asks for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// It has one.
    Granted,
    /// It waits; so many are in line before it.
    Waiting {
        /// How many are in line before it.
        ahead: i64,
    },
}

/// Asks for a place: granted while fewer than `limit` are taken, first come, first served.
pub async fn ask(pool: &PgPool, claim: &Claim, place: &Place, limit: u16, now: DateTime<Utc>) -> Result<Line> {
    let mut tx = fenced(pool, claim).await?;
    sqlx::query!("/* db::quotas::ask */ select pg_advisory_xact_lock(hashtextextended($1, 0))", place.quota)
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        r#"/* db::quotas::ask */
        insert into slots (quota, operation_id, item, requested_at, step) values ($1, $2, $3, $4, $5)
        on conflict do nothing"#,
        place.quota,
        claim.operation_id.as_uuid(),
        place.item,
        now,
        place.step,
    )
    .execute(&mut *tx)
    .await?;
    let row = sqlx::query!(
        r#"/* db::quotas::ask */
        select mine.granted_at is not null as "granted!",
            (select count(*) from slots where quota = $1 and granted_at is not null) as "taken!",
            (select count(*) from slots ahead where ahead.quota = $1 and ahead.granted_at is null
                and (ahead.requested_at, ahead.operation_id, ahead.item)
                    < (mine.requested_at, mine.operation_id, mine.item)) as "ahead!"
        from slots mine where mine.quota = $1 and mine.operation_id = $2 and mine.item = $3"#,
        place.quota,
        claim.operation_id.as_uuid(),
        place.item,
    )
    .fetch_one(&mut *tx)
    .await?;
    let line = if row.granted {
        Line::Granted
    } else if row.taken + row.ahead < i64::from(limit) {
        sqlx::query!(
            r#"/* db::quotas::ask */
            update slots set granted_at = $4 where quota = $1 and operation_id = $2 and item = $3"#,
            place.quota,
            claim.operation_id.as_uuid(),
            place.item,
            now,
        )
        .execute(&mut *tx)
        .await?;
        Line::Granted
    } else {
        Line::Waiting { ahead: row.ahead }
    };
    tx.commit().await?;
    Ok(line)
}

/// Gives a place back; within a transaction that holds the operation's row.
pub(super) async fn give_back(tx: &mut PgConnection, operation: OperationId, place: &Place) -> Result<()> {
    sqlx::query!(
        "/* db::quotas::give_back */ delete from slots where quota = $1 and operation_id = $2 and item = $3",
        place.quota,
        operation.as_uuid(),
        place.item,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives back whatever the operation has under `quota`, places in line included; within a transaction that holds the
/// operation's row.
pub(super) async fn give_all_back(tx: &mut PgConnection, operation: OperationId, quota: &str) -> Result<()> {
    sqlx::query!(
        "/* db::quotas::give_all_back */ delete from slots where quota = $1 and operation_id = $2",
        quota,
        operation.as_uuid(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Wakes those first in line for the places that are free, and answers how many those are.
pub async fn wake_line(pool: &PgPool, quota: &str, limit: u16, now: DateTime<Utc>) -> Result<u64> {
    let woken = sqlx::query!(
        r#"/* db::quotas::wake_line */
        with next as (
            select distinct operation_id, step from (
                select operation_id, step from slots where quota = $1 and granted_at is null
                order by requested_at, operation_id, item
                limit greatest(0, $2 - (select count(*) from slots where quota = $1 and granted_at is not null))
            ) first_in_line
        ),
        step as (
            update operation_steps s set check_at = $3 from next
            where s.operation_id = next.operation_id and s.name = next.step and s.state = 'waiting' and s.check_at > $3
        )
        update operations o set wake_at = $3 from next where o.id = next.operation_id and o.wake_at > $3"#,
        quota,
        i64::from(limit),
        now,
    )
    .execute(pool)
    .await?;
    Ok(woken.rows_affected())
}

/// Takes a token from the bucket of `api`, or answers when there will be one.
///
/// The generic cell rate algorithm: a bucket is one time, at which it would be full again.
pub async fn take_token(
    pool: &PgPool,
    api: &str,
    interval: TimeDelta,
    burst: u32,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let capacity = interval * i32::try_from(burst).unwrap_or(i32::MAX);
    let taken = sqlx::query_scalar!(
        r#"/* db::quotas::take_token */
        insert into rates (api, next_at) values ($1, $2) on conflict (api) do update
        set next_at = greatest(rates.next_at, $3) + ($2 - $3)
        where greatest(rates.next_at, $3) + ($2 - $3) <= $4
        returning next_at"#,
        api,
        now + interval,
        now,
        now + capacity,
    )
    .fetch_optional(pool)
    .await?;
    if taken.is_some() {
        return Ok(None);
    }
    let full_at = sqlx::query_scalar!("/* db::quotas::take_token */ select next_at from rates where api = $1", api)
        .fetch_one(pool)
        .await?;
    Ok(Some(full_at + interval - capacity))
}

/// Empties the bucket of `api`: AWS has throttled a call that we thought was free.
pub async fn empty_bucket(pool: &PgPool, api: &str, interval: TimeDelta, burst: u32, now: DateTime<Utc>) -> Result<()> {
    let capacity = interval * i32::try_from(burst).unwrap_or(i32::MAX);
    sqlx::query!(
        r#"/* db::quotas::empty_bucket */
        insert into rates (api, next_at) values ($1, $2) on conflict (api) do update
        set next_at = greatest(rates.next_at, $2)"#,
        api,
        now + capacity,
    )
    .execute(pool)
    .await?;
    Ok(())
}
