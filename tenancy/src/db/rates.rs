//! Stores the rate limits of AWS calls, which all workers share: token buckets that slow down after AWS has throttled
//! calls repeatedly and recover over time.
//!
//! A lone throttle empties the bucket. A further one before the rate has recovered doubles the interval between calls;
//! the capacity of the bucket is then one call, or the number of calls that a step makes in a row. The interval halves
//! once per `recovery` period. A service that throttles every call therefore gets about two calls per period, whether
//! its normal rate is low or high.
//!
//! The token of a call that needs a slot of a quota is counted when AWS has answered the call (`token_bucket`), that of
//! any other call when it is taken.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PgPool, Result};
use crate::clock::seconds;
use crate::config::{Bucket, Quotas};
use crate::quota::Quota;
use crate::token_bucket::{BucketLimits, TokenBucket, Tokens};

/// Maximum number of additional calls of one service that a step makes in a row.
const BURST_PER_STEP: u32 = 4;

/// Maximum time, in seconds, to wait for further tokens after the first token is available.
const MAX_BURST_WAIT_SECONDS: f64 = 30.0;

/// Real time, in seconds, after which a call without an answer counts as answered. It exceeds the longest AWS call
/// (20 s).
const ANSWER_TIMEOUT_SECONDS: f64 = 25.0;

/// Token bucket of an AWS call, with the period in which its rate recovers after AWS has throttled a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CallRate {
    bucket: Bucket,
    recovery: f64,
    clock_speed: f64,
}

impl CallRate {
    /// Returns the rate of `call`, such as `organizations:MoveAccount`; `None` if no limit is known.
    pub fn of(quotas: &Quotas, call: &str) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "seconds of a configuration are far below 2^52")]
        let recovery = quotas.throttle_recovery_seconds as f64;
        Some(Self { bucket: quotas.bucket(call)?, recovery, clock_speed: 1.0 })
    }

    /// Returns the rate for a clock that runs `speed` times as fast as real time. Answers of AWS take real time.
    #[must_use]
    pub fn at_speed(self, speed: f64) -> Self {
        Self { clock_speed: speed, ..self }
    }

    /// Returns the number of calls per second that the bucket allows while AWS does not throttle.
    pub fn per_second(&self) -> f64 {
        self.bucket.rate.per_second
    }

    /// Returns whether a call is counted when AWS has answered it, not when its token is taken.
    pub fn counts_answers(&self) -> bool {
        Quota::slot_includes_rate_token(self.name())
    }

    /// Returns the number of additional calls that a step makes in a row; 0 unless all calls of a service share the
    /// bucket.
    fn burst_per_step(&self) -> u32 {
        let is_shared = !self.bucket.name.contains(':');
        if is_shared { self.bucket.rate.burst.saturating_sub(1).min(BURST_PER_STEP) } else { 0 }
    }

    fn limits(&self) -> BucketLimits {
        BucketLimits {
            spacing: 1.0 / self.bucket.rate.per_second,
            burst: self.bucket.rate.burst,
            slowed_burst: 1 + self.burst_per_step(),
            recovery: self.recovery,
            answer_timeout: ANSWER_TIMEOUT_SECONDS * self.clock_speed.max(1.0),
        }
    }

    /// Returns the name under which the bucket is stored.
    fn name(&self) -> &'static str {
        self.bucket.name
    }
}

/// Takes a token of a call that is counted when it is answered, if at least `kept` tokens remain in the bucket
/// afterwards. Otherwise returns the earliest time at which the token can be taken.
pub(super) async fn take_until_answered(
    tx: &mut PgConnection,
    call_rate: &CallRate,
    kept: usize,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let mut bucket = lock(&mut *tx, call_rate, now).await?;
    let wait = bucket.take(&call_rate.limits(), kept, now);
    if wait.is_none() {
        store(tx, call_rate, &bucket).await?;
    }
    Ok(wait)
}

