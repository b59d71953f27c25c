//! Rates of calls, shared by all workers: token buckets that a throttle slows down and that time brings back to speed.
//!
//! The generic cell rate algorithm: a bucket is one time, at which it would be full again. A throttled call empties the
//! bucket, which holds one call from then on, or as many as a step makes in a row; and it doubles the spacing of calls, at the
//! most to [`MAX_SPACING_SECONDS`]. The spacing then halves with every `recovery`, so that an AWS that throttles whatever one does
//! is asked about twice in that time, whatever the rate.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PgPool, Result};
use crate::clock::seconds;
use crate::config::{Bucket, Quotas};
use crate::wait_estimate::Tokens;

/// The longest spacing of calls that AWS throttles, in seconds.
const MAX_SPACING_SECONDS: f64 = 600.0;

/// The shortest spacing after a throttle, in seconds: many a rate is far above what is ever called.
const MIN_THROTTLED_SPACING_SECONDS: f64 = 1.0;

/// Calls of one service that a step makes in a row, at the most, besides the first.
const BURST_PER_STEP: f64 = 4.0;

/// The longest that somebody waits for leave to make a few, in seconds, after there is leave to make one.
const MAX_BURST_WAIT_SECONDS: f64 = 30.0;

/// A token bucket, and how it recovers from a throttle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CallRate {
    bucket: Bucket,
    recovery: f64,
}

impl CallRate {
    /// The pace of `call`, such as `organizations:MoveAccount`; none where nobody knows of a limit.
    pub fn of(quotas: &Quotas, call: &str) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "seconds of a configuration are far below 2^52")]
        let recovery = quotas.throttle_recovery_seconds as f64;
        Some(Self { bucket: quotas.bucket(call)?, recovery })
    }

    /// Calls a second, as long as nothing is throttled.
    pub fn per_second(&self) -> f64 {
        self.bucket.rate.per_second
    }

    /// Seconds between calls, as long as nothing is throttled.
    pub(super) fn interval(&self) -> f64 {
        1.0 / self.bucket.rate.per_second
    }

    /// Calls that may come at once.
    pub(super) fn burst(&self) -> f64 {
        f64::from(self.bucket.rate.burst)
    }

    /// Calls that a step makes in a row, besides the first, where a whole service shares the bucket.
    fn burst_per_step(&self) -> f64 {
        if self.bucket.name.contains(':') { 0.0 } else { (self.burst() - 1.0).clamp(0.0, BURST_PER_STEP) }
    }

    /// Calls that may come at once after a throttle, once there has been a pause that was long enough for as many.
    fn slowed_burst(&self) -> f64 {
        1.0 + self.burst_per_step()
    }

    /// Under which name it is kept.
    pub(super) fn name(&self) -> &'static str {
        self.bucket.name
    }
}

/// Takes a token, if after it `kept` more are left, or answers when there will be so many.
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
                coalesce(r.throttled_spacing_seconds * power(0.5, least(60, extract(epoch from $2 - r.throttled_at)::float8 / $5)), 0)))
        where case
            when r.throttled_spacing_seconds * power(0.5, least(60, extract(epoch from $2 - r.throttled_at)::float8 / $5)) > $3
            -- Slowed down.
            then greatest(r.next_at, $2) + make_interval(secs => (1 + $6::float8 - $7::float8) * r.throttled_spacing_seconds
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

/// Takes leave to make a call, or answers when to come back for it: where a whole service shares the bucket, when a few calls
/// may be made. A step makes several such calls; who came back for the first would use up each leave as it comes, and never
/// get past the second call.
pub async fn take_or_wait(pool: &PgPool, call_rate: &CallRate, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    let mut connection = pool.acquire().await?;
    let Some(first) = take(&mut connection, call_rate, 0, now).await? else { return Ok(None) };
    let spacing = bucket_state(&mut *connection, call_rate, now).await?.spacing.as_seconds_f64();
    Ok(Some(first + seconds((call_rate.burst_per_step() * spacing).min(MAX_BURST_WAIT_SECONDS))))
}

/// How a bucket stands.
pub async fn bucket_state(
    executor: impl sqlx::PgExecutor<'_>,
    call_rate: &CallRate,
    now: DateTime<Utc>,
) -> Result<Tokens> {
    let row = sqlx::query!(
        r#"/* db::rates::bucket_state */
        select next_at, coalesce(throttled_spacing_seconds
            * power(0.5, least(60, extract(epoch from $2::timestamptz - throttled_at)::float8 / $3::float8)), 0) as "spacing!"
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

/// Slows the calls down: AWS has throttled one although there was leave to make it. Answers when the next may be made.
///
/// Of several that were throttled together, one counts.
pub async fn record_throttle(pool: &PgPool, call_rate: &CallRate, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    sqlx::query!(
        r#"/* db::rates::record_throttle */
        insert into aws_call_rates as r (api, next_at, throttled_spacing_seconds, throttled_at)
        values ($1, $2::timestamptz + make_interval(secs => greatest($5::float8, 2 * $3::float8) * $7::float8), greatest($5, 2 * $3), $2)
        on conflict (api) do update set throttled_at = $2,
            (throttled_spacing_seconds, next_at) = (
                select spacing, $2 + make_interval(secs => spacing * $7) from (select least($6::float8, greatest($5, 2 * greatest($3,
                    coalesce(r.throttled_spacing_seconds * power(0.5, least(60, extract(epoch from $2 - r.throttled_at)::float8 / $4)), 0)
                ))) as spacing) slowed
            )
        where r.throttled_at is null or r.throttled_at + make_interval(secs => greatest($3,
            r.throttled_spacing_seconds * power(0.5, least(60, extract(epoch from $2 - r.throttled_at)::float8 / $4::float8)))) <= $2"#,
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
