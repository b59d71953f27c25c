//! How fast a comparison asks: at most half of what AWS allows, so that whoever waits for an account has the other half.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Clock;
use freehold_tenancy::clock::seconds;
use freehold_tenancy::config::{Bucket, Quotas};
use tokio_util::sync::CancellationToken;

use crate::cloud::{self, CloudError, CloudErrorKind};

/// The share of each rate that a comparison takes.
const SHARE: f64 = 0.5;

/// How often one look is tried that AWS does not answer.
const TRIES: u32 = 4;

/// How long one look waits for a rate that others use up.
const PATIENCE: TimeDelta = TimeDelta::minutes(5);

/// Why a look came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObserveError {
    /// The process is about to end.
    #[error("it was broken off, because the process ends")]
    Stopped,
    /// AWS does not answer, or refuses.
    #[error("{0}")]
    Cloud(#[from] CloudError),
}

/// Paces the looks of one comparison.
pub(super) struct ReadThrottle {
    clock: Clock,
    quotas: Quotas,
    stop: CancellationToken,
    /// When the next call may be made, by bucket.
    turns: Mutex<HashMap<&'static str, DateTime<Utc>>>,
}

impl ReadThrottle {
    /// Looks end when `stop` is canceled.
    pub(super) fn new(clock: Clock, quotas: Quotas, stop: CancellationToken) -> Self {
        Self { clock, quotas, stop, turns: Mutex::default() }
    }

    /// What `look`, which makes `call`, answers. Looking changes nothing, so it is tried again also when the answer was
    /// lost.
    pub(super) async fn ask<T, F>(&self, call: &'static str, mut look: impl FnMut() -> F) -> Result<T, ObserveError>
    where
        F: Future<Output = cloud::Result<T>>,
    {
        let deadline = self.clock.now() + PATIENCE;
        let mut failures = 0;
        loop {
            self.turn(call).await?;
            let error = match look().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match error.kind {
                CloudErrorKind::Throttled { until: Some(until) } if until < deadline => self.sleep_until(until).await?,
                CloudErrorKind::Throttled { .. } | CloudErrorKind::NotYet | CloudErrorKind::Unknown
                    if failures + 1 < TRIES =>
                {
                    self.sleep_until(self.clock.now() + TimeDelta::seconds(1 << failures)).await?;
                    failures += 1;
                }
                _ => return Err(error.into()),
            }
        }
    }

    /// Waits until `call` may be made.
    async fn turn(&self, call: &'static str) -> Result<(), ObserveError> {
        let now = self.clock.now();
        let at = match self.quotas.bucket(call) {
            Some(Bucket { name: bucket, rate }) => {
                let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
                let next = turns.entry(bucket).or_insert(now);
                let at = (*next).max(now);
                *next = at + seconds(1.0 / (SHARE * rate.per_second));
                at
            }
            None => now,
        };
        self.sleep_until(at).await
    }

    async fn sleep_until(&self, at: DateTime<Utc>) -> Result<(), ObserveError> {
        if self.stop.is_cancelled() {
            return Err(ObserveError::Stopped);
        }
        // A timer that has run out already would cost a turn of the runtime for each call.
        if at <= self.clock.now() {
            return Ok(());
        }
        tokio::select! {
            () = self.stop.cancelled() => Err(ObserveError::Stopped),
            () = self.clock.sleep_until(at) => Ok(()),
        }
    }
}

/// So many seconds, a tenth more or less, so that what began together does not stay together.
pub(super) fn about(every: Duration) -> TimeDelta {
    seconds(every.as_secs_f64() * (0.9 + 0.2 * rand::random::<f64>()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn pace(clock: &Clock) -> ReadThrottle {
        ReadThrottle::new(clock.clone(), Quotas::default(), CancellationToken::new())
    }

    fn refused(kind: CloudErrorKind) -> CloudError {
        CloudError {
            kind,
            call: "organizations:ListAccounts",
            code: String::new(),
            message: String::new(),
            request_id: None,
        }
    }

    /// Lets time pass for whoever sleeps.
    async fn passing<T>(clock: &Clock, work: impl Future<Output = T>) -> T {
        let passing = async {
            loop {
                tokio::task::yield_now().await;
                clock.advance(Duration::from_millis(50));
            }
        };
        tokio::select! {
            done = work => done,
            never = passing => never,
        }
    }

    #[tokio::test]
    async fn it_takes_half_of_the_rate_of_aws() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let pace = pace(&clock);
        let calls = async {
            for _ in 0..41 {
                pace.ask("organizations:ListAccounts", async || Ok(())).await.unwrap();
            }
        };
        passing(&clock, calls).await;
        let took = (clock.now() - DateTime::UNIX_EPOCH).as_seconds_f64();
        assert!((10.0..10.3).contains(&took), "forty calls at half of 8 a second took {took} s");
    }

    #[tokio::test]
    async fn an_answer_that_was_lost_is_asked_for_again_and_a_refusal_is_not() {
        for (kind, expected) in
            [(CloudErrorKind::Unknown, 4), (CloudErrorKind::NotYet, 4), (CloudErrorKind::Denied { explicit: false }, 1)]
        {
            let clock = Clock::manual(DateTime::UNIX_EPOCH);
            let (pace, asked) = (pace(&clock), Cell::new(0));
            let look = || {
                asked.set(asked.get() + 1);
                std::future::ready(Err::<(), _>(refused(kind.clone())))
            };
            let answer = passing(&clock, pace.ask("organizations:ListAccounts", look)).await;
            assert_eq!(answer, Err(ObserveError::Cloud(refused(kind.clone()))));
            assert_eq!(asked.get(), expected, "{kind:?}");
        }
    }

    #[tokio::test]
    async fn it_ends_with_the_process() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let pace = pace(&clock);
        pace.ask("account:EnableRegion", async || Ok(())).await.unwrap();
        pace.stop.cancel();
        assert_eq!(pace.ask("account:EnableRegion", async || Ok(())).await, Err(ObserveError::Stopped));
    }
}
