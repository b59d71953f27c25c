//! Asking again where AWS is only busy: bootstrap has no queue to go back to.

use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::Clock;

use crate::cloud::{CloudErrorKind, Result};

/// How long to go on asking.
const PATIENCE: TimeDelta = TimeDelta::minutes(5);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// What `ask` answers, once it is neither throttled nor told to wait. A call whose effect is unknown is not repeated:
/// running bootstrap again looks before it acts.
pub(super) async fn retry_while_busy<T, F>(clock: &Clock, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = clock.now() + PATIENCE;
    let mut pause = Duration::from_secs(1);
    loop {
        let error = match ask().await {
            Err(error) if clock.now() < deadline => error,
            answer => return answer,
        };
        match error.kind {
            CloudErrorKind::Throttled { until: Some(until) } => clock.sleep_until(until).await,
            CloudErrorKind::Throttled { until: None } | CloudErrorKind::NotYet => clock.sleep(pause).await,
            _ => return Err(error),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use freehold_tenancy::clock::Scale;

    use super::*;
    use crate::cloud::CloudError;

    fn fast() -> Clock {
        let real = Clock::real().now();
        Clock::scaled(Scale { anchored_at: real, origin: real, speed: 10_000.0 })
    }

    fn error(kind: CloudErrorKind) -> CloudError {
        CloudError {
            kind,
            call: "organizations:CreatePolicy",
            code: String::new(),
            message: String::new(),
            request_id: None,
        }
    }

    async fn asked_until(kinds: &[CloudErrorKind]) -> (usize, Result<()>) {
        let (asked, clock) = (Cell::new(0), fast());
        let answer = retry_while_busy(&clock, || {
            let turn = asked.replace(asked.get() + 1);
            std::future::ready(kinds.get(turn).map_or(Ok(()), |kind| Err(error(kind.clone()))))
        });
        let answer = answer.await;
        (asked.get(), answer)
    }

    #[tokio::test]
    async fn a_busy_aws_is_asked_again() {
        let (asked, answer) = asked_until(&[CloudErrorKind::Throttled { until: None }, CloudErrorKind::NotYet]).await;
        assert_eq!((asked, answer), (3, Ok(())));
    }

    #[tokio::test]
    async fn a_refusal_and_an_unknown_effect_are_final() {
        for kind in [
            CloudErrorKind::Failed,
            CloudErrorKind::Denied { explicit: false },
            CloudErrorKind::Unknown,
            CloudErrorKind::Conflict,
        ] {
            let (asked, answer) = asked_until(std::slice::from_ref(&kind)).await;
            assert_eq!((asked, answer.unwrap_err().kind), (1, kind));
        }
    }

    #[tokio::test]
    async fn patience_ends() {
        let busy = vec![CloudErrorKind::NotYet; 1_000];
        let (asked, answer) = asked_until(&busy).await;
        assert!(answer.is_err() && asked < 100, "asked {asked} times");
    }
}
