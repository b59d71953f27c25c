//! What wakes the loops of a worker: the bell, which one listener hears for all of them, and what the worker itself has written.

use std::sync::atomic::{AtomicBool, Ordering};

use freehold_tenancy::db::notify::WorkListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Worker;

/// Calls that nobody has answered yet.
#[derive(Debug, Default)]
pub(crate) struct WakeSignals {
    /// For what claims operations.
    pub(crate) work: Notify,
    /// For what sends webhooks.
    pub(crate) webhooks: Notify,
    /// Whether there are webhook endpoints, as far as is known: without any, nobody looks for what they want.
    pub(crate) has_webhooks: AtomicBool,
}

impl Worker {
    /// Hears the bell until `shutdown`.
    pub(crate) async fn listen(&self, shutdown: &CancellationToken) {
        let mut ear = WorkListener::new(self.pool.clone());
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = ear.notified() => {}
            }
            self.calls.work.notify_one();
            self.calls.webhooks.notify_one();
        }
    }

    /// This worker has written events.
    pub(crate) fn notify_webhooks(&self) {
        if self.calls.has_webhooks.load(Ordering::Relaxed) {
            self.calls.webhooks.notify_one();
        }
    }

    /// There are webhook endpoints, or there are none.
    pub(crate) fn set_has_webhooks(&self, any: bool) {
        if any && !self.calls.has_webhooks.load(Ordering::Relaxed) {
            self.calls.webhooks.notify_one();
        }
    }
}
