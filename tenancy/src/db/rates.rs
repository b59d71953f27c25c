//! Stores the rate limits of AWS calls, which all workers share: token buckets that slow down after a throttled call
//! and recover over time.
//!
//! The generic cell rate algorithm represents a bucket by the time at which it would be full again. A throttled call
//! empties the bucket and doubles the interval between calls, up to [`MAX_SPACING_SECONDS`]. The capacity of the bucket
//! is then one call, or the number of calls that a step makes in a row.
//!
//! The interval halves once per `recovery` period. A service that throttles every call therefore gets about two calls per
//! period, whether its normal rate is low or high.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PgPool, Result};
use crate::clock::seconds;
use crate::config::{Bucket, Quotas};
use crate::wait_estimate::Tokens;

const MAX_SPACING_SECONDS: f64 = 600.0;

/// Minimum interval, in seconds, between calls after AWS has throttled one. Doubling a very short interval would not be
/// enough, because many rate limits are far above the number of calls that Freehold makes.
const MIN_THROTTLED_SPACING_SECONDS: f64 = 1.0;

/// Maximum number of additional calls of one service that a step makes in a row.
const BURST_PER_STEP: f64 = 4.0;

/// Maximum time, in seconds, to wait for further tokens after the first token is available.
const MAX_BURST_WAIT_SECONDS: f64 = 30.0;

/// Token bucket of an AWS call, with the period in which its rate recovers after AWS has throttled a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CallRate {
    bucket: Bucket,
    recovery: f64,
}

impl CallRate {
    /// Returns the rate of `call`, such as `organizations:MoveAccount`; `None` if no limit is known.
    pub fn of(quotas: &Quotas, call: &str) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "seconds of a configuration are far below 2^52")]
        let recovery = quotas.throttle_recovery_seconds as f64;
        Some(Self { bucket: quotas.bucket(call)?, recovery })
    }

    /// Returns the number of calls per second that the bucket allows while AWS does not throttle.
    pub fn per_second(&self) -> f64 {
        self.bucket.rate.per_second
    }

    /// Returns the interval between two calls, in seconds, while AWS does not throttle.
    pub(super) fn interval(&self) -> f64 {
        1.0 / self.bucket.rate.per_second
    }

    pub(super) fn burst(&self) -> f64 {
        f64::from(self.bucket.rate.burst)
    }

    /// Returns the number of additional calls that a step makes in a row; 0 unless all calls of a service share the
    /// bucket.
    fn burst_per_step(&self) -> f64 {
        if self.bucket.name.contains(':') { 0.0 } else { (self.burst() - 1.0).clamp(0.0, BURST_PER_STEP) }
    }

    /// Returns the capacity of the bucket after AWS has throttled a call.
    fn slowed_burst(&self) -> f64 {
        1.0 + self.burst_per_step()
    }

    /// Returns the name under which the bucket is stored.
    pub(super) fn name(&self) -> &'static str {
        self.bucket.name
    }
}

/// Takes a token if at least `kept` tokens remain in the bucket afterwards. Otherwise returns the earliest time at
/// which the token can be taken.
pub(super) async fn take(
    tx: &mut PgConnection,
    call_rate: &CallRate,
    kept: i64,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    #[expect(clippy::cast_precision_loss, reason = "a line is short")]
    let kept = kept as f64;
    let taken = sqlx::query!(
        r#"/* db::rates::take */
        insert into aws_call_rates as r (api, next_at) values ($1, $2::timestamptz + make_interval(secs => $3::float8))
        on conflict (api) do update set
            next_at = greatest(r.next_at, $2) + make_interval(secs => greatest($3,
                coalesce(r.throttled_spacing_seconds
                    * power(0.5, least(60, extract(epoch from $2 - r.throttled_at)::float8 / $5)), 0)))
        where case
            when r.throttled_spacing_seconds
                * power(0.5, least(60, extract(epoch from $2 - r.throttled_at)::float8 / $5)) > $3
            -- Slowed down.
            then greatest(r.next_at, $2) + make_interval(secs => (1 + $6::float8 - $7::float8)
                * r.throttled_spacing_seconds
                * power(0.5, least(60, extract(epoch from $2 - r.throttled_at)::float8 / $5))) <= $2
            else greatest(r.next_at, $2) + make_interval(secs => $3 * (1 + $6::float8))
                <= $2 + make_interval(secs => $3 * $4::float8)
        end"#,
        call_rate.name(),
        now,
        call_rate.interval(),
        call_rate.burst(),
        call_rate.recovery,
        kept,
        call_rate.slowed_burst(),
    )
    .execute(&mut *tx)
    .await?;
    if taken.rows_affected() == 1 {
        return Ok(None);
    }
    let tokens = bucket_state(&mut *tx, call_rate, now).await?;
    Ok(Some(tokens.first().max(now) + seconds(tokens.spacing.as_seconds_f64() * kept)))
}

