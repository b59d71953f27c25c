//! Token bucket of an AWS call, represented by the time at which it is full again (generic cell rate algorithm).
//!
//! AWS counts a call when it arrives, which is later than the time at which Freehold takes the token: by a tenth of a
//! second or by two. If a burst arrives late and the calls after it arrive early, AWS throttles them although they were
//! spaced at its rate. The bucket of a rare call therefore counts a call when AWS has answered it, because it has
//! arrived by then, and until then counts it as arriving now. The schedule thus moves once by the delay of the first
//! call of a burst. The delays of later calls cost nothing, because the bucket is not full when they are made.

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::seconds;

/// Maximum interval, in seconds, between calls that AWS throttles again and again.
const MAX_SPACING_SECONDS: f64 = 600.0;

/// Minimum interval, in seconds, between calls that AWS throttles repeatedly. Doubling a very short interval would not
/// be enough, because many rate limits are far above the number of calls that Freehold makes.
const MIN_THROTTLED_SPACING_SECONDS: f64 = 1.0;

/// Limits of a token bucket, which do not change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BucketLimits {
    /// Interval, in seconds, between two calls while AWS does not throttle.
    pub spacing: f64,
    /// Capacity while AWS does not throttle.
    pub burst: u32,
    /// Capacity after AWS has throttled repeatedly.
    pub slowed_burst: u32,
    /// Period, in seconds, in which the interval halves after a throttled call.
    pub recovery: f64,
    /// Time, in seconds, after which a call without an answer counts as answered, because its worker has died.
    pub answer_timeout: f64,
}

/// State of a token bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenBucket {
    /// Time at which the bucket is full again, if no call is made.
    pub full_at: DateTime<Utc>,
    /// Interval, in seconds, after the last throttled call, and the time of that call; `None` if AWS never throttled.
    pub throttled: Option<(f64, DateTime<Utc>)>,
    /// Times of the calls that AWS has not answered yet, oldest first.
    pub unanswered: Vec<DateTime<Utc>>,
}

/// Tokens of a bucket at one moment, and how more become available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    /// Time at which the bucket is full again.
    pub full_at: DateTime<Utc>,
    /// Interval at which tokens become available.
    pub spacing: TimeDelta,
    /// Capacity of the bucket.
    pub burst: u32,
}

impl Tokens {
    /// Returns the time at which the next token is available, which may be in the past.
    pub fn first(&self) -> DateTime<Utc> {
        self.full_at - self.spacing * i32::try_from(self.burst.saturating_sub(1)).unwrap_or(0)
    }

    /// Takes the first token that is available at or after `at`, and returns the time of that token.
    pub(crate) fn take(&mut self, at: DateTime<Utc>) -> DateTime<Utc> {
        let at = at.max(self.first());
        self.full_at = self.full_at.max(at) + self.spacing;
        at
    }

    /// Returns the tokens that remain if `count` calls arrive at `now`.
    fn after(mut self, count: usize, now: DateTime<Utc>) -> Self {
        if count > 0 {
            self.full_at = self.full_at.max(now) + self.spacing * i32::try_from(count).unwrap_or(i32::MAX);
        }
        self
    }
}

impl TokenBucket {
    /// Creates a bucket that is full at `now`.
    pub fn full(now: DateTime<Utc>) -> Self {
        Self { full_at: now, throttled: None, unanswered: Vec::new() }
    }

    /// Returns the tokens at `now`. A call without an answer counts as arriving now.
    pub fn tokens(&self, limits: &BucketLimits, now: DateTime<Utc>) -> Tokens {
        let slowed = self.throttled_spacing(limits, now);
        let (spacing, burst) =
            if slowed > limits.spacing { (slowed, limits.slowed_burst) } else { (limits.spacing, limits.burst) };
        let tokens = Tokens { full_at: self.full_at, spacing: seconds(spacing), burst };
        tokens.after(self.unanswered.len(), now)
    }

    /// Takes a token for a call that is counted when it is answered, if `kept` further tokens remain. Otherwise returns
    /// the earliest time at which the token may be available.
    pub fn take(&mut self, limits: &BucketLimits, kept: usize, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.expire_unanswered(limits, now);
        let available_at = self.tokens(limits, now).after(kept, now).first();
        if available_at > now {
            return Some(available_at);
        }
        self.unanswered.push(now);
        None
    }

