//! Audit writer of a process, which stores entries and chains them in the background.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::anchor_schedule::{self, AnchorSchedule};
use super::{AuditEntry, AuditOutcome, ChainHead};
use crate::config::Audit;
use crate::db::installation::Installation;
use crate::db::{DbError, PgPool, Result, audit};
use crate::{Clock, TenantId};

/// Real time for which entries are collected before they are chained.
const BATCH_DELAY: Duration = Duration::from_millis(400);

/// Delay between the last entry and the final chaining pass. After this delay every open entry has an outcome or can be
/// chained as *unknown*, even if its process has stopped.
const FINAL_PASS_DELAY: Duration = Duration::from_secs(70);

/// Delays before chaining is retried after an error. The delay doubles with each error in a row.
const RETRY_DELAYS: RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(30);

/// Maximum duration of the chaining pass at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Time without a successful chaining pass after which an alert is logged, and the interval of further alerts.
const STALL_ALERT_INTERVAL: Duration = Duration::from_mins(5);

/// Writer of audit entries. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct AuditWriter {
    pool: PgPool,
    clock: Clock,
    entry_added: Arc<Notify>,
}

/// Entry of an action in progress, which has no outcome yet.
#[derive(Debug)]
#[must_use]
pub struct OpenEntry {
    id: i64,
    entry: AuditEntry,
    tenant: Option<TenantId>,
}

impl AuditWriter {
    pub fn new(pool: PgPool, clock: Clock) -> Self {
        Self { pool, clock, entry_added: Arc::new(Notify::new()) }
    }

    /// Stores an entry before its action is carried out. If this fails, the caller must not carry out the action.
    pub async fn begin(&self, entry: &AuditEntry, tenant: Option<TenantId>) -> Result<OpenEntry> {
        let id = audit::begin(&self.pool, entry, tenant, self.clock.now()).await?;
        Ok(OpenEntry { id, entry: entry.clone(), tenant })
    }

    /// Stores the outcome of an action. If that fails, the outcome becomes *unknown* after a minute. If the entry has
    /// become *unknown* already, a second entry with the outcome is added.
    pub async fn end(&self, open: OpenEntry, outcome: &AuditOutcome) {
        match audit::end(&self.pool, open.id, outcome).await {
            Ok(true) => self.schedule_chaining(),
            Ok(false) => self.note(&open.entry, open.tenant, outcome).await,
            Err(error) => {
                tracing::warn!(%error, action = open.entry.action, "cannot record the outcome of an audited action");
                self.schedule_chaining();
            }
        }
    }

    /// Stores an entry together with its outcome.
    pub async fn note(&self, entry: &AuditEntry, tenant: Option<TenantId>, outcome: &AuditOutcome) {
        if let Err(error) = audit::note(&self.pool, entry, tenant, outcome, self.clock.now()).await {
            tracing::warn!(%error, action = entry.action, "cannot record an audited action");
        }
        self.schedule_chaining();
    }

    /// Wakes [`Self::run`], which chains the stored entries.
    pub fn schedule_chaining(&self) {
        self.entry_added.notify_one();
    }

    /// Chains stored entries and anchors the head until `shutdown`. While idle, reads the head once per anchor interval
    /// if a signing key is configured, and otherwise does not query the database.
    pub async fn run(&self, config: &Audit, installation: &Installation, shutdown: CancellationToken) {
        let mut anchors = AnchorSchedule::new(config, installation);
        // Another process may have stopped before it chained its entries.
        self.schedule_chaining();
        let mut final_pass_at = None;
        let mut refusals_due_at = None;
        let mut stall = Stall::default();
        loop {
            let final_pass = async {
                match final_pass_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let refusals_due = async {
                match refusals_due_at {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.entry_added.notified() => {
                    tokio::time::sleep(BATCH_DELAY).await;
                    final_pass_at = Some(Instant::now() + FINAL_PASS_DELAY);
                }
                () = final_pass => final_pass_at = None,
                () = refusals_due => {}
                () = anchors.wait_until_due() => {}
            }
            let chained = tokio::select! {
                () = shutdown.cancelled() => break,
                chained = audit::chain(&self.pool, self.clock.now()) => chained,
            };
            match chained {
                Ok(chain) => {
                    let earliest = self.clock.now() + TimeDelta::minutes(1);
                    refusals_due_at = chain.refusals_due_at.map(|due_at| due_at.max(earliest));
                    anchors.observe_head(chain.head, self.clock.now(), false);
                    stall = Stall::default();
                }
                Err(error) => {
                    refusals_due_at = None;
                    let delay = stall.observe_error(&error, Instant::now());
                    tokio::select! {
                        () = shutdown.cancelled() => break,
                        () = tokio::time::sleep(delay) => self.schedule_chaining(),
                    }
                }
            }
        }
        // A lock in the database must not delay the end of the process. Another process chains the remaining entries.
        if let Ok(Ok(head)) = tokio::time::timeout(SHUTDOWN_TIMEOUT, self.chain_now()).await {
            anchors.observe_head(head, self.clock.now(), true);
        }
    }

    /// Anchors the empty trail of a new installation. A process calls this before it accepts work.
    pub async fn anchor_first(&self, config: &Audit, installation: &Installation) -> Result<()> {
        anchor_schedule::anchor_first(&self.pool, config, installation, self.clock.now()).await.map(drop)
    }

    /// Chains the stored entries now and returns the new head.
    pub async fn chain_now(&self) -> Result<ChainHead> {
        audit::advance(&self.pool, self.clock.now()).await
    }
}

/// Errors of chaining in a row.
#[derive(Debug, Default)]
struct Stall {
    delay: Option<Duration>,
    /// Time of the first error or of the last alert.
    since: Option<Instant>,
}

impl Stall {
    /// Logs an error, as an alert if chaining has failed for a while. Returns the delay before the next attempt.
    fn observe_error(&mut self, error: &DbError, now: Instant) -> Duration {
        let since = *self.since.get_or_insert(now);
        if now - since >= STALL_ALERT_INTERVAL {
            self.since = Some(now);
            tracing::error!(target: "freehold::alert", %error, "the audit trail has not been chained for minutes");
        } else {
            tracing::warn!(%error, "cannot chain the audit trail; will retry");
        }
        let delay = self.delay.map_or(*RETRY_DELAYS.start(), |delay| (delay * 2).min(*RETRY_DELAYS.end()));
        self.delay = Some(delay);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_errors_are_retried_more_slowly_and_become_an_alert() {
        let (mut stall, start) = (Stall::default(), Instant::now());
        let (mut now, mut delays, mut alerts) = (start, Vec::new(), Vec::new());
        while now - start < 3 * STALL_ALERT_INTERVAL {
            let delay = stall.observe_error(&DbError::NoConnection, now);
            if stall.since == Some(now) && now > start {
                alerts.push((now - start).as_secs());
            }
            delays.push(delay.as_secs());
            now += delay;
        }
        assert_eq!(delays[..6], [2, 4, 8, 16, 30, 30]);
        assert_eq!(alerts, [300, 600], "seconds after the first error");
    }
}
