//! Signs the chain head periodically and writes the anchor to the log and to a file.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{Anchor, AnchorFile, ChainHead, Signer};
use crate::InstallationId;
use crate::config::Audit;
use crate::db::installation::Installation;
use crate::db::{PgPool, Result, audit};

/// Anchors the empty trail of a new installation, so that the first records cannot be replaced before there is an
/// anchor. Returns `None` if the trail has records, or if `config` has no signing key.
pub async fn anchor_first(
    pool: &PgPool,
    config: &Audit,
    installation: &Installation,
    at: DateTime<Utc>,
) -> Result<Option<Anchor>> {
    let schedule = AnchorSchedule::new(config, installation);
    let Some(signer) = &schedule.signer else { return Ok(None) };
    let (head, _) = audit::chain_ends(pool).await?;
    if head.position > 0 {
        return Ok(None);
    }
    let anchor = signer.sign(installation.id, head, at);
    schedule.publish(&anchor);
    Ok(Some(anchor))
}

/// Schedule for writing anchors. An unchanged head is not anchored again.
pub(super) struct AnchorSchedule {
    signer: Option<Signer>,
    file: Option<AnchorFile>,
    installation: InstallationId,
    interval: Duration,
    anchored_position: i64,
    /// Time at which the head is read again; `None` before the first time, and without a key.
    next_at: Option<Instant>,
    last_at: Option<Instant>,
}

impl AnchorSchedule {
    pub(super) fn new(config: &Audit, installation: &Installation) -> Self {
        // The configuration is validated when it is loaded.
        let signer = config.signing_key.as_ref().and_then(|key| Signer::new(key).ok());
        Self {
            signer,
            file: config.anchor_file.as_deref().map(AnchorFile::new),
            installation: installation.id,
            interval: Duration::from_secs(config.anchor_interval_seconds),
            anchored_position: 0,
            next_at: None,
            last_at: None,
        }
    }

    /// Waits until the head must be read again; waits forever without a key.
    pub(super) async fn wait_until_due(&self) {
        match self.next_at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Anchors the head if the anchor interval has passed or if `now` is true. Otherwise schedules the next anchor.
    pub(super) fn observe_head(&mut self, head: ChainHead, at: DateTime<Utc>, now: bool) {
        let Some(signer) = &self.signer else { return };
        if head.position == self.anchored_position {
            // Processes without the key append records, and do not wake this one.
            self.next_at = Some(Instant::now() + self.interval);
            return;
        }
        let next = self.last_at.map(|last| last + self.interval).filter(|next| *next > Instant::now());
        if let (Some(next), false) = (next, now) {
            self.next_at = Some(next);
            return;
        }
        let anchor = signer.sign(self.installation, head, at);
        self.publish(&anchor);
        self.anchored_position = head.position;
        let signed_at = Instant::now();
        self.last_at = Some(signed_at);
        self.next_at = Some(signed_at + self.interval);
    }

    fn publish(&self, anchor: &Anchor) {
        // The anchor is also logged, because logs are usually stored outside the database.
        tracing::info!(target: "freehold::audit", anchor = anchor.line(), "audit trail anchored");
        if let Some(file) = &self.file
            && let Err(error) = file.append(anchor)
        {
            tracing::error!(target: "freehold::alert", %error, "cannot write the anchor to audit.anchor_file");
        }
    }
}
