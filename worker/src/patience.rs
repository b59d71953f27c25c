//! When to look again at work that AWS is doing: often enough to lose little time, seldom enough to spare calls, and
//! guided by how long such work has taken before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::clock::seconds;
use freehold_tenancy::db::{PgPool, steps};

/// How many of the latest runs are asked.
const SAMPLES: i64 = 40;
/// With fewer, the figure that the step brings is believed.
const FEWEST_SAMPLES: usize = 3;

/// When to look, as shares of the time that such work usually takes. For durations spread as AWS's are (log-normal, CV
/// about 0.3) this takes two looks and finds the end a tenth of the duration late.
const LOOKS: [f64; 7] = [0.9, 1.15, 1.4, 1.7, 2.1, 2.6, 3.2];

/// When to look where one look serves a crowd: often, since most will be told by another's look.
const CROWDED_LOOKS: [f64; 10] = [0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 1.75, 2.1, 2.6, 3.2];

/// The shortest pause between two looks of a crowd, as a share of the usual time.
const CROWDED_PAUSE: f64 = 0.13;

/// When to look while nobody knows better than a guess, which may be far too long.
const FIRST_LOOKS: [f64; 8] = [0.25, 0.45, 0.7, 1.0, 1.3, 1.7, 2.2, 3.0];

/// After the last of those: each pause is this share of the time waited so far.
const THEN: f64 = 0.25;

/// How many seconds work is thought to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Expected {
    /// The median of what it has taken lately.
    Known(f64),
    /// What the step brings along.
    Guessed(f64),
}

/// Whom a look serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serves {
    /// The operation that looks.
    One,
    /// As many operations as AWS allows at one time.
    Crowd,
}

/// Remembers how long each step's work usually takes.
#[derive(Debug)]
pub(crate) struct Patience {
    pool: PgPool,
    known: Mutex<HashMap<&'static str, Remembered>>,
    shared: Mutex<HashMap<&'static str, SharedLook>>,
}

/// The median of what a step's work took, where enough runs are known, and when that was asked of the journal.
type Remembered = (DateTime<Utc>, Option<f64>);

/// The latest look of this process that served everybody who waits in a step.
#[derive(Debug, Clone, Copy)]
struct SharedLook {
    at: DateTime<Utc>,
    crowd: bool,
}

impl Patience {
    /// With the journal in the database of `pool` as its memory.
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, known: Mutex::default(), shared: Mutex::default() }
    }

    /// The seconds that the work of `step` usually takes; `guess` where too few runs are known.
    pub(crate) async fn expected(&self, step: &'static str, guess: u64, now: DateTime<Utc>) -> Expected {
        #[expect(clippy::cast_precision_loss, reason = "a guess is a small number of seconds")]
        let expected = |median: Option<f64>| median.map_or(Expected::Guessed(guess as f64), Expected::Known);
        let remembered = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(step).copied();
        if let Some((at, median)) = remembered
            && now - at < TimeDelta::seconds(20)
        {
            return expected(median);
        }
        let median = match steps::recent_durations(&self.pool, step, SAMPLES).await {
            Ok(durations) if durations.len() >= FEWEST_SAMPLES => median(durations),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%error, step, "the journal does not say how long this usually takes");
                None
            }
        };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(step, (now, median));
        expected(median)
    }
}

impl Patience {
    /// Notes a look that served everybody who waits in `step`.
    pub(crate) fn note_shared_look(&self, step: &'static str, at: DateTime<Utc>, crowd: bool) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).insert(step, SharedLook { at, crowd });
    }

    /// Whether there was a crowd at the latest shared look of `step`.
    pub(crate) fn serves(&self, step: &'static str) -> Serves {
        let latest = self.shared.lock().unwrap_or_else(PoisonError::into_inner).get(step).copied();
        if latest.is_some_and(|look| look.crowd) { Serves::Crowd } else { Serves::One }
    }

    /// When the next look of a crowd is due, where the latest is too fresh for another.
    pub(crate) async fn too_soon(&self, step: &'static str, guess: u64, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let latest = self.shared.lock().unwrap_or_else(PoisonError::into_inner).get(step).copied()?;
        let (Expected::Known(usually) | Expected::Guessed(usually)) = self.expected(step, guess, now).await;
        let next = latest.at + seconds(CROWDED_PAUSE * usually);
        (latest.crowd && next > now).then_some(next)
    }
}

fn median(mut durations: Vec<f64>) -> Option<f64> {
    durations.sort_by(f64::total_cmp);
    durations.get(durations.len() / 2).copied()
}

/// The pause before the next look at work that has been under way for `elapsed`.
pub(crate) fn next_look(elapsed: TimeDelta, expected: Expected, serves: Serves) -> TimeDelta {
    let elapsed = elapsed.as_seconds_f64().max(0.0);
    let (looks, seconds_expected) = match (expected, serves) {
        (Expected::Known(median), Serves::One) => (LOOKS.as_slice(), median),
        (Expected::Known(median), Serves::Crowd) => (CROWDED_LOOKS.as_slice(), median),
        (Expected::Guessed(guess), _) => (FIRST_LOOKS.as_slice(), guess),
    };
    // Never less than two seconds, and never a look right after the last.
    let soonest = elapsed + (0.04 * seconds_expected).max(2.0);
    let look = looks.iter().map(|share| share * seconds_expected).find(|at| *at >= soonest);
    let at = look.unwrap_or_else(|| (elapsed * (1.0 + THEN)).max(soonest));
    // Up to three per cent later, so that what began together does not look together.
    seconds((at - elapsed) * (1.0 + 0.03 * rand::random::<f64>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_look_comes_shortly_before_the_usual_end() {
        let pause = next_look(TimeDelta::zero(), Expected::Known(100.0), Serves::One).as_seconds_f64();
        assert!((90.0..95.0).contains(&pause), "looked after {pause} s");
    }

    #[test]
    fn pauses_grow_with_the_time_waited() {
        let pause = next_look(TimeDelta::seconds(1000), Expected::Known(100.0), Serves::One).as_seconds_f64();
        assert!((250.0..260.0).contains(&pause), "looked after {pause} s");
    }

    #[test]
    fn it_never_looks_in_a_tight_loop() {
        for elapsed in 0..600 {
            let pause = next_look(TimeDelta::seconds(elapsed), Expected::Guessed(3.0), Serves::One);
            assert!(pause >= TimeDelta::seconds(2), "{pause} after {elapsed} s");
        }
    }
}
