//! Retries AWS calls for bootstrap, which does not run as an operation.

use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::Clock;

use crate::cloud::{CloudErrorKind, Result};

const MAX_RETRY_TIME: TimeDelta = TimeDelta::minutes(5);

const MAX_PAUSE: Duration = Duration::from_secs(20);

/// Repeats `call` while AWS throttles it or reports that the call is not possible yet. A call with unknown effect is
/// not repeated, because the next run of bootstrap reads the state before it writes.
pub(crate) async fn retry_while_busy<T, F>(clock: &Clock, mut call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = clock.now() + MAX_RETRY_TIME;
    let mut pause = Duration::from_secs(1);
    loop {
        let error = match call().await {
            Err(error) if clock.now() < deadline => error,
            result => return result,
        };
        match error.kind {
            CloudErrorKind::Throttled { until: Some(until) } => clock.sleep_until(until).await,
            CloudErrorKind::Throttled { until: None } | CloudErrorKind::NotYet => clock.sleep(pause).await,
            _ => return Err(error),
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use freehold_tenancy::clock::Scale;

    use super::*;
    use crate::cloud::CloudError;

    fn fast_clock() -> Clock {
        let real = Clock::real().now();
        Clock::scaled(Scale { anchored_at: real, origin: real, speed: 10_000.0 })
    }

    fn error(kind: CloudErrorKind) -> CloudError {
        CloudError::from_freehold(kind, "organizations:CreatePolicy", "", String::new())
    }

    async fn attempts_after(kinds: &[CloudErrorKind]) -> (usize, Result<()>) {
        let (attempts, clock) = (Cell::new(0), fast_clock());
        let result = retry_while_busy(&clock, || {
            let attempt = attempts.replace(attempts.get() + 1);
            std::future::ready(kinds.get(attempt).map_or(Ok(()), |kind| Err(error(kind.clone()))))
        });
        let result = result.await;
        (attempts.get(), result)
    }

    #[tokio::test]
    async fn a_call_is_repeated_while_aws_is_busy() {
        let (attempts, result) =
            attempts_after(&[CloudErrorKind::Throttled { until: None }, CloudErrorKind::NotYet]).await;
        assert_eq!((attempts, result), (3, Ok(())));
    }

    #[tokio::test]
    async fn a_permanent_error_and_an_unknown_effect_are_not_retried() {
        for kind in [
            CloudErrorKind::Failed,
            CloudErrorKind::Denied { explicit_deny: false },
            CloudErrorKind::Unknown,
            CloudErrorKind::Conflict,
        ] {
            let (attempts, result) = attempts_after(std::slice::from_ref(&kind)).await;
            assert_eq!((attempts, result.unwrap_err().kind), (1, kind));
        }
    }

    #[tokio::test]
    async fn retries_stop_after_the_time_limit() {
        let busy = vec![CloudErrorKind::NotYet; 1_000];
        let (attempts, result) = attempts_after(&busy).await;
        assert!(result.is_err() && attempts < 100, "{attempts} attempts");
    }
}
