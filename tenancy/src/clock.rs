//! Clock of all processes: real time, accelerated time in the sandbox, or manual time in tests.
//!
//! No other code reads the system time (the `tidy` test checks that), and no SQL statement calls `now()`. A statement
//! that needs the time takes it as a parameter, so that a simulated day can pass in minutes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::sync::Notify;

/// Source of the current time. Cloning is cheap, and all clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<ClockKind>);

#[derive(Debug)]
enum ClockKind {
    Real,
    Scaled(Scale),
    Manual { now: Mutex<DateTime<Utc>>, time_changed: Notify },
}

/// Parameters of a scaled clock, which shows `origin` at the real time `anchored_at` and then runs `speed` times as
/// fast as real time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Real time at which the clock showed `origin`.
    pub anchored_at: DateTime<Utc>,
    /// Simulated time at `anchored_at`.
    pub origin: DateTime<Utc>,
    /// Simulated seconds per real second.
    pub speed: f64,
}

impl Clock {
    /// Creates a clock that shows the real time.
    pub fn real() -> Self {
        Self(Arc::new(ClockKind::Real))
    }

    /// Creates a clock that runs faster or slower than real time.
    pub fn scaled(scale: Scale) -> Self {
        Self(Arc::new(ClockKind::Scaled(scale)))
    }

    /// Creates a clock that changes only through [`Clock::advance_to`] and [`Clock::advance`].
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Arc::new(ClockKind::Manual { now: Mutex::new(start), time_changed: Notify::new() }))
    }

    /// Returns the current time, truncated to microseconds, the precision of PostgreSQL.
    pub fn now(&self) -> DateTime<Utc> {
        let now = match &*self.0 {
            ClockKind::Real => real_time(),
            ClockKind::Scaled(scale) => {
                let elapsed = (real_time() - scale.anchored_at).as_seconds_f64().max(0.0);
                scale.origin + seconds(elapsed * scale.speed)
            }
            ClockKind::Manual { now, .. } => *now.lock().unwrap_or_else(PoisonError::into_inner),
        };
        now.trunc_subsecs(6)
    }

    /// Returns the time that programs with a clock of their own see: the system time. A manual clock is the only clock
    /// of its test.
    pub fn system_time(&self) -> DateTime<Utc> {
        match &*self.0 {
            ClockKind::Real | ClockKind::Scaled(_) => real_time().trunc_subsecs(6),
            ClockKind::Manual { .. } => self.now(),
        }
    }

    /// Waits until this clock shows `deadline`.
    pub async fn sleep_until(&self, deadline: DateTime<Utc>) {
        match &*self.0 {
            ClockKind::Real => tokio::time::sleep(non_negative(deadline - self.now())).await,
            ClockKind::Scaled(scale) => {
                let left = non_negative(deadline - self.now()).as_secs_f64() / scale.speed;
                tokio::time::sleep(Duration::from_secs_f64(left)).await;
            }
            ClockKind::Manual { time_changed, .. } => loop {
                let waiting = time_changed.notified();
                tokio::pin!(waiting);
                waiting.as_mut().enable();
                if self.now() >= deadline {
                    return;
                }
                waiting.await;
            },
        }
    }

    /// Waits until this clock has advanced by `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)).await;
    }

    /// Sets a manual clock to `time`. Has no effect on other clocks or if `time` is in the past.
    pub fn advance_to(&self, time: DateTime<Utc>) {
        if let ClockKind::Manual { now, time_changed } = &*self.0 {
            let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
            *now = time.max(*now);
            drop(now);
            time_changed.notify_waiters();
        }
    }

    /// Moves a manual clock forward by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.advance_to(self.now() + TimeDelta::from_std(duration).unwrap_or_default());
    }

    /// Returns the simulated seconds per real second; 1 for a real and a manual clock.
    pub fn speed(&self) -> f64 {
        match &*self.0 {
            ClockKind::Scaled(scale) => scale.speed,
            ClockKind::Real | ClockKind::Manual { .. } => 1.0,
        }
    }
}

/// Converts seconds to a duration with a precision of microseconds.
pub fn seconds(secs: f64) -> TimeDelta {
    #[expect(clippy::cast_possible_truncation, reason = "durations here are far below the maximum of i64 microseconds")]
    TimeDelta::microseconds((secs * 1e6) as i64)
}

fn non_negative(delta: TimeDelta) -> Duration {
    delta.to_std().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the only place that reads the system time")]
fn real_time() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_clock_runs_at_its_speed() {
        let origin = DateTime::UNIX_EPOCH;
        let clock = Clock::scaled(Scale { anchored_at: real_time() - TimeDelta::seconds(10), origin, speed: 60.0 });
        let elapsed = (clock.now() - origin).num_seconds();
        assert!((600..660).contains(&elapsed), "ten real seconds at speed 60 were {elapsed} s");
    }

    #[tokio::test]
    async fn advancing_a_manual_clock_wakes_its_sleepers() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(30)).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(29));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
    }
}
