//! Counts the accounts that each client requests in 24 hours, and refuses requests above the limit.
//!
//! The accepted environments of all routes count. A request counts in the transaction that accepts it, under the lock
//! of the client's row, so that concurrent requests cannot exceed the limit together.

use std::num::NonZeroU32;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::{PgPool, Result};
use crate::TenantId;

/// Maximum number of accounts that the tokens of one tenant can request in 24 hours. One tenant cannot use up more than
/// half of the limit of its client, so the maximum is lower if that limit is low.
const MAXIMUM_PER_TENANT: u32 = 20;

/// Daily limit of accounts of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLimit<'a> {
    pub issuer: &'a str,
    pub client: &'a str,
    /// Tenant of a token that can access only this tenant.
    pub tenant: Option<TenantId>,
    pub maximum: NonZeroU32,
}

/// Refusal of a request that would exceed a daily limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitReached {
    pub maximum: u32,
    /// Number of accounts that the request needs.
    pub requested: usize,
    /// Number of accounts that the caller can still request now.
    pub remaining: usize,
    /// Time from which the same request can be accepted; `None` if it exceeds the limit by itself.
    pub until: Option<DateTime<Utc>>,
}

/// Counter of one client, or of the tokens of one tenant.
struct Counter<'a> {
    issuer: &'a str,
    client: &'a str,
    tenant: String,
    maximum: u32,
}

impl AccountLimit<'_> {
    /// Returns the counters of a request. All requests lock them in this order.
    fn counters(&self) -> Vec<Counter<'_>> {
        let counter = |client, tenant, maximum| Counter { issuer: self.issuer, client, tenant, maximum };
        let maximum = self.maximum.get();
        let mut counters = vec![counter(self.client, String::new(), maximum)];
        // All clients and users of the tenant share its counter.
        let of_tenant = (maximum / 2).clamp(1, MAXIMUM_PER_TENANT);
        counters.extend(self.tenant.map(|tenant| counter("", tenant.to_string(), of_tenant)));
        counters
    }
}

/// Counts one account. Returns the refusal if a limit is reached; the caller must then roll back the transaction.
pub(super) async fn take_one(
    tx: &mut PgConnection,
    limit: &AccountLimit<'_>,
    now: DateTime<Utc>,
) -> Result<Option<LimitReached>> {
    for counter in limit.counters() {
        let counted = sqlx::query!(
            r#"/* db::account_limit::take_one */
            insert into accepted_accounts as counter (issuer, client, tenant, accepted_at)
            values ($1, $2, $3, array[$4::timestamptz])
            on conflict (issuer, client, tenant) do update set accepted_at = array(
                select at from unnest(counter.accepted_at) as at where at > $4 - interval '1 day'
            ) || excluded.accepted_at
            where (select count(*) from unnest(counter.accepted_at) as at where at > $4 - interval '1 day') < $5"#,
            counter.issuer,
            counter.client,
            counter.tenant,
            now,
            i64::from(counter.maximum),
        );
        if counted.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(Some(counter.refusal(1, &counter.accepted(&mut *tx, now).await?)));
        }
    }
    Ok(None)
}

/// Returns the refusal of a request for `requested` accounts, or `None` if it would be accepted now.
pub async fn check(
    pool: &PgPool,
    limit: &AccountLimit<'_>,
    requested: usize,
    now: DateTime<Utc>,
) -> Result<Option<LimitReached>> {
    for counter in limit.counters() {
        let accepted = counter.accepted(pool, now).await?;
        if accepted.len() + requested > usize::try_from(counter.maximum).unwrap_or(usize::MAX) {
            return Ok(Some(counter.refusal(requested, &accepted)));
        }
    }
    Ok(None)
}

/// Deletes the counters without an account in the last 24 hours.
pub async fn delete_expired(pool: &PgPool, now: DateTime<Utc>) -> Result<u64> {
    let deleted = sqlx::query!(
        r#"/* db::account_limit::delete_expired */
        delete from accepted_accounts where $1 >= all (accepted_at)"#,
        now - TimeDelta::days(1),
    );
    Ok(deleted.execute(pool).await?.rows_affected())
}

impl Counter<'_> {
    /// Returns the times of the accounts of the last 24 hours, oldest first.
    async fn accepted(&self, executor: impl PgExecutor<'_>, now: DateTime<Utc>) -> Result<Vec<DateTime<Utc>>> {
        let times = sqlx::query_scalar!(
            r#"/* db::account_limit::accepted */
            select at as "at!" from accepted_accounts, unnest(accepted_at) as at
            where issuer = $1 and client = $2 and tenant = $3 and at > $4::timestamptz - interval '1 day' order by at"#,
            self.issuer,
            self.client,
            self.tenant,
            now,
        );
        Ok(times.fetch_all(executor).await?)
    }

    fn refusal(&self, requested: usize, accepted: &[DateTime<Utc>]) -> LimitReached {
        let remaining = usize::try_from(self.maximum).unwrap_or(usize::MAX).saturating_sub(accepted.len());
        // The request is possible when the missing number of the oldest accounts is older than a day.
        let missing = requested.saturating_sub(remaining).checked_sub(1);
        let until = missing.and_then(|index| accepted.get(index)).map(|at| *at + TimeDelta::days(1));
        LimitReached { maximum: self.maximum, requested, remaining, until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_rest_and_the_time_of_the_next_attempt() {
        let at = |hour: i64| DateTime::UNIX_EPOCH + TimeDelta::hours(hour);
        let counter = Counter { issuer: "i", client: "c", tenant: String::new(), maximum: 5 };
        let accepted = [at(1), at(2), at(3)];
        let refusal = |requested| {
            let LimitReached { remaining, until, .. } = counter.refusal(requested, &accepted);
            (remaining, until)
        };
        assert_eq!(refusal(3), (2, Some(at(25))), "one must expire");
        assert_eq!(refusal(5), (2, Some(at(27))), "all must expire");
        assert_eq!(refusal(6), (2, None), "never");
        assert_eq!(counter.refusal(1, &[at(0); 7]).remaining, 0, "the limit was lowered");
    }
}