/// Takes a token, or returns the time of the next attempt. If all calls of a service share the bucket, tokens for
/// several calls are available at that time, because a step makes several calls in a row.
///
/// If the step resumed as soon as one token is available, each run would spend the token on the first call and never
/// make the second.
pub async fn take_or_wait(pool: &PgPool, call_rate: &CallRate, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    let mut connection = pool.acquire().await?;
    let Some(first) = take(&mut connection, call_rate, 0, now).await? else { return Ok(None) };
    let spacing = bucket_state(&mut *connection, call_rate, now).await?.spacing.as_seconds_f64();
    Ok(Some(first + seconds((call_rate.burst_per_step() * spacing).min(MAX_BURST_WAIT_SECONDS))))
}

/// Returns the current state of a token bucket.
pub async fn bucket_state(
    executor: impl sqlx::PgExecutor<'_>,
    call_rate: &CallRate,
    now: DateTime<Utc>,
) -> Result<Tokens> {
    let row = sqlx::query!(
        r#"/* db::rates::bucket_state */
        select next_at, coalesce(throttled_spacing_seconds
            * power(0.5, least(60, extract(epoch from $2::timestamptz - throttled_at)::float8 / $3::float8)),
                0) as "spacing!"
        from aws_call_rates where api = $1"#,
        call_rate.name(),
        now,
        call_rate.recovery,
    )
    .fetch_optional(executor)
    .await?;
    let (full_at, spacing) = row.map_or((now, 0.0), |row| (row.next_at.max(now), row.spacing));
    let slowed = spacing > call_rate.interval();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "one to five")]
    let slowed_burst = call_rate.slowed_burst() as u32;
    Ok(Tokens {
        full_at,
        spacing: seconds(if slowed { spacing } else { call_rate.interval() }),
        burst: if slowed { slowed_burst } else { call_rate.bucket.rate.burst },
    })
}

/// Reduces the rate of a call that AWS has throttled. Returns the time at which the next call is allowed.
///
/// Several calls that are throttled at the same time reduce the rate only once.
pub async fn record_throttle(pool: &PgPool, call_rate: &CallRate, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    sqlx::query!(
        r#"/* db::rates::record_throttle */
        insert into aws_call_rates as r (api, next_at, throttled_spacing_seconds, throttled_at)
        values ($1, $2::timestamptz + make_interval(secs => greatest($5::float8, 2 * $3::float8) * $7::float8),
            greatest($5, 2 * $3), $2)
        on conflict (api) do update set throttled_at = $2,
            (throttled_spacing_seconds, next_at) = (
                select spacing, $2 + make_interval(secs => spacing * $7)
                    from (select least($6::float8, greatest($5, 2 * greatest($3,
                    coalesce(r.throttled_spacing_seconds
                        * power(0.5, least(60, extract(epoch from $2 - r.throttled_at)::float8 / $4)), 0)
                ))) as spacing) slowed
            )
        where r.throttled_at is null or r.throttled_at + make_interval(secs => greatest($3,
            r.throttled_spacing_seconds
                * power(0.5, least(60, extract(epoch from $2 - r.throttled_at)::float8 / $4::float8)))) <= $2"#,
        call_rate.name(),
        now,
        call_rate.interval(),
        call_rate.recovery,
        MIN_THROTTLED_SPACING_SECONDS,
        MAX_SPACING_SECONDS,
        call_rate.slowed_burst(),
    )
    .execute(pool)
    .await?;
    Ok(bucket_state(pool, call_rate, now).await?.first().max(now))
}
