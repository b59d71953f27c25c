//! Schedule of polls for work in progress at AWS. Frequent polls cost calls; rare polls detect the end of the work
//! late. The schedule depends on earlier durations of the same step.
//!
//! Durations are modelled as log-normal, which fits the measured ones. The model gives the expected delay in detecting
//! the end of the work if no poll is made until a given time. A poll is due when this delay exceeds the cost of a call.

mod shared;
mod work;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::clock::seconds;
use freehold_tenancy::db::{PgPool, steps};
use freehold_tenancy::jitter;
use freehold_tenancy::step::StepName;

pub(crate) use shared::{PollMethod, QuotaLoad, choose_method, next_shared_poll};
pub(crate) use work::PolledWork;

/// Number of latest runs of a step from which its duration is estimated.
const SAMPLES: i64 = 40;
/// Minimum number of samples. With fewer samples, the configured duration is used.
const MIN_SAMPLES: usize = 3;

/// Default spread of durations (standard deviation of their logarithm).
const DEFAULT_SPREAD: f64 = 0.3;
/// Upper limit for a spread estimated from a few samples.
const MAX_SPREAD: f64 = 0.6;

/// Slope with which the logistic function approximates the normal distribution to one per cent.
const LOGISTIC_SLOPE: f64 = 1.702;

/// Estimated duration of the AWS work that a step waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DurationEstimate {
    /// Median duration in seconds.
    pub(crate) median: f64,
    /// Standard deviation of the logarithm of the duration.
    pub(crate) spread: f64,
    /// Whether the estimate is the configured one, because there are too few samples.
    pub(crate) guessed: bool,
}

impl DurationEstimate {
    /// Creates the estimate from the configured duration.
    #[expect(clippy::cast_precision_loss, reason = "a guess is a small number of seconds")]
    fn guessed(seconds: u64) -> Self {
        Self { median: seconds as f64, spread: DEFAULT_SPREAD, guessed: true }
    }

    /// Returns the estimate for work that has been in progress for `age`. A configured duration below `age` is too low
    /// and is replaced by `age`.
    pub(crate) fn given(self, age: TimeDelta) -> Self {
        let median = if self.guessed { self.median.max(age.as_seconds_f64()) } else { self.median };
        Self { median, ..self }
    }

    fn from_samples(mut durations: Vec<f64>, min_spread: f64) -> Self {
        durations.retain(|seconds| *seconds > 0.0);
        durations.sort_by(f64::total_cmp);
        let quantile = |share: usize| durations.get(durations.len() * share / 4).copied().unwrap_or(1.0);
        let median = quantile(2);
        // The quartiles are 1.35 standard deviations apart. Quartiles are robust against a few very long durations.
        let spread = (quantile(3) / quantile(1)).ln() / 1.35;
        Self { median: median.max(0.1), spread: spread.clamp(min_spread, MAX_SPREAD), guessed: false }
    }

    /// Returns the probability that the work takes longer than `age` seconds.
    fn survival(self, age: f64) -> f64 {
        if age <= 0.0 {
            return 1.0;
        }
        let deviation = (age / self.median).ln() / self.spread;
        1.0 / (1.0 + (LOGISTIC_SLOPE * deviation).exp())
    }

    /// Returns the median duration of work that was in progress at the age `seen` and had finished at the age `found`.
    /// All values are in seconds.
    pub(crate) fn median_between(self, seen: f64, found: f64) -> f64 {
        let (at_seen, at_found) = (self.survival(seen), self.survival(found));
        // Far from the expected duration, nothing is known about the time between the two polls.
        if at_seen - at_found < 1e-6 {
            return f64::midpoint(seen, found);
        }
        let odds = 1.0 / f64::midpoint(at_seen, at_found) - 1.0;
        let median = self.median * (self.spread * odds.ln() / LOGISTIC_SLOPE).exp();
        median.clamp(seen.min(found), found)
    }

    /// Returns the probability that work has finished at `age`, given that it was in progress at the age `seen`. Both
    /// ages are in seconds.
    fn probability_of_finishing(self, seen: f64, age: f64) -> f64 {
        let survival = self.survival(seen);
        // Far beyond the expected duration, the remaining time is assumed to grow with the age.
        if survival < 1e-6 { 1.0 - (-(age - seen) / (0.5 * seen)).exp() } else { 1.0 - self.survival(age) / survival }
    }

    /// Returns whether a poll at this age is too early, because less than 5 % of such work finishes by then.
    pub(crate) fn is_too_soon(self, age: TimeDelta) -> bool {
        self.survival(age.as_seconds_f64()) > 0.95
    }

    /// Returns the time step of the numerical integration, in seconds.
    fn time_step(self) -> f64 {
        (self.median / 100.0).max(0.02)
    }
}

/// Cache of the estimated duration of the work of each step, computed from the journal.
#[derive(Debug)]
pub(crate) struct DurationHistory {
    pool: PgPool,
    cache: Mutex<HashMap<(StepName, PolledWork), CachedEstimate>>,
}

/// Time at which the journal was read, and the estimate; `None` if there were too few samples.
type CachedEstimate = (DateTime<Utc>, Option<DurationEstimate>);

