//! Takes what is due: lease, fence, wake-up.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use freehold_tenancy::clock::seconds;
use freehold_tenancy::db::fence::Claim;
use freehold_tenancy::db::{DbError, Result, idempotency, notify, operations};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Worker;
use crate::runner;
use crate::shared_poller;

/// Operations carried on at one time by one process. Each is a few calls, then a row; none is a waiting task.
const AT_ONCE: usize = 32;

/// The longest real time between two looks, should every wake-up be lost: with the lease, what an operation loses at most
/// when its worker dies.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// The shortest real time between two looks that nothing has called for.
const SHORTEST_SLEEP: Duration = Duration::from_millis(20);

/// For so long of real time what is due is left to the worker that had it before.
const LEFT_TO_OTHERS: Duration = Duration::from_millis(500);

/// How often old answers are forgotten.
const FORGET_EVERY: TimeDelta = TimeDelta::hours(1);

/// How much of what is due is left to the workers that had it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Affinity {
    Ignore,
    Prefer,
    Require,
}

impl Worker {
    /// Carries on what is due, sends webhooks, and compares AWS with the database from time to time, until `shutdown`; then
    /// finishes what is under way.
    pub async fn run(self: &Arc<Self>, shutdown: CancellationToken) {
        tokio::join!(
            self.listen(&shutdown),
            self.work(&shutdown),
            self.keep_delivering(&shutdown),
            self.run_reconciler(&shutdown),
            self.run_key_cleanup(&shutdown),
        );
    }

    /// Forgets answers whose time is over, until `shutdown`. Each worker does, and finds nothing where another was first.
    async fn run_key_cleanup(&self, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            if let Err(error) = idempotency::delete_expired(&self.pool, self.clock.now()).await {
                tracing::warn!(%error, "old answers could not be forgotten");
            }
            tokio::select! {
                () = self.clock.sleep_until(self.clock.now() + FORGET_EVERY) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Claims and carries on what is due, until `shutdown`; then finishes the steps that are under way and hands back
    /// the rest, so that nobody has to wait for the end of a lease.
    async fn work(self: &Arc<Self>, shutdown: &CancellationToken) {
        let mut under_way = JoinSet::new();
        while !shutdown.is_cancelled() {
            if self.take_due_poll() {
                let worker = Arc::clone(self);
                under_way.spawn(async move { worker.poll().await });
            }
            match self.claim(AT_ONCE.saturating_sub(under_way.len()), Affinity::Prefer).await {
                Ok(claims) => {
                    for claim in claims {
                        let worker = Arc::clone(self);
                        let stop = shutdown.clone();
                        under_way.spawn(async move { worker.run_operation(claim, &stop).await });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot look for what is due");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            }
            let full = under_way.len() >= AT_ONCE;
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(_) = under_way.join_next() => {}
                () = self.calls.work.notified(), if !full => {}
                () = self.next_due(), if !full => {}
            }
        }
        while under_way.join_next().await.is_some() {}
        // What was handed back is due now, and others may be asleep.
        if let Err(error) = notify::notify_now(&self.pool).await {
            tracing::warn!(%error, "the other workers could not be woken");
        }
    }

    /// Carries on everything that is due now and answers how many claims that took; for tests that move the clock.
    pub async fn drain(self: &Arc<Self>) -> Result<usize> {
        self.run_all_due(Affinity::Ignore).await
    }

    /// Likewise, but leaves what another worker had before to that worker, as workers side by side do.
    pub async fn drain_own(self: &Arc<Self>) -> Result<usize> {
        self.run_all_due(Affinity::Require).await
    }

    async fn run_all_due(self: &Arc<Self>, leaves: Affinity) -> Result<usize> {
        let mut count = 0;
        loop {
            let looks = shared_poller::run_due_polls(self).await?;
            let claims = self.claim(AT_ONCE, leaves).await?;
            if claims.is_empty() && looks == 0 {
                return Ok(count);
            }
            count += claims.len();
            let never = CancellationToken::new();
            let runs = claims.into_iter().map(|claim| runner::run_operation(self, claim, &never));
            for done in futures::future::join_all(runs).await {
                done?;
            }
        }
    }

    async fn claim(&self, limit: usize, leaves: Affinity) -> Result<Vec<Claim>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let now = self.clock.now();
        let left_since = match leaves {
            Affinity::Ignore => now,
            Affinity::Prefer => now - seconds(LEFT_TO_OTHERS.as_secs_f64() * self.clock.speed().max(1.0)),
            Affinity::Require => DateTime::UNIX_EPOCH,
        };
        operations::claim_with_affinity(&self.pool, &self.name, now, left_since, self.lease(), limit).await
    }

    /// Whether a look for several operations was due when that was last asked. It is due once: a look that ends at once
    /// must not begin the next before the database has been asked when that is due.
    fn take_due_poll(&self) -> bool {
        let mut due = self.next_poll_at.lock().unwrap_or_else(PoisonError::into_inner);
        due.take_if(|at| *at <= self.clock.now()).is_some()
    }

    async fn poll(&self) {
        if let Err(error) = shared_poller::run_due_polls(self).await {
            tracing::warn!(%error, "cannot look after what is in progress");
        }
    }

    async fn run_operation(self: Arc<Self>, claim: Claim, stop: &CancellationToken) {
        match runner::run_operation(&self, claim, stop).await {
            Ok(()) => {}
            Err(DbError::LeaseLost) => {
                tracing::info!(operation = %claim.operation_id, "another worker has taken over");
            }
            // The lease will end, and whoever claims it next goes on from the journal.
            Err(error) => {
                tracing::warn!(operation = %claim.operation_id, %error, "left to the next claim");
                if error.is_connection_lost() {
                    self.release_after_outage(claim).await;
                }
            }
        }
    }

    /// Gives a claim back whose work an outage of the database has broken off, as soon as the database answers again, so
    /// that the operation need not wait for the end of the lease.
    async fn release_after_outage(&self, claim: Claim) {
        let pause = Duration::from_secs(1);
        for _ in 0..LONGEST_SLEEP.as_secs() {
            tokio::time::sleep(pause).await;
            let now = self.clock.now();
            match operations::release(&self.pool, &claim, Some(now), now).await {
                Ok(()) | Err(DbError::LeaseLost) => return,
                Err(error) => tracing::debug!(operation = %claim.operation_id, %error, "not given back yet"),
            }
        }
    }

    /// Returns when something is due, which it looks for every [`LONGEST_SLEEP`]: one statement, and no claim where there
    /// is nothing to claim.
    async fn next_due(&self) {
        // What is due and yet could not be claimed is locked by somebody at this moment: let them finish.
        tokio::time::sleep(SHORTEST_SLEEP).await;
        loop {
            // The claim that follows says what is wrong with the database.
            let Ok(due) = operations::next_due(&self.pool).await else { return };
            self.set_has_webhooks(due.webhooks);
            *self.next_poll_at.lock().unwrap_or_else(PoisonError::into_inner) = due.look;
            let next = [due.operation, due.look].into_iter().flatten().min();
            let until = runner::earliest(next, self.clock.now() + TimeDelta::days(1));
            tokio::select! {
                () = self.clock.sleep_until(until) => return,
                () = tokio::time::sleep(LONGEST_SLEEP) => {}
            }
        }
    }
}
