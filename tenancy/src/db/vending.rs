//! Stores the pause of vending, and compares the number of accounts with the configured maximum.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::{PgPool, Result};
use crate::OperationId;
use crate::operation::Requester;
use crate::quota::Quota;
use crate::vending::{AccountCeilings, VendingPause, VendingStatus, VendingStop};

/// Pauses vending. If vending is paused already, only the reason changes. Returns the reason before, or `None` if
/// vending was not paused.
pub async fn pause(pool: &PgPool, reason: &str, by: &Requester, now: DateTime<Utc>) -> Result<Option<String>> {
    let before = sqlx::query_scalar!(
        r#"/* db::vending::pause */
        with before as (select reason from vending_pause),
        paused as (
            insert into vending_pause (reason, paused_by, paused_at) values ($1, $2, $3)
            on conflict (singleton) do update set reason = excluded.reason, paused_by = excluded.paused_by
        )
        select reason from before"#,
        reason,
        Json(by) as _,
        now,
    );
    Ok(before.fetch_optional(pool).await?)
}

/// Ends the pause of vending. Returns its reason, or `None` if vending was not paused.
pub async fn resume(pool: &PgPool) -> Result<Option<String>> {
    let deleted =
        sqlx::query_scalar!(r#"/* db::vending::resume */ delete from vending_pause returning reason as "reason!""#);
    Ok(deleted.fetch_optional(pool).await?)
}

/// Returns the reason why no account may be requested now. The account of operation `except` is not counted.
pub(super) async fn stop_reason(
    connection: &mut PgConnection,
    ceilings: AccountCeilings,
    except: Option<OperationId>,
    now: DateTime<Utc>,
) -> Result<Option<VendingStop>> {
    if let Some(pause) = read_pause(connection).await? {
        return Ok(Some(VendingStop::Paused { reason: pause.reason }));
    }
    if let Some(maximum) = ceilings.total
        && count_accounts(connection, except).await? >= i64::from(maximum.get())
    {
        return Ok(Some(VendingStop::CeilingReached { maximum }));
    }
    if let Some(maximum) = ceilings.per_day {
        let starts = creations_of_last_day(connection, except, now).await?;
        let limit = usize::try_from(maximum.get()).unwrap_or(usize::MAX);
        if let Some(oldest) = starts.len().checked_sub(limit).and_then(|index| starts.get(index)) {
            return Ok(Some(VendingStop::DailyCeilingReached { maximum, until: *oldest + TimeDelta::days(1) }));
        }
    }
    Ok(None)
}

/// Returns the state of vending.
pub async fn status(pool: &PgPool, ceilings: AccountCeilings, now: DateTime<Utc>) -> Result<VendingStatus> {
    let mut connection = pool.acquire().await?;
    let waiting = sqlx::query_scalar!(
        r#"/* db::vending::status */
        select count(distinct operation_id) as "count!" from slots where quota = $1 and granted_at is null"#,
        Quota::AccountCreations.as_str(),
    );
    let waiting = waiting.fetch_one(&mut *connection).await?;
    let starts = creations_of_last_day(&mut connection, None, now).await?;
    Ok(VendingStatus {
        pause: read_pause(&mut connection).await?,
        stop: stop_reason(&mut connection, ceilings, None, now).await?,
        accounts: count_accounts(&mut connection, None).await?,
        accounts_last_day: i64::try_from(starts.len()).unwrap_or(i64::MAX),
        waiting,
    })
}

async fn read_pause(connection: &mut PgConnection) -> Result<Option<VendingPause>> {
    let row = sqlx::query!(
        r#"/* db::vending::read_pause */
        select reason, paused_by as "paused_by: Json<Requester>", paused_at
        from vending_pause"#
    );
    let Some(row) = row.fetch_optional(connection).await? else { return Ok(None) };
    let Json(paused_by) = row.paused_by;
    Ok(Some(VendingPause { reason: row.reason, paused_by, paused_at: row.paused_at }))
}

/// Returns the number of accounts that exist or are being created. An account exists until AWS has closed it, even if
/// its environment is offboarded.
async fn count_accounts(connection: &mut PgConnection, except: Option<OperationId>) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"/* db::vending::count_accounts */
        select (
            select count(distinct m.aws_account_id) from account_mappings m
            where m.valid_to is null or not exists (
                select from operations o left join operation_steps s on s.operation_id = o.id
                where o.environment_id = m.environment_id and o.kind = 'offboard'
                    and (o.input ? 'account_closed' or s.name = 'await-closure' and s.facts ? 'took_seconds'))
        ) + (
            select count(*) from slots
            where quota = $1 and granted_at is not null and operation_id is distinct from $2
        ) as "count!""#,
        Quota::AccountCreations.as_str(),
        except.map(OperationId::as_uuid),
    );
    Ok(count.fetch_one(connection).await?)
}

/// Returns the times at which the creations of the last 24 hours started, oldest first. The start of a finished
/// creation is the start of the account mapping.
pub(super) async fn creations_of_last_day(
    connection: &mut PgConnection,
    except: Option<OperationId>,
    now: DateTime<Utc>,
) -> Result<Vec<DateTime<Utc>>> {
    let starts = sqlx::query_scalar!(
        r#"/* db::vending::creations_of_last_day */
        select at as "at!" from (
            select min(valid_from) as at from account_mappings group by aws_account_id
            having min(valid_from) > $1
            union all
            select granted_at from slots
            where quota = $2 and granted_at > $1 and operation_id is distinct from $3
        ) starts order by at"#,
        now - TimeDelta::days(1),
        Quota::AccountCreations.as_str(),
        except.map(OperationId::as_uuid) as Option<Uuid>,
    );
    Ok(starts.fetch_all(connection).await?)
}
