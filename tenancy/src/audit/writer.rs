//! Audit writer of a process, which stores entries and chains them in the background.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::anchor_schedule::AnchorSchedule;
use super::{AuditEntry, AuditOutcome, ChainHead};
use crate::config::Audit;
use crate::db::installation::Installation;
use crate::db::{PgPool, Result, audit};
use crate::{Clock, TenantId};

/// Real time for which entries are collected before they are chained.
const BATCH_DELAY: Duration = Duration::from_millis(400);

/// Delay between the last entry and the final chaining pass. After this delay every open entry has an outcome or can be
/// chained as *unknown*, even if its process has stopped.
const FINAL_PASS_DELAY: Duration = Duration::from_secs(70);

/// Delay before chaining is retried after a database error.
const RETRY_DELAY: Duration = Duration::from_secs(2);

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
        loop {
            let final_pass = async {
                match final_pass_at {
                    Some(at) => tokio::time::sleep_until(at).await,
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
                () = anchors.wait_until_due() => {}
            }
            match self.chain_now(config).await {
                Ok(head) => anchors.observe_head(head, self.clock.now(), false),
                Err(error) => {
                    tracing::warn!(%error, "cannot chain the audit trail; will retry");
                    tokio::time::sleep(RETRY_DELAY).await;
                    self.schedule_chaining();
                }
            }
        }
        if let Ok(head) = self.chain_now(config).await {
            anchors.observe_head(head, self.clock.now(), true);
        }
    }

    /// Chains the stored entries now and returns the new head.
    pub async fn chain_now(&self, config: &Audit) -> Result<ChainHead> {
        audit::advance(&self.pool, config.retention(), self.clock.now()).await
    }
}
