//! When to look again at work that AWS is doing: often enough to lose little time, seldom enough to spare calls, and
//! guided by how long such work has taken before.
//!
//! How long it takes is taken for log-normal, as AWS's durations are. From that follows how much time is lost, on average,
//! by not having looked until some moment; a look is due when that outweighs a call.

mod shared;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::clock::seconds;
use freehold_tenancy::db::{PgPool, steps};
use freehold_tenancy::step::StepName;

pub(crate) use shared::{PollMethod, QuotaLoad, instrument, next_shared_look};

/// How many of the latest runs are asked.
const SAMPLES: i64 = 40;
/// With fewer, the figure of the configuration is believed.
const FEWEST_SAMPLES: usize = 3;

/// What a look costs when one operation looks for itself: as much as losing this share of the usual time. For durations
/// spread as AWS's are, work is looked at one and a half times and found done a sixth of its time late.
const OWN_LOOK_COSTS: f64 = 0.11;

/// How far durations are spread (the standard deviation of their logarithm) where nothing is known, and the least and most
/// that is believed of a few samples.
const SPREAD: f64 = 0.3;
const LEAST_SPREAD: f64 = 0.12;
const MOST_SPREAD: f64 = 0.6;

/// How long work is thought to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DurationEstimate {
    /// Half of it takes less, seconds.
    pub(crate) median: f64,
    /// The standard deviation of the logarithm.
    pub(crate) spread: f64,
    /// Whether nobody has seen such work end yet.
    pub(crate) guessed: bool,
}

impl DurationEstimate {
    /// What a configuration says, before there is any history.
    #[expect(clippy::cast_precision_loss, reason = "a guess is a small number of seconds")]
    fn guessed(seconds: u64) -> Self {
        Self { median: seconds as f64, spread: SPREAD, guessed: true }
    }

    /// With work that has been in progress for `age`: where that is longer than was guessed, the guess was too low.
    pub(crate) fn given(self, age: TimeDelta) -> Self {
        let median = if self.guessed { self.median.max(age.as_seconds_f64()) } else { self.median };
        Self { median, ..self }
    }

    fn of(mut durations: Vec<f64>) -> Self {
        durations.retain(|seconds| *seconds > 0.0);
        durations.sort_by(f64::total_cmp);
        let quantile = |share: usize| durations.get(durations.len() * share / 4).copied().unwrap_or(1.0);
        let median = quantile(2);
        // Between the quartiles lie 1.35 standard deviations: a few that took very long do not count for much.
        let spread = (quantile(3) / quantile(1)).ln() / 1.35;
        Self { median: median.max(0.1), spread: spread.clamp(LEAST_SPREAD, MOST_SPREAD), guessed: false }
    }

    /// The share of such work that takes longer than `age` seconds.
    fn lasts(self, age: f64) -> f64 {
        if age <= 0.0 {
            return 1.0;
        }
        // The logistic function with this slope is the normal distribution to one per cent.
        let deviation = (age / self.median).ln() / self.spread;
        1.0 / (1.0 + (1.702 * deviation).exp())
    }

    /// How likely work is over at the age `age` that was in progress at the age `seen`.
    fn over(self, seen: f64, age: f64) -> f64 {
        let lasted = self.lasts(seen);
        // Far beyond anything expected: then it takes as long again as it has taken, give or take.
        if lasted < 1e-6 { 1.0 - (-(age - seen) / (0.5 * seen)).exp() } else { 1.0 - self.lasts(age) / lasted }
    }

    /// Whether hardly any work has ended at this age.
    pub(crate) fn is_too_soon(self, age: TimeDelta) -> bool {
        self.lasts(age.as_seconds_f64()) > 0.95
    }

    /// The steps in which time is gone through.
    fn step(self) -> f64 {
        (self.median / 100.0).max(0.02)
    }
}

/// Remembers how long each step's work usually takes.
#[derive(Debug)]
pub(crate) struct DurationHistory {
    pool: PgPool,
    known: Mutex<HashMap<StepName, Remembered>>,
}

/// How long a step's work takes, where enough runs are known, and when that was asked of the journal.
type Remembered = (DateTime<Utc>, Option<DurationEstimate>);

