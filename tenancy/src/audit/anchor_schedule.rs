//! When the head is anchored, and where.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{Anchor, AnchorFile, ChainHead, Signer};
use crate::InstallationId;
use crate::config::Audit;
use crate::db::installation::Installation;

/// Anchors the head from time to time, where it has moved.
pub(super) struct Anchors {
    signer: Option<Signer>,
    file: Option<AnchorFile>,
    installation: InstallationId,
    every: Duration,
    anchored: i64,
    /// A head that waits for its time.
    waiting: Option<Instant>,
    last: Option<Instant>,
}

impl Anchors {
    pub(super) fn new(config: &Audit, installation: &Installation) -> Self {
        // The configuration was checked when it was read.
        let signer = config.signing_key.as_ref().and_then(|key| Signer::new(key).ok());
        Self {
            signer,
            file: config.anchor_file.as_deref().map(AnchorFile::new),
            installation: installation.id,
            every: Duration::from_secs(config.anchor_interval_seconds),
            anchored: 0,
            waiting: None,
            last: None,
        }
    }

    /// Returns when a head that waits is to be anchored.
    pub(super) async fn due(&self) {
        match self.waiting {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Takes note of a head, and anchors it if it is time, or if that is to be `now`.
    pub(super) fn observe_head(&mut self, head: ChainHead, at: DateTime<Utc>, now: bool) {
        let Some(signer) = &self.signer else { return };
        if head.position == self.anchored {
            self.waiting = None;
            return;
        }
        let next = self.last.map(|last| last + self.every).filter(|next| *next > Instant::now());
        if let (Some(next), false) = (next, now) {
            self.waiting = Some(next);
            return;
        }
        let anchor = signer.sign(self.installation, head, at);
        self.keep(&anchor);
        self.anchored = head.position;
        self.last = Some(Instant::now());
        self.waiting = None;
    }

    fn keep(&self, anchor: &Anchor) {
        // The log is kept elsewhere, too.
        tracing::info!(target: "freehold::audit", anchor = anchor.line(), "anchored");
        if let Some(file) = &self.file
            && let Err(error) = file.append(anchor)
        {
            tracing::error!(target: "freehold::alert", %error, "the audit trail's head could not be anchored in audit.anchor_file");
        }
    }
}