/// Records that AWS has answered a call, if the call is counted when it is answered.
pub async fn record_answer(pool: &PgPool, call_rate: &CallRate, now: DateTime<Utc>) -> Result<()> {
    if !call_rate.counts_answers() {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    let mut bucket = lock(&mut tx, call_rate, now).await?;
    bucket.record_answer(&call_rate.limits(), now);
    store(&mut tx, call_rate, &bucket).await?;
    tx.commit().await?;
    Ok(())
}

/// Reduces the rate of a call that AWS has throttled. Returns the time at which the next call is allowed.
///
/// Several calls that are throttled at the same time reduce the rate only once.
pub async fn record_throttle(pool: &PgPool, call_rate: &CallRate, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    let mut tx = pool.begin().await?;
    let mut bucket = lock(&mut tx, call_rate, now).await?;
    bucket.record_throttle(&call_rate.limits(), now);
    store(&mut tx, call_rate, &bucket).await?;
    tx.commit().await?;
    Ok(bucket.tokens(&call_rate.limits(), now).first().max(now))
}

/// Takes a token, or returns the time of the next attempt. If all calls of a service share the bucket, tokens for
/// several calls are available at that time, because a step makes several calls in a row.
///
/// If the step resumed as soon as one token is available, each run would spend the token on the first call and never
/// make the second.
pub async fn take_or_wait(pool: &PgPool, call_rate: &CallRate, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    let limits = call_rate.limits();
    let taken = sqlx::query!(
        r#"/* db::rates::take_or_wait */
        insert into aws_call_rates as r (api, next_at) values ($1, $2::timestamptz + make_interval(secs => $3::float8))
        on conflict (api) do update set
            next_at = greatest(r.next_at, $2) + make_interval(secs => greatest($3,
                coalesce(r.throttled_spacing_seconds
                    * power(0.5, least(60, extract(epoch from $2 - r.throttled_at)::float8 / $5)), 0)))
        where case
            when r.throttled_spacing_seconds
                * power(0.5, least(60, extract(epoch from $2 - r.throttled_at)::float8 / $5)) > $3
            -- Slowed down.
            then greatest(r.next_at, $2) + make_interval(secs => (1 - $6::float8)
                * r.throttled_spacing_seconds
                * power(0.5, least(60, extract(epoch from $2 - r.throttled_at)::float8 / $5))) <= $2
            else greatest(r.next_at, $2) + make_interval(secs => $3) <= $2 + make_interval(secs => $3 * $4::float8)
        end"#,
        call_rate.name(),
        now,
        limits.spacing,
        f64::from(limits.burst),
        limits.recovery,
        f64::from(limits.slowed_burst),
    )
    .execute(pool)
    .await?;
    if taken.rows_affected() == 1 {
        return Ok(None);
    }
    let tokens = available_tokens(pool, call_rate, now).await?;
    let further = f64::from(call_rate.burst_per_step()) * tokens.spacing.as_seconds_f64();
    Ok(Some(tokens.first().max(now) + seconds(further.min(MAX_BURST_WAIT_SECONDS))))
}

/// Returns the current tokens of a bucket.
pub async fn available_tokens(pool: &PgPool, call_rate: &CallRate, now: DateTime<Utc>) -> Result<Tokens> {
    let row = sqlx::query_as!(
        BucketRow,
        r#"/* db::rates::available_tokens */
        select next_at, throttled_spacing_seconds, throttled_at, unanswered from aws_call_rates where api = $1"#,
        call_rate.name(),
    );
    let bucket = row.fetch_optional(pool).await?.map_or_else(|| TokenBucket::full(now), TokenBucket::from);
    let tokens = bucket.tokens(&call_rate.limits(), now);
    Ok(Tokens { full_at: tokens.full_at.max(now), ..tokens })
}

struct BucketRow {
    next_at: DateTime<Utc>,
    throttled_spacing_seconds: Option<f64>,
    throttled_at: Option<DateTime<Utc>>,
    unanswered: Vec<DateTime<Utc>>,
}

impl From<BucketRow> for TokenBucket {
    fn from(row: BucketRow) -> Self {
        Self {
            full_at: row.next_at,
            throttled: row.throttled_spacing_seconds.zip(row.throttled_at),
            unanswered: row.unanswered,
        }
    }
}

/// Locks the row of a bucket; creates the row of a full bucket if there is none.
async fn lock(tx: &mut PgConnection, call_rate: &CallRate, now: DateTime<Utc>) -> Result<TokenBucket> {
    sqlx::query!(
        "/* db::rates::lock */ insert into aws_call_rates (api, next_at) values ($1, $2) on conflict (api) do nothing",
        call_rate.name(),
        now,
    )
    .execute(&mut *tx)
    .await?;
    let row = sqlx::query_as!(
        BucketRow,
        r#"/* db::rates::lock */
        select next_at, throttled_spacing_seconds, throttled_at, unanswered from aws_call_rates where api = $1
        for no key update"#,
        call_rate.name(),
    );
    Ok(row.fetch_one(tx).await?.into())
}

async fn store(tx: &mut PgConnection, call_rate: &CallRate, bucket: &TokenBucket) -> Result<()> {
    let (spacing, throttled_at) = bucket.throttled.unzip();
    sqlx::query!(
        r#"/* db::rates::store */
        update aws_call_rates set next_at = $2, throttled_spacing_seconds = $3, throttled_at = $4, unanswered = $5
        where api = $1"#,
        call_rate.name(),
        bucket.full_at,
        spacing,
        throttled_at,
        &bucket.unanswered,
    )
    .execute(tx)
    .await?;
    Ok(())
}
