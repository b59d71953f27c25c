//! Periodic comparison of AWS with the database, by one worker at a time.
//!
//! Between comparisons a worker sleeps, so that this loop executes only two database statements per hour.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::db::DbError;
use freehold_tenancy::db::reconcile::{self, ReconcileClaim};
use tokio_util::sync::CancellationToken;

use super::throttle::with_jitter;
use super::{ObserveError, ReconcileError, Reconciler, RepairMode};
use crate::services::Services;

/// Real time until the next attempt, if another worker is comparing or the database is unavailable.
const RETRY_DELAY: Duration = Duration::from_mins(1);

/// Maximum time that the loop sleeps. A changed schedule takes effect after this time at the latest: a repair brings
/// the next comparison forward.
const MAX_SLEEP: TimeDelta = TimeDelta::minutes(1);

pub(crate) struct PeriodicReconciler {
    /// Name of the worker, which is stored in its claims.
    name: String,
    services: Arc<Services>,
    reconciler: Reconciler,
}

impl PeriodicReconciler {
    pub(crate) fn new(name: String, services: Arc<Services>) -> Self {
        Self { name, reconciler: Reconciler::new(Arc::clone(&services)), services }
    }

    /// Runs due comparisons until `shutdown` is cancelled.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        let every = Duration::from_secs(self.services.config.reconcile.interval_seconds);
        if every.is_zero() {
            return;
        }
        while !shutdown.is_cancelled() {
            // These futures can be dropped safely, because they only read and sleep.
            let due = async {
                self.until_due(every).await?;
                self.services.aws_access.wait_until_usable().await;
                Ok::<(), DbError>(())
            };
            let waited = tokio::select! {
                due = due => due,
                () = shutdown.cancelled() => return,
            };
            let done = match waited {
                Ok(()) => self.compare_if_due(shutdown).await,
                Err(error) => Err(error.into()),
            };
            match done {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the comparison of AWS with the database failed; will retry"),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_DELAY) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Waits until the next comparison is due.
    async fn until_due(&self, every: Duration) -> Result<(), DbError> {
        loop {
            let now = self.services.clock.now();
            let due = if let Some(due) = reconcile::next_due(&self.services.pool).await? {
                due
            } else {
                let due = now + with_jitter(every);
                reconcile::schedule(&self.services.pool, due).await?;
                due
            };
            if due <= now {
                return Ok(());
            }
            self.services.clock.sleep_until(due.min(now + MAX_SLEEP)).await;
        }
    }

    /// Runs the comparison if it is due and no other worker is running it. Returns whether it was run.
    pub(crate) async fn compare_if_due(&self, shutdown: &CancellationToken) -> Result<bool, ReconcileError> {
        let settings = &self.services.config.reconcile;
        let Some(claim) =
            reconcile::claim(&self.services.pool, &self.name, self.services.clock.now(), self.services.lease()).await?
        else {
            return Ok(false);
        };
        let auto_repair = if settings.auto_repair { RepairMode::Limited } else { RepairMode::Off };
        let result = tokio::select! {
            result = self.reconciler.run_once(auto_repair, shutdown) => result,
            never = self.renew_claim(claim) => match never {},
        };
        let now = self.services.clock.now();
        let next = match &result {
            // Another worker, which is not stopping, takes over the comparison.
            Err(ReconcileError::Aws(ObserveError::Stopped)) => now,
            _ => now + with_jitter(Duration::from_secs(settings.interval_seconds)),
        };
        reconcile::release(&self.services.pool, claim, next, now).await?;
        let report = result?;
        tracing::info!(
            accounts = report.accounts,
            findings = report.findings.len(),
            resolved = report.resolved,
            unseen = report.unseen.len(),
            seconds = (report.finished_at - report.started_at).as_seconds_f64(),
            "comparison of AWS with the database finished"
        );
        Ok(true)
    }

    /// Renews the claim during the comparison.
    async fn renew_claim(&self, claim: ReconcileClaim) -> Infallible {
        loop {
            tokio::time::sleep(self.services.real_time_lease / 3).await;
            if let Err(error) =
                reconcile::prolong(&self.services.pool, claim, self.services.clock.now() + self.services.lease()).await
            {
                tracing::debug!(%error, "cannot renew the claim on the comparison of AWS with the database");
            }
        }
    }
}