    /// Counts the oldest call without an answer as arrived at `now`.
    pub fn record_answer(&mut self, limits: &BucketLimits, now: DateTime<Utc>) {
        self.forget_unanswered();
        let spacing = self.throttled_spacing(limits, now).max(limits.spacing);
        self.full_at = self.full_at.max(now) + seconds(spacing);
    }

    /// Empties the bucket, because AWS has throttled a call. A lone throttle costs one interval. If AWS throttles again
    /// before the rate has recovered, the interval doubles. Of several calls that are throttled at the same time, one
    /// counts.
    pub fn record_throttle(&mut self, limits: &BucketLimits, now: DateTime<Utc>) {
        self.forget_unanswered();
        let before = self.throttled_spacing(limits, now);
        if let Some((_, at)) = self.throttled
            && at + seconds(before.max(limits.spacing)) > now
        {
            return;
        }
        // The interval of a lone throttle is the usual one, and half of it after one recovery period.
        let is_lone = before <= limits.spacing / 2.0;
        let (spacing, burst) = if is_lone {
            (limits.spacing, limits.burst)
        } else {
            let doubled = 2.0 * before.max(limits.spacing);
            (doubled.clamp(MIN_THROTTLED_SPACING_SECONDS, MAX_SPACING_SECONDS), limits.slowed_burst)
        };
        self.throttled = Some((spacing, now));
        self.full_at = now + seconds(spacing) * i32::try_from(burst).unwrap_or(1);
    }

    /// Returns the interval, in seconds, that the last throttled call still imposes; 0 if AWS never throttled.
    fn throttled_spacing(&self, limits: &BucketLimits, now: DateTime<Utc>) -> f64 {
        self.throttled.map_or(0.0, |(spacing, at)| {
            let periods = (now - at).as_seconds_f64().max(0.0) / limits.recovery;
            spacing * 0.5_f64.powf(periods.min(60.0))
        })
    }

    fn forget_unanswered(&mut self) {
        if !self.unanswered.is_empty() {
            self.unanswered.remove(0);
        }
    }

