//! Whoever writes the trail in a process: notes deeds, and has them chained soon after.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::anchor_schedule::Anchors;
use super::{AuditEntry, AuditOutcome, ChainHead};
use crate::config::Audit;
use crate::db::installation::Installation;
use crate::db::{PgPool, Result, audit};
use crate::{Clock, TenantId};

/// How long, in real time, deeds gather before they are chained.
const BATCH_DELAY: Duration = Duration::from_millis(400);

/// So long after the last deed it is looked once more: what was under way then, here or in a process that has died, has come to
/// its end, or is *unknown*.
const FINAL_PASS_DELAY: Duration = Duration::from_secs(70);

/// The pause after the database could not be asked.
const PAUSE: Duration = Duration::from_secs(2);

/// Writes down what a process does; cheap to clone.
#[derive(Debug, Clone)]
pub struct AuditWriter {
    pool: PgPool,
    clock: Clock,
    noted: Arc<Notify>,
}

/// A deed that is under way.
#[derive(Debug)]
#[must_use]
pub struct OpenEntry {
    id: i64,
    entry: AuditEntry,
    tenant: Option<TenantId>,
}

impl AuditWriter {
    /// A scribe that writes to the database of `pool`.
    pub fn new(pool: PgPool, clock: Clock) -> Self {
        Self { pool, clock, noted: Arc::new(Notify::new()) }
    }

    /// Writes down what is about to be done. Where that cannot be written down, it must not be done.
    pub async fn begin(&self, entry: &AuditEntry, tenant: Option<TenantId>) -> Result<OpenEntry> {
        let id = audit::begin(&self.pool, entry, tenant, self.clock.now()).await?;
        Ok(OpenEntry { id, entry: entry.clone(), tenant })
    }

    /// Writes down what came of it. Where that cannot be written down, it is *unknown* after a minute; what takes longer is
    /// told a second time, when it is known.
    pub async fn end(&self, begun: OpenEntry, outcome: &AuditOutcome) {
        match audit::end(&self.pool, begun.id, outcome).await {
            Ok(true) => self.schedule_chaining(),
            Ok(false) => self.note(&begun.entry, begun.tenant, outcome).await,
            Err(error) => {
                tracing::warn!(%error, "what came of something could not be written into the audit trail");
                self.schedule_chaining();
            }
        }
    }

    /// Writes down something that is over.
    pub async fn note(&self, entry: &AuditEntry, tenant: Option<TenantId>, outcome: &AuditOutcome) {
        if let Err(error) = audit::note(&self.pool, entry, tenant, outcome, self.clock.now()).await {
            tracing::warn!(%error, action = entry.action, "this could not be written into the audit trail");
        }
        self.schedule_chaining();
    }

    /// Has what was written down chained soon.
    pub fn schedule_chaining(&self) {
        self.noted.notify_one();
    }

    /// Chains what is written down, and anchors the head, until `shutdown`. Asks for nothing while nothing is written down.
    pub async fn run(&self, config: &Audit, installation: &Installation, shutdown: CancellationToken) {
        let mut anchors = Anchors::new(config, installation);
        // What another process has left behind.
        self.schedule_chaining();
        let mut once_more = None;
        loop {
            let look = async {
                match once_more {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.noted.notified() => {
                    tokio::time::sleep(BATCH_DELAY).await;
                    once_more = Some(Instant::now() + FINAL_PASS_DELAY);
                }
                () = look => once_more = None,
                () = anchors.due() => {}
            }
            match self.chain_now(config).await {
                Ok(head) => anchors.observe_head(head, self.clock.now(), false),
                Err(error) => {
                    tracing::warn!(%error, "the audit trail could not be chained");
                    tokio::time::sleep(PAUSE).await;
                    self.schedule_chaining();
                }
            }
        }
        if let Ok(head) = self.chain_now(config).await {
            anchors.observe_head(head, self.clock.now(), true);
        }
    }

    /// Chains what is written down, and answers where the trail ends.
    pub async fn chain_now(&self, config: &Audit) -> Result<ChainHead> {
        audit::advance(&self.pool, config.kept_for(), self.clock.now()).await
    }
}
