//! Signals that wake the loops of a worker. The sources are notifications of the database, which one listener receives
//! for all loops, and events that this worker has written.

use std::sync::atomic::{AtomicBool, Ordering};

use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::notify::WorkListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
pub(crate) struct WakeSignals {
    operations: Notify,
    webhooks: Notify,
    rollouts: Notify,
    /// Whether an unfinished rollout existed at the last check.
    has_rollout: AtomicBool,
    /// Whether webhook endpoints existed at the last check. Without endpoints the delivery loop sleeps.
    has_webhooks: AtomicBool,
}

impl WakeSignals {
    /// Forwards notifications of the database to the loops until `shutdown` is cancelled.
    pub(crate) async fn listen(&self, pool: &PgPool, shutdown: &CancellationToken) {
        let mut listener = WorkListener::new(pool.clone());
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = listener.notified() => {}
            }
            self.operations.notify_one();
            self.webhooks.notify_one();
            self.rollouts.notify_one();
        }
    }

    pub(crate) async fn wait_for_operations(&self) {
        self.operations.notified().await;
    }

    pub(crate) async fn wait_for_webhooks(&self) {
        self.webhooks.notified().await;
    }

    pub(crate) async fn wait_for_rollouts(&self) {
        self.rollouts.notified().await;
    }

    /// Wakes the loop of rollouts, because an operation has ended or needs a person.
    pub(crate) fn notify_rollouts(&self) {
        if self.has_rollout.load(Ordering::Relaxed) {
            self.rollouts.notify_one();
        }
    }

    /// Stores whether an unfinished rollout exists.
    pub(crate) fn set_has_rollout(&self, any: bool) {
        self.has_rollout.store(any, Ordering::Relaxed);
    }

    /// Returns whether an unfinished rollout existed at the last check.
    pub(crate) fn has_rollout(&self) -> bool {
        self.has_rollout.load(Ordering::Relaxed)
    }

    /// Wakes the delivery loop, because this worker has written events.
    pub(crate) fn notify_webhooks(&self) {
        if self.has_webhooks.load(Ordering::Relaxed) {
            self.webhooks.notify_one();
        }
    }

    /// Stores whether webhook endpoints exist.
    pub(crate) fn set_has_webhooks(&self, any: bool) {
        self.has_webhooks.store(any, Ordering::Relaxed);
    }

    /// Wakes the delivery loop if it sleeps because no webhook endpoint existed, but one exists now.
    pub(crate) fn notify_new_webhooks(&self, any: bool) {
        if any && !self.has_webhooks.load(Ordering::Relaxed) {
            self.webhooks.notify_one();
        }
    }
}
