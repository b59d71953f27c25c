//! Where every process takes the time from: the wall, a faster wall for the sandbox, or a test's hand.
//!
//! Nothing else may ask for the time (the `tidy` test checks it), PostgreSQL's `now()` included: a statement that needs
//! the time takes it as a parameter, so that a simulated day can pass in minutes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::sync::Notify;

/// A source of time, cheap to clone; clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Real,
    Scaled(Scale),
    Manual { now: Mutex<DateTime<Utc>>, moved: Notify },
}

/// A faster clock: at `anchored_at` of real time it showed `origin`, and since then it runs `speed` times as fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Real time at which the clock showed `origin`.
    pub anchored_at: DateTime<Utc>,
    /// What the clock showed then.
    pub origin: DateTime<Utc>,
    /// Simulated seconds a real second.
    pub speed: f64,
}

impl Clock {
    /// The wall clock.
    pub fn real() -> Self {
        Self(Arc::new(Kind::Real))
    }

    /// A clock that runs faster (or slower) than the wall.
    pub fn scaled(scale: Scale) -> Self {
        Self(Arc::new(Kind::Scaled(scale)))
    }

    /// A clock that stands still until [`Clock::advance_to`].
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Arc::new(Kind::Manual { now: Mutex::new(start), moved: Notify::new() }))
    }

    /// The time, cut to the microseconds that PostgreSQL keeps.
    pub fn now(&self) -> DateTime<Utc> {
        let now = match &*self.0 {
            Kind::Real => wall(),
            Kind::Scaled(scale) => {
                let real = (wall() - scale.anchored_at).as_seconds_f64().max(0.0);
                scale.origin + seconds(real * scale.speed)
            }
            Kind::Manual { now, .. } => *now.lock().unwrap_or_else(PoisonError::into_inner),
        };
        now.trunc_subsecs(6)
    }

    /// Waits until the clock shows `deadline`.
    pub async fn sleep_until(&self, deadline: DateTime<Utc>) {
        match &*self.0 {
            Kind::Real => tokio::time::sleep(positive(deadline - self.now())).await,
            Kind::Scaled(scale) => {
                let left = positive(deadline - self.now()).as_secs_f64() / scale.speed;
                tokio::time::sleep(Duration::from_secs_f64(left)).await;
            }
            Kind::Manual { moved, .. } => loop {
                let waiting = moved.notified();
                tokio::pin!(waiting);
                waiting.as_mut().enable();
                if self.now() >= deadline {
                    return;
                }
                waiting.await;
            },
        }
    }

    /// Waits for `duration` of this clock's time.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)).await;
    }

    /// Moves a manual clock forward; any other clock, and a time in the past, is left alone.
    pub fn advance_to(&self, time: DateTime<Utc>) {
        if let Kind::Manual { now, moved } = &*self.0 {
            let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
            *now = time.max(*now);
            drop(now);
            moved.notify_waiters();
        }
    }

    /// Moves a manual clock forward by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.advance_to(self.now() + TimeDelta::from_std(duration).unwrap_or_default());
    }

    /// Simulated seconds a real second: 1 for the wall clock and for one moved by hand.
    pub fn speed(&self) -> f64 {
        match &*self.0 {
            Kind::Scaled(scale) => scale.speed,
            Kind::Real | Kind::Manual { .. } => 1.0,
        }
    }
}

/// A span of `secs` seconds, to the microsecond.
pub fn seconds(secs: f64) -> TimeDelta {
    #[expect(clippy::cast_possible_truncation, reason = "microseconds of any span that a control plane knows fit")]
    TimeDelta::microseconds((secs * 1e6) as i64)
}

fn positive(delta: TimeDelta) -> Duration {
    delta.to_std().unwrap_or_default()
}

/// The one place that reads the wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_clock_runs_at_its_speed() {
        let origin = DateTime::UNIX_EPOCH;
        let clock = Clock::scaled(Scale { anchored_at: wall() - TimeDelta::seconds(10), origin, speed: 60.0 });
        let shown = (clock.now() - origin).num_seconds();
        assert!((600..660).contains(&shown), "ten real seconds at speed 60 showed {shown} s");
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_its_sleepers_when_it_is_moved() {
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
