//! AWS access of one worker. The worker checks its credentials at the start and regularly. While it cannot call AWS, it
//! claims no operation, so that other workers run them and no attempt is lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::workers::{self, AwsAccessChange};
use freehold_tenancy::fleet_hold::HoldKind;
use freehold_tenancy::{Clock, WorkerId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::aws::{AccessError, Aws};

/// Real time between two checks while the worker can call AWS. With the duration of a check, it is less than the minute
/// within which a worker reports that it cannot work.
const CHECK_INTERVAL: Duration = Duration::from_secs(40);

/// Real time between two checks while the worker cannot call AWS.
const FAILED_CHECK_INTERVAL: Duration = Duration::from_secs(15);

/// Number of consecutive checks without an answer of AWS after which a worker counts as one that cannot call AWS.
const MAX_UNANSWERED_CHECKS: u32 = 3;

/// Real time after which an unchanged error is logged again.
const REPEAT_LOG_INTERVAL: Duration = Duration::from_mins(5);

/// Result of the last check.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Access {
    Unchecked,
    Usable,
    /// The worker cannot call AWS. Contains the reason.
    Failing(String),
}

/// State of the checks that only the next check reads.
#[derive(Default)]
struct History {
    unanswered: u32,
    /// Last error that was logged, with its time; `None` if the worker has worked since.
    logged: Option<(String, Instant)>,
}

pub(crate) struct AwsAccess {
    worker: WorkerId,
    /// Name of the worker, as in its claims.
    name: String,
    pool: PgPool,
    clock: Clock,
    aws: Arc<Aws>,
    access: watch::Sender<Access>,
    history: Mutex<History>,
}

/// AWS access of a worker, for its health check.
#[derive(Clone)]
pub struct AwsAccessStatus(watch::Receiver<Access>);

impl AwsAccessStatus {
    /// Returns the reason why the worker cannot call AWS, or `None` if it can.
    pub fn problem(&self) -> Option<String> {
        match &*self.0.borrow() {
            Access::Unchecked => Some("the AWS credentials have not been checked yet".to_owned()),
            Access::Usable => None,
            Access::Failing(error) => Some(error.clone()),
        }
    }
}

impl AwsAccess {
    /// Creates the access of the worker `name`, which has not been checked yet.
    pub(crate) fn new(name: &str, pool: PgPool, clock: Clock, aws: Arc<Aws>) -> Self {
        let (access, history) = (watch::Sender::new(Access::Unchecked), Mutex::default());
        Self { worker: WorkerId::new(clock.now()), name: name.to_owned(), pool, clock, aws, access, history }
    }

    pub(crate) fn status(&self) -> AwsAccessStatus {
        AwsAccessStatus(self.access.subscribe())
    }

    /// Returns whether the last check failed.
    pub(crate) fn is_failing(&self) -> bool {
        matches!(*self.access.borrow(), Access::Failing(_))
    }

    /// Waits until a check succeeds, or returns immediately if the last one has.
    pub(crate) async fn wait_until_usable(&self) {
        // The sender lives as long as this value, so the wait cannot fail.
        _ = self.access.subscribe().wait_for(|access| *access == Access::Usable).await;
    }

    /// Checks the credentials until `shutdown` is cancelled, then removes the worker from the running ones.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            let started = Instant::now();
            let result = tokio::select! {
                result = self.aws.check_access() => result,
                () = shutdown.cancelled() => break,
            };
            // This future is never dropped, because dropping it would leave a connection with an open transaction.
            self.report(result).await;
            let interval = if *self.access.borrow() == Access::Usable { CHECK_INTERVAL } else { FAILED_CHECK_INTERVAL };
            tokio::select! {
                () = tokio::time::sleep(interval.saturating_sub(started.elapsed())) => {}
                () = shutdown.cancelled() => {}
            }
        }
        if let Err(error) = workers::delete(&self.pool, self.worker).await {
            tracing::debug!(%error, "cannot remove worker {} from the running workers", self.name);
        }
    }

    /// Checks the credentials once.
    pub(crate) async fn check(&self) {
        let result = self.aws.check_access().await;
        self.report(result).await;
    }

    /// Reports the result of a check in the log, in the metrics and in the database.
    async fn report(&self, result: Result<(), AccessError>) {
        if let Some(access) = self.evaluate(&result) {
            metrics::gauge!("freehold_worker_aws_access").set(if access == Access::Usable { 1.0 } else { 0.0 });
            self.log(&access, result.as_ref().err().and_then(AccessError::request_id));
            self.access.send_replace(access);
        }
        // A state that has not changed is recorded too, because the row of a running worker must not become old.
        if let Err(error) = self.record().await {
            tracing::warn!(%error, "cannot record whether worker {} can call AWS", self.name);
        }
    }

    /// Returns the state after a check, or `None` if the check does not change the state.
    fn evaluate(&self, result: &Result<(), AccessError>) -> Option<Access> {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => {
                history.unanswered = 0;
                Some(Access::Usable)
            }
            Err(AccessError::NotChecked(_)) => None,
            Err(error) => {
                history.unanswered += 1;
                let is_tolerated = error.is_unanswered() && history.unanswered < MAX_UNANSWERED_CHECKS;
                let is_usable = *self.access.borrow() == Access::Usable;
                (!(is_tolerated && is_usable)).then(|| Access::Failing(error.to_string()))
            }
        }
    }

    fn log(&self, access: &Access, aws_request_id: Option<&str>) {
        let (worker, mut history) = (&self.name, self.history.lock().unwrap_or_else(PoisonError::into_inner));
        match access {
            Access::Failing(error) => {
                let is_known = history
                    .logged
                    .as_ref()
                    .is_some_and(|(logged, at)| logged == error && at.elapsed() < REPEAT_LOG_INTERVAL);
                if !is_known {
                    tracing::warn!(
                        worker,
                        error,
                        aws_request_id,
                        "worker {worker} cannot call AWS and claims no operations; will check again"
                    );
                    history.logged = Some((error.clone(), Instant::now()));
                }
            }
            _ => {
                if history.logged.take().is_some() {
                    tracing::info!(worker, "worker {worker} can call AWS again");
                }
            }
        }
    }

    /// Records the state in the database, and raises one alert when no worker can call AWS any more.
    async fn record(&self) -> freehold_tenancy::db::Result<()> {
        let (pool, access) = (&self.pool, self.access.borrow().clone());
        let error = match &access {
            Access::Unchecked => return Ok(()),
            Access::Usable => None,
            Access::Failing(error) => Some(error.as_str()),
        };
        let code = HoldKind::WorkersWithoutAwsAccess.as_str();
        match workers::record_check(pool, self.worker, &self.name, error, self.clock.now()).await? {
            AwsAccessChange::None => {}
            AwsAccessChange::OutageStarted => {
                let message = HoldKind::WorkersWithoutAwsAccess.message();
                tracing::error!(target: "freehold::alert", code, error, "{message}");
                metrics::counter!("freehold_fleet_holds_total", "kind" => code).increment(1);
            }
            AwsAccessChange::OutageEnded => {
                tracing::info!(target: "freehold::alert", code, "fleet hold {code} is lifted");
            }
        }
        Ok(())
    }
}
