//! Reads past and planned account closures, which count against AWS's limit of closures in 30 days.

use chrono::{DateTime, Utc};

use super::{PgPool, Result};
use crate::OperationId;

/// Returns the times at which account closures were requested after `since`, oldest first.
pub async fn since(pool: &PgPool, since: DateTime<Utc>) -> Result<Vec<DateTime<Utc>>> {
    let times = sqlx::query_scalar!(
        r#"/* db::closures::since */
        select intent_at as "at!" from operation_steps
        where name = 'close-account' and intent_at is not null and intent_at > $1 order by intent_at"#,
        since,
    );
    Ok(times.fetch_all(pool).await?)
}

/// Returns the number of earlier offboardings that will close an account but have not yet requested the closure.
pub async fn ahead(pool: &PgPool, id: OperationId) -> Result<i64> {
    let ahead = sqlx::query_scalar!(
        r#"/* db::closures::ahead */
        select count(*) as "ahead!" from operations o
        where o.kind = 'offboard' and o.finished_at is null and o.id < $1 and o.input @> '{"close_account": true}'
          and not exists (
              select from operation_steps s
              where s.operation_id = o.id and s.name = 'close-account' and s.intent_at is not null)"#,
        id.as_uuid(),
    );
    Ok(ahead.fetch_one(pool).await?)
}

/// Returns the number of AWS accounts that are currently mapped to environments.
pub async fn count_mapped_accounts(pool: &PgPool) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"/* db::closures::count_mapped_accounts */
        select count(*) as "count!" from account_mappings where valid_to is null"#
    );
    Ok(count.fetch_one(pool).await?)
}