    /// Counts calls whose worker has died as arrived at the end of their timeout.
    fn expire_unanswered(&mut self, limits: &BucketLimits, now: DateTime<Utc>) {
        while let Some(expired_at) = self.unanswered.first().map(|at| *at + seconds(limits.answer_timeout))
            && expired_at <= now
        {
            self.record_answer(limits, expired_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: DateTime<Utc> = DateTime::UNIX_EPOCH;
    const CREATE_ACCOUNT: BucketLimits =
        BucketLimits { spacing: 10.0, burst: 3, slowed_burst: 1, recovery: 300.0, answer_timeout: 25.0 };

    fn at(secs: f64) -> DateTime<Utc> {
        NOON + seconds(secs)
    }

    /// Makes calls as early as the bucket allows, from noon. `delays` are the times, in seconds, until each call
    /// arrives and is answered. Returns the times of the calls and of their arrivals, in seconds.
    fn call(delays: &[f64]) -> Vec<(f64, f64)> {
        let mut bucket = TokenBucket::full(NOON);
        let (mut now, mut calls) = (NOON, Vec::new());
        let mut answers: Vec<DateTime<Utc>> = Vec::new();
        for delay in delays {
            loop {
                answers.sort_unstable();
                while answers.first().is_some_and(|answer| *answer <= now) {
                    bucket.record_answer(&CREATE_ACCOUNT, answers.remove(0));
                }
                let Some(next) = bucket.take(&CREATE_ACCOUNT, 0, now) else { break };
                now = answers.first().copied().map_or(next, |answer| answer.min(next)).max(now);
            }
            answers.push(now + seconds(*delay));
            let called = (now - NOON).as_seconds_f64();
            calls.push((called, called + delay));
        }
        calls
    }

    /// Returns whether AWS's bucket has a token for each arrival.
    fn is_allowed(arrivals: impl Iterator<Item = f64>) -> bool {
        let mut arrivals: Vec<f64> = arrivals.collect();
        arrivals.sort_by(f64::total_cmp);
        let mut full_at = f64::NEG_INFINITY;
        arrivals.into_iter().all(|arrival| {
            let has_token = full_at - 20.0 <= arrival + 1e-6;
            full_at = full_at.max(arrival) + 10.0;
            has_token
        })
    }

    #[test]
    fn a_late_burst_moves_the_schedule_once() {
        let calls: Vec<f64> =
            call(&[0.7, 1.1, 2.0, 0.1, 1.9, 0.2, 0.1, 0.1]).iter().map(|(called, _)| *called).collect();
        assert_eq!(calls, [0.0, 0.0, 0.0, 10.7, 20.7, 30.7, 40.7, 50.7]);
    }

    #[test]
    fn no_call_arrives_before_its_token_at_any_delay() {
        // Delays far above the interval occur in a sandbox whose clock is fast.
        for longest in [2.0, 9.0, 24.0] {
            let mut random = 7_u32;
            let mut delay = || {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                longest * f64::from(random >> 8) / f64::from(u32::MAX >> 8)
            };
            for _ in 0..50 {
                let calls = call(&std::iter::repeat_with(&mut delay).take(30).collect::<Vec<_>>());
                assert!(is_allowed(calls.iter().map(|(_, arrival)| *arrival)), "throttled: {calls:?}");
            }
        }
    }

    #[test]
    fn calls_spaced_at_the_rate_would_arrive_too_early() {
        assert!(!is_allowed([0.7, 1.1, 2.0, 10.1].into_iter()), "the model of AWS's bucket is too lenient");
    }

    #[test]
    fn the_call_of_a_dead_worker_counts_after_its_timeout() {
        let mut bucket = TokenBucket::full(NOON);
        for _ in 0..3 {
            assert_eq!(bucket.take(&CREATE_ACCOUNT, 0, NOON), None);
        }
        assert_eq!(bucket.take(&CREATE_ACCOUNT, 0, at(24.0)), Some(at(34.0)), "AWS may have received all three late");
        assert_eq!(bucket.take(&CREATE_ACCOUNT, 0, at(34.0)), Some(at(35.0)));
        assert_eq!(bucket.take(&CREATE_ACCOUNT, 0, at(35.0)), None);
    }

    #[test]
    fn a_lone_throttle_costs_one_interval() {
        let mut bucket = TokenBucket::full(NOON);
        bucket.record_throttle(&CREATE_ACCOUNT, NOON);
        let mut tokens = bucket.tokens(&CREATE_ACCOUNT, NOON);
        assert_eq!([10.0, 20.0, 30.0].map(at), [0; 3].map(|_| tokens.take(NOON)), "the rate stays");
        bucket.record_throttle(&CREATE_ACCOUNT, at(9.0));
        assert_eq!(bucket.tokens(&CREATE_ACCOUNT, at(9.0)).first(), at(10.0), "one of several at the same time counts");
    }

    #[test]
    fn repeated_throttles_double_the_interval_until_the_rate_recovers() {
        let mut bucket = TokenBucket::full(NOON);
        bucket.record_throttle(&CREATE_ACCOUNT, NOON);
        bucket.record_throttle(&CREATE_ACCOUNT, at(10.0));
        assert_eq!(bucket.tokens(&CREATE_ACCOUNT, at(10.0)).first(), at(30.0));
        bucket.record_throttle(&CREATE_ACCOUNT, at(30.0));
        let waits = (bucket.tokens(&CREATE_ACCOUNT, at(30.0)).first() - at(30.0)).num_seconds();
        assert!((36..=40).contains(&waits), "{waits} s after the third throttle");
        let later = at(30.0 + 3.5 * 300.0);
        assert_eq!(bucket.tokens(&CREATE_ACCOUNT, later).spacing, TimeDelta::seconds(10));
        bucket.record_throttle(&CREATE_ACCOUNT, later);
        assert_eq!(bucket.tokens(&CREATE_ACCOUNT, later).first(), later + TimeDelta::seconds(10), "a lone one again");
    }
}
