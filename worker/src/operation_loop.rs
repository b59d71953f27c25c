//! Loop that claims due operations and runs them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::clock::seconds;
use freehold_tenancy::db::fence::Claim;
use freehold_tenancy::db::notify;
use freehold_tenancy::db::operations;
use freehold_tenancy::db::{self, DbError, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::runner;
use crate::services::Services;
use crate::shared_poller;

/// Maximum number of operations that a process runs concurrently. A waiting operation needs no task.
const MAX_CONCURRENT_OPERATIONS: usize = 32;

/// Maximum real time between two checks for due operations, in case every wake-up is lost. Together with the lease, it
/// limits the delay of an operation whose worker has died.
const MAX_SLEEP: Duration = Duration::from_secs(10);

/// Minimum real time between two checks for due operations, unless a signal wakes the loop.
const MIN_SLEEP: Duration = Duration::from_millis(20);

/// Real time for which a due operation is reserved for the worker that ran it before.
const AFFINITY_PERIOD: Duration = Duration::from_millis(500);

/// Rule for due operations that are reserved for the worker that ran them before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Affinity {
    Ignore,
    Prefer,
    Require,
}

pub(crate) struct OperationLoop {
    services: Arc<Services>,
    /// Name of the worker, which is stored in its claims.
    name: String,
    /// Time at which the next shared poll is due, as of the last check of the database. It is cleared when the poll
    /// starts, so that the next poll starts only after another check.
    next_poll_at: Mutex<Option<DateTime<Utc>>>,
}

impl OperationLoop {
    pub(crate) fn new(name: String, services: Arc<Services>) -> Self {
        Self { services, name, next_poll_at: Mutex::default() }
    }

    /// Claims and runs due operations until `shutdown` is cancelled. Then finishes the steps in progress and releases
    /// the claims, so that no operation waits until a lease expires.
    pub(crate) async fn run(self: &Arc<Self>, shutdown: &CancellationToken) {
        let mut running = JoinSet::new();
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = self.services.aws_access.wait_until_usable() => {}
                () = shutdown.cancelled() => break,
            }
            if self.take_due_poll() {
                let this = Arc::clone(self);
                running.spawn(async move { this.poll().await });
            }
            match self.claim(MAX_CONCURRENT_OPERATIONS.saturating_sub(running.len()), Affinity::Prefer).await {
                Ok(claims) => {
                    for claim in claims {
                        let this = Arc::clone(self);
                        let stop = shutdown.clone();
                        running.spawn(async move { this.run_operation(claim, &stop).await });
                    }
                }
                Err(error) => {
                    let error = db::explain(&self.services.pool, error).await;
                    tracing::warn!(%error, "cannot claim due operations; will retry");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            }
            let full = running.len() >= MAX_CONCURRENT_OPERATIONS;
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(_) = running.join_next() => {}
                () = self.services.wake_signals.wait_for_operations(), if !full => {}
                () = self.next_due(), if !full => {}
            }
        }
        while running.join_next().await.is_some() {}
        // Other workers may be asleep, and the released operations are due now.
        if let Err(error) = notify::notify_now(&self.services.pool).await {
            tracing::warn!(%error, "cannot notify the other workers of released operations");
        }
    }

    /// Runs all operations that are due and returns the number of claims.
    pub(crate) async fn drain(&self) -> Result<usize> {
        self.run_all_due(Affinity::Ignore).await
    }

    /// Runs all due operations like [`OperationLoop::drain`], except those that another worker ran before.
    pub(crate) async fn drain_own(&self) -> Result<usize> {
        self.run_all_due(Affinity::Require).await
    }

    async fn run_all_due(&self, affinity: Affinity) -> Result<usize> {
        let mut count = 0;
        if self.services.aws_access.is_failing() {
            return Ok(count);
        }
        loop {
            let polls = shared_poller::run_due_polls(&self.services).await?;
            let claims = self.claim(MAX_CONCURRENT_OPERATIONS, affinity).await?;
            if claims.is_empty() && polls == 0 {
                return Ok(count);
            }
            count += claims.len();
            let never = CancellationToken::new();
            let runs = claims.into_iter().map(|claim| runner::run_operation(&self.services, claim, &never));
            for done in futures::future::join_all(runs).await {
                done?;
            }
        }
    }

    async fn claim(&self, limit: usize, affinity: Affinity) -> Result<Vec<Claim>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (clock, lease) = (&self.services.clock, self.services.lease());
        let now = clock.now();
        let any_worker_since = match affinity {
            Affinity::Ignore => now,
            Affinity::Prefer => now - seconds(AFFINITY_PERIOD.as_secs_f64() * clock.speed().max(1.0)),
            Affinity::Require => DateTime::UNIX_EPOCH,
        };
        operations::claim_with_affinity(&self.services.pool, &self.name, now, any_worker_since, lease, limit).await
    }

    fn take_due_poll(&self) -> bool {
        let mut due = self.next_poll_at.lock().unwrap_or_else(PoisonError::into_inner);
        due.take_if(|at| *at <= self.services.clock.now()).is_some()
    }

    async fn poll(&self) {
        if let Err(error) = shared_poller::run_due_polls(&self.services).await {
            tracing::warn!(%error, "cannot poll the work in progress under the quotas");
        }
    }

    async fn run_operation(&self, claim: Claim, stop: &CancellationToken) {
        let operation = claim.operation_id;
        match runner::run_operation(&self.services, claim, stop).await {
            Ok(()) => {}
            Err(DbError::LeaseLost) => {
                tracing::info!(%operation, "operation {operation} was taken over by another worker");
            }
            // The lease expires, and the next claim continues from the journal.
            Err(error) => {
                tracing::warn!(
                    %operation, %error,
                    "operation {operation} failed; another worker will retry it when the lease expires"
                );
                if error.is_connection_lost() {
                    self.release_after_outage(claim).await;
                }
            }
        }
    }

    /// Releases the claim of an operation that a database outage interrupted, as soon as the database is available
    /// again, so that the operation does not wait until the lease expires.
    async fn release_after_outage(&self, claim: Claim) {
        let (operation, pause) = (claim.operation_id, Duration::from_secs(1));
        for _ in 0..MAX_SLEEP.as_secs() {
            tokio::time::sleep(pause).await;
            let now = self.services.clock.now();
            match operations::release(&self.services.pool, &claim, Some(now), now).await {
                Ok(()) | Err(DbError::LeaseLost) => return,
                Err(error) => {
                    tracing::debug!(%operation, %error, "cannot release operation {operation} yet");
                }
            }
        }
    }

    /// Waits until an operation or a shared poll is due. Checks the database at least every [`MAX_SLEEP`], with one
    /// statement that does not claim any work.
    async fn next_due(&self) {
        let clock = &self.services.clock;
        // Another transaction may hold the lock on a due operation, so wait until it can be claimed.
        tokio::time::sleep(MIN_SLEEP).await;
        loop {
            // The next claim reports the error of the database.
            let Ok(due) = operations::next_due(&self.services.pool).await else { return };
            self.services.wake_signals.notify_new_webhooks(due.webhooks);
            *self.next_poll_at.lock().unwrap_or_else(PoisonError::into_inner) = due.look;
            let tomorrow = clock.now() + TimeDelta::days(1);
            let until = [due.operation, due.look].into_iter().flatten().fold(tomorrow, Ord::min);
            tokio::select! {
                () = clock.sleep_until(until) => return,
                () = tokio::time::sleep(MAX_SLEEP) => {}
            }
        }
    }
}
