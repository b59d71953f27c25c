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
const FEWEST_SAMPLES: usize = 5;

/// When to look, as shares of the time that such work usually takes. For durations spread as AWS's are (log-normal, CV
/// about 0.3) this takes two looks and finds the end a tenth of the duration late.
const LOOKS: [f64; 7] = [0.9, 1.15, 1.4, 1.7, 2.1, 2.6, 3.2];

/// When to look while nobody knows better than a guess, which may be far too long.
const FIRST_LOOKS: [f64; 9] = [0.2, 0.35, 0.5, 0.7, 0.9, 1.2, 1.6, 2.2, 3.0];

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

/// Remembers how long each step's work usually takes.
#[derive(Debug)]
pub(crate) struct Patience {
    pool: PgPool,
    known: Mutex<HashMap<&'static str, (DateTime<Utc>, Option<f64>)>>,
}

impl Patience {
    /// With the journal in the database of `pool` as its memory.
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, known: Mutex::default() }
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

fn median(mut durations: Vec<f64>) -> Option<f64> {
    durations.sort_by(f64::total_cmp);
    durations.get(durations.len() / 2).copied()
}

/// The pause before the next look at work that has been under way for `elapsed`.
pub(crate) fn next_look(elapsed: TimeDelta, expected: Expected) -> TimeDelta {
    let elapsed = elapsed.as_seconds_f64().max(0.0);
    let (looks, seconds_expected) = match expected {
        Expected::Known(median) => (LOOKS.as_slice(), median),
        Expected::Guessed(guess) => (FIRST_LOOKS.as_slice(), guess),
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
        let pause = next_look(TimeDelta::zero(), Expected::Known(100.0)).as_seconds_f64();
        assert!((90.0..95.0).contains(&pause), "looked after {pause} s");
    }

    #[test]
    fn pauses_grow_with_the_time_waited() {
        let pause = next_look(TimeDelta::seconds(1000), Expected::Known(100.0)).as_seconds_f64();
        assert!((250.0..260.0).contains(&pause), "looked after {pause} s");
    }

    #[test]
    fn it_never_looks_in_a_tight_loop() {
        for elapsed in 0..600 {
            let pause = next_look(TimeDelta::seconds(elapsed), Expected::Guessed(3.0));
            assert!(pause >= TimeDelta::seconds(2), "{pause} after {elapsed} s");
        }
    }
}
