//! Rate limiter that restricts the reads of a comparison to half of AWS's rates, so that operations can use the other
//! half.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Clock;
use freehold_tenancy::clock::seconds;
use freehold_tenancy::config::{Bucket, Quotas};
use freehold_tenancy::jitter;
use tokio_util::sync::CancellationToken;

use crate::cloud::{self, CloudError, CloudErrorKind};

/// Share of each AWS rate limit that a comparison uses.
const RATE_SHARE: f64 = 0.5;

/// Maximum number of attempts of a read that fails temporarily.
const MAX_READ_ATTEMPTS: u32 = 4;

/// Maximum time that a read waits for a rate limit.
const MAX_WAIT: TimeDelta = TimeDelta::minutes(5);

/// Error of an AWS read during a comparison.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObserveError {
    /// The process is stopping.
    #[error("the comparison was interrupted, because the process is stopping")]
    Stopped,
    /// AWS did not respond or rejected the call.
    #[error("{0}")]
    Cloud(#[from] CloudError),
}

/// Rate limiter for the reads of one comparison.
pub(crate) struct ReadThrottle {
    clock: Clock,
    quotas: Quotas,
    stop: CancellationToken,
    /// Time of the next permitted call, by token bucket.
    next_calls: Mutex<HashMap<&'static str, DateTime<Utc>>>,
}

impl ReadThrottle {
    /// Creates a rate limiter. Reads fail after `stop` is cancelled.
    pub(crate) fn new(clock: Clock, quotas: Quotas, stop: CancellationToken) -> Self {
        Self { clock, quotas, stop, next_calls: Mutex::default() }
    }

    /// Runs `read`, which makes the AWS call `call`, within the rate limit of the call. The read is also retried if its
    /// response was lost, because a read changes nothing.
    pub(crate) async fn read<T, F>(&self, call: &'static str, mut read: impl FnMut() -> F) -> Result<T, ObserveError>
    where
        F: Future<Output = cloud::Result<T>>,
    {
        let deadline = self.clock.now() + MAX_WAIT;
        let mut failures = 0;
        loop {
            self.wait_for_rate_limit(call).await?;
            let error = match read().await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            match error.kind {
                CloudErrorKind::Throttled { until: Some(until) } if until < deadline => self.sleep_until(until).await?,
                CloudErrorKind::Throttled { .. } | CloudErrorKind::NotYet | CloudErrorKind::Unknown
                    if failures + 1 < MAX_READ_ATTEMPTS =>
                {
                    self.sleep_until(self.clock.now() + TimeDelta::seconds(1 << failures)).await?;
                    failures += 1;
                }
                _ => return Err(error.into()),
            }
        }
    }

    /// Waits until the rate limit allows `call`.
    async fn wait_for_rate_limit(&self, call: &'static str) -> Result<(), ObserveError> {
        let now = self.clock.now();
        let at = match self.quotas.bucket(call) {
            Some(Bucket { name: bucket, rate }) => {
                let mut next_calls = self.next_calls.lock().unwrap_or_else(PoisonError::into_inner);
                let next = next_calls.entry(bucket).or_insert(now);
                let at = (*next).max(now);
                *next = at + seconds(1.0 / (RATE_SHARE * rate.per_second));
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
        // An expired timer would still yield to the runtime on each call.
        if at <= self.clock.now() {
            return Ok(());
        }
        tokio::select! {
            () = self.stop.cancelled() => Err(ObserveError::Stopped),
            () = self.clock.sleep_until(at) => Ok(()),
        }
    }
}

/// Returns the interval `every` with 10 % jitter, so that workers that started together do not stay synchronised.
pub(super) fn with_jitter(every: Duration) -> TimeDelta {
    seconds(every.as_secs_f64() * jitter::factor(0.9..1.1))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn throttle(clock: &Clock) -> ReadThrottle {
        ReadThrottle::new(clock.clone(), Quotas::default(), CancellationToken::new())
    }

    fn error(kind: CloudErrorKind) -> CloudError {
        CloudError::from_freehold(kind, "organizations:ListAccounts", "", String::new())
    }

    /// Runs `work` while the clock advances.
    async fn run_while_clock_advances<T>(clock: &Clock, work: impl Future<Output = T>) -> T {
        let time = async {
            loop {
                tokio::task::yield_now().await;
                clock.advance(Duration::from_millis(50));
            }
        };
        tokio::select! {
            done = work => done,
            never = time => never,
        }
    }

    #[tokio::test]
    async fn reads_use_half_of_the_rate_of_aws() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let throttle = throttle(&clock);
        let calls = async {
            for _ in 0..41 {
                throttle.read("organizations:ListAccounts", async || Ok(())).await.unwrap();
            }
        };
        run_while_clock_advances(&clock, calls).await;
        let elapsed = (clock.now() - DateTime::UNIX_EPOCH).as_seconds_f64();
        assert!((10.0..10.3).contains(&elapsed), "40 calls at half of 8 per second took {elapsed} s");
    }

    #[tokio::test]
    async fn a_lost_response_is_retried_and_a_rejection_is_not() {
        for (kind, expected) in [
            (CloudErrorKind::Unknown, 4),
            (CloudErrorKind::NotYet, 4),
            (CloudErrorKind::Denied { explicit_deny: false }, 1),
        ] {
            let clock = Clock::manual(DateTime::UNIX_EPOCH);
            let (throttle, attempts) = (throttle(&clock), Cell::new(0));
            let read = || {
                attempts.set(attempts.get() + 1);
                std::future::ready(Err::<(), _>(error(kind.clone())))
            };
            let response = run_while_clock_advances(&clock, throttle.read("organizations:ListAccounts", read)).await;
            assert_eq!(response, Err(ObserveError::Cloud(error(kind.clone()))));
            assert_eq!(attempts.get(), expected, "{kind:?}");
        }
    }

    #[tokio::test]
    async fn reads_fail_when_the_process_stops() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let throttle = throttle(&clock);
        throttle.read("account:EnableRegion", async || Ok(())).await.unwrap();
        throttle.stop.cancel();
        assert_eq!(throttle.read("account:EnableRegion", async || Ok(())).await, Err(ObserveError::Stopped));
    }
}
