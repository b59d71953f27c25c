//! Takes what is due: lease, fence, wake-up.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::db::operations::{self, Claim};
use freehold_tenancy::db::wake::Ear;
use freehold_tenancy::db::{DbError, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Worker;
use crate::runner;

/// Operations carried on at one time by one process. Each is a few calls, then a row; none is a waiting task.
const AT_ONCE: usize = 32;

/// The longest real time between two looks, should every wake-up be lost: with the lease, what an operation loses at most
/// when its worker dies.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// The shortest real time between two looks that nothing has called for.
const SHORTEST_SLEEP: Duration = Duration::from_millis(20);

impl Worker {
    /// Carries on what is due and compares AWS with the database from time to time, until `shutdown`; then finishes what
    /// is under way.
    pub async fn run(self: &Arc<Self>, shutdown: CancellationToken) {
        tokio::join!(self.work(&shutdown), self.keep_comparing(&shutdown));
    }

    /// Claims and carries on what is due, until `shutdown`; then finishes what is under way.
    async fn work(self: &Arc<Self>, shutdown: &CancellationToken) {
        let mut ear = Ear::new(self.pool.clone());
        let mut under_way = JoinSet::new();
        while !shutdown.is_cancelled() {
            match self.claim(AT_ONCE - under_way.len()).await {
                Ok(claims) => {
                    for claim in claims {
                        let worker = Arc::clone(self);
                        under_way.spawn(async move { worker.carry_on(claim).await });
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
                () = ear.heard(), if !full => {}
                () = self.next_due(), if !full => {}
            }
        }
        while under_way.join_next().await.is_some() {}
    }

    /// Carries on everything that is due now and answers how many claims that took; for tests that move the clock.
    pub async fn drain(self: &Arc<Self>) -> Result<usize> {
        let mut count = 0;
        loop {
            let claims = self.claim(AT_ONCE).await?;
            if claims.is_empty() {
                return Ok(count);
            }
            count += claims.len();
            let runs = claims.into_iter().map(|claim| runner::carry_on(self, claim));
            for done in futures::future::join_all(runs).await {
                done?;
            }
        }
    }

    async fn claim(&self, limit: usize) -> Result<Vec<Claim>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        operations::claim(&self.pool, &self.name, self.clock.now(), self.lease(), limit).await
    }

    async fn carry_on(self: Arc<Self>, claim: Claim) {
        match runner::carry_on(&self, claim).await {
            Ok(()) => {}
            Err(DbError::Fenced) => {
                tracing::info!(operation = %claim.operation_id, "another worker has taken over");
            }
            // The lease will end, and whoever claims it next goes on from the journal.
            Err(error) => tracing::warn!(operation = %claim.operation_id, %error, "left to the next claim"),
        }
    }

    /// Returns when something is due, or after [`LONGEST_SLEEP`].
    async fn next_due(&self) {
        // What is due and yet could not be claimed is locked by somebody at this moment: let them finish.
        tokio::time::sleep(SHORTEST_SLEEP).await;
        let wake = operations::next_wake(&self.pool).await.ok().flatten();
        let until = runner::earliest(wake, self.clock.now() + TimeDelta::days(1));
        tokio::select! {
            () = self.clock.sleep_until(until) => {}
            () = tokio::time::sleep(LONGEST_SLEEP) => {}
        }
    }
}