impl DurationHistory {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, cache: Mutex::default() }
    }

    /// Returns the estimated duration of the work of `step`, or an estimate of `guess` seconds if there are too few
    /// samples.
    pub(crate) async fn expected(
        &self,
        step: StepName,
        work: PolledWork,
        guess: u64,
        now: DateTime<Utc>,
    ) -> DurationEstimate {
        let key = (step, work);
        let cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some((at, estimate)) = cached
            && now - at < TimeDelta::seconds(20)
        {
            return estimate.unwrap_or(DurationEstimate::guessed(guess));
        }
        let estimate = match steps::recent_durations(&self.pool, step, work.duration_fact(), SAMPLES).await {
            Ok(durations) if durations.len() >= MIN_SAMPLES => {
                Some(DurationEstimate::from_samples(durations, work.min_spread()))
            }
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%error, %step, "cannot read past durations of step {step}; using the configured one");
                None
            }
        };
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (now, estimate));
        estimate.unwrap_or(DurationEstimate::guessed(guess))
    }
}

/// Returns the pause before the next poll of work that has been in progress for `elapsed`.
pub(crate) fn next_poll_delay(elapsed: TimeDelta, expected: DurationEstimate, work: PolledWork) -> TimeDelta {
    let expected = expected.given(elapsed);
    let elapsed = elapsed.as_seconds_f64().max(0.0);
    let (mut pause, mut lost, step) = (0.0, 0.0, expected.time_step().max(0.01 * elapsed));
    while lost < work.poll_cost(expected.spread) * expected.median && pause < 5.0 * expected.median + elapsed {
        pause += step;
        lost += step * expected.probability_of_finishing(elapsed, elapsed + pause);
    }
    // At least two seconds. Work that takes far too long is polled at intervals of a tenth of the excess, so that it
    // is not polled every few minutes for days.
    let pause = pause.max(0.04 * expected.median).max(0.1 * (elapsed - 2.0 * expected.median)).max(2.0);
    // Up to 3 % of jitter, so that operations that started together do not poll together.
    seconds(pause * jitter::factor(1.0..1.03))
}

/// Returns the longest time that an operation waits for a shared poll to report the end of its work. Afterwards the
/// operation polls AWS itself.
pub(crate) fn no_later_than(elapsed: TimeDelta, expected: DurationEstimate) -> TimeDelta {
    let elapsed = elapsed.as_seconds_f64().max(0.0);
    seconds((3.0 * expected.median - elapsed).max(0.25 * elapsed).max(60.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: DurationEstimate = DurationEstimate { median: 100.0, spread: 0.3, guessed: false };

    #[test]
    fn the_first_poll_is_near_the_expected_end() {
        let pause = next_poll_delay(TimeDelta::zero(), USUAL, PolledWork::Usual).as_seconds_f64();
        assert!((85.0..115.0).contains(&pause), "polled after {pause} s");
    }

    #[test]
    fn work_of_constant_duration_is_polled_right_after_its_end() {
        for (work, latest) in [(PolledWork::Usual, 116.0), (PolledWork::ReleaseUpdate, 106.0)] {
            let expected = DurationEstimate { spread: work.min_spread(), ..USUAL };
            let pause = next_poll_delay(TimeDelta::zero(), expected, work).as_seconds_f64();
            assert!((100.0..latest).contains(&pause), "polled after {pause} s");
        }
    }

    #[test]
    fn pauses_grow_with_the_elapsed_time() {
        let pause = next_poll_delay(TimeDelta::seconds(2000), USUAL, PolledWork::Usual).as_seconds_f64();
        assert!((50.0..600.0).contains(&pause), "polled after {pause} s");
    }

    #[test]
    fn work_that_hangs_for_days_is_polled_a_few_dozen_times() {
        let (mut elapsed, mut polls) = (TimeDelta::zero(), 0);
        while elapsed < TimeDelta::days(3) {
            elapsed += next_poll_delay(elapsed, USUAL, PolledWork::Usual);
            polls += 1;
        }
        assert!((40..120).contains(&polls), "{polls} polls");
    }

    #[test]
    fn a_configured_duration_that_is_too_low_is_raised() {
        let guess = DurationEstimate { median: 10.0, guessed: true, ..USUAL };
        let pause = next_poll_delay(TimeDelta::seconds(200), guess, PolledWork::Usual).as_seconds_f64();
        assert!((20.0..200.0).contains(&pause), "polled after {pause} s");
    }

    #[test]
    fn polls_are_at_least_two_seconds_apart() {
        for elapsed in 0..600 {
            let expected = DurationEstimate { median: 3.0, ..USUAL };
            let pause = next_poll_delay(TimeDelta::seconds(elapsed), expected, PolledWork::ChangeSet);
            assert!(pause >= TimeDelta::seconds(2), "{pause} after {elapsed} s");
        }
    }

    #[test]
    fn median_and_spread_are_estimated_from_a_few_samples() {
        let expected = DurationEstimate::from_samples(vec![30.0, 70.0, 90.0, 100.0, 110.0, 140.0, 900.0], 0.12);
        assert!((99.0..111.0).contains(&expected.median), "{expected:?}");
        assert!((0.2..0.6).contains(&expected.spread), "{expected:?}");
    }

    #[test]
    fn the_end_of_work_is_assumed_near_the_expected_duration() {
        let expected = DurationEstimate { spread: 0.05, ..USUAL };
        assert!((95.0..100.0).contains(&expected.median_between(0.0, 103.0)), "one poll after the end");
        assert!((101.0..103.0).contains(&expected.median_between(101.0, 103.0)), "a poll before the end");
        assert!((349.0..351.0).contains(&expected.median_between(300.0, 400.0)), "much longer than before");
        assert!((29.0..31.0).contains(&expected.median_between(0.0, 60.0)), "much shorter than before");
    }
}