impl DurationHistory {
    /// With the journal in the database of `pool` as its memory.
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, known: Mutex::default() }
    }

    /// How long the work of `step` usually takes; `guess` seconds where too few runs are known.
    pub(crate) async fn expected(&self, step: StepName, guess: u64, now: DateTime<Utc>) -> DurationEstimate {
        let remembered = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&step).copied();
        if let Some((at, known)) = remembered
            && now - at < TimeDelta::seconds(20)
        {
            return known.unwrap_or(DurationEstimate::guessed(guess));
        }
        let known = match steps::recent_durations(&self.pool, step, SAMPLES).await {
            Ok(durations) if durations.len() >= FEWEST_SAMPLES => Some(DurationEstimate::of(durations)),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%error, %step, "the journal does not say how long this usually takes");
                None
            }
        };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(step, (now, known));
        known.unwrap_or(DurationEstimate::guessed(guess))
    }
}

/// The pause before the next look at work that has been under way for `elapsed`.
pub(crate) fn next_poll_delay(elapsed: TimeDelta, expected: DurationEstimate) -> TimeDelta {
    let expected = expected.given(elapsed);
    let elapsed = elapsed.as_seconds_f64().max(0.0);
    let (mut pause, mut lost, step) = (0.0, 0.0, expected.step().max(0.01 * elapsed));
    while lost < OWN_LOOK_COSTS * expected.median && pause < 5.0 * expected.median + elapsed {
        pause += step;
        lost += step * expected.over(elapsed, elapsed + pause);
    }
    // Never less than two seconds, and never a look right after the last. What has taken far too long is found a tenth of
    // that too late, and not looked at by the minute for days.
    let pause = pause.max(0.04 * expected.median).max(0.1 * (elapsed - 2.0 * expected.median)).max(2.0);
    // Up to three per cent later, so that what began together does not look together.
    seconds(pause * (1.0 + 0.03 * rand::random::<f64>()))
}

/// When work that others look after is looked at all the same, should nobody have told of its end: the pause from when it
/// has been under way for `elapsed`.
pub(crate) fn no_later_than(elapsed: TimeDelta, expected: DurationEstimate) -> TimeDelta {
    let elapsed = elapsed.as_seconds_f64().max(0.0);
    seconds((3.0 * expected.median - elapsed).max(0.25 * elapsed).max(60.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: DurationEstimate = DurationEstimate { median: 100.0, spread: 0.3, guessed: false };

    #[test]
    fn the_first_look_comes_about_the_usual_end() {
        let pause = next_poll_delay(TimeDelta::zero(), USUAL).as_seconds_f64();
        assert!((85.0..115.0).contains(&pause), "looked after {pause} s");
    }

    #[test]
    fn what_always_takes_as_long_is_looked_at_right_after_its_end() {
        let pause =
            next_poll_delay(TimeDelta::zero(), DurationEstimate { spread: LEAST_SPREAD, ..USUAL }).as_seconds_f64();
        assert!((100.0..116.0).contains(&pause), "looked after {pause} s");
    }

    #[test]
    fn pauses_grow_with_the_time_waited() {
        let pause = next_poll_delay(TimeDelta::seconds(2000), USUAL).as_seconds_f64();
        assert!((50.0..600.0).contains(&pause), "looked after {pause} s");
    }

    #[test]
    fn what_hangs_for_days_is_looked_at_some_dozens_of_times() {
        let (mut elapsed, mut looks) = (TimeDelta::zero(), 0);
        while elapsed < TimeDelta::days(3) {
            elapsed += next_poll_delay(elapsed, USUAL);
            looks += 1;
        }
        assert!((40..120).contains(&looks), "looked {looks} times");
    }

    #[test]
    fn a_guess_that_turns_out_too_low_is_given_up() {
        let guess = DurationEstimate { median: 10.0, guessed: true, ..USUAL };
        let pause = next_poll_delay(TimeDelta::seconds(200), guess).as_seconds_f64();
        assert!((20.0..200.0).contains(&pause), "looked after {pause} s");
    }

    #[test]
    fn it_never_looks_in_a_tight_loop() {
        for elapsed in 0..600 {
            let pause = next_poll_delay(TimeDelta::seconds(elapsed), DurationEstimate { median: 3.0, ..USUAL });
            assert!(pause >= TimeDelta::seconds(2), "{pause} after {elapsed} s");
        }
    }

    #[test]
    fn a_few_samples_say_how_long_it_takes_and_how_far_that_is_spread() {
        let expected = DurationEstimate::of(vec![30.0, 70.0, 90.0, 100.0, 110.0, 140.0, 900.0]);
        assert!((99.0..111.0).contains(&expected.median), "{expected:?}");
        assert!((0.2..0.6).contains(&expected.spread), "{expected:?}");
    }
}
