//! What wakes the loops of a worker: the bell, which one listener hears for all of them, and what the worker itself has written.

use std::sync::atomic::{AtomicBool, Ordering};

use freehold_tenancy::db::wake::Ear;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Worker;

/// Calls that nobody has answered yet.
#[derive(Debug, Default)]
pub(crate) struct Calls {
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
        let mut ear = Ear::new(self.pool.clone());
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = ear.heard() => {}
            }
            self.calls.work.notify_one();
            self.calls.webhooks.notify_one();
        }
    }

    /// This worker has written events.
    pub(crate) fn has_news(&self) {
        if self.calls.has_webhooks.load(Ordering::Relaxed) {
            self.calls.webhooks.notify_one();
        }
    }

    /// There are webhook endpoints, or there are none.
    pub(crate) fn knows_of_webhooks(&self, any: bool) {
        if any && !self.calls.has_webhooks.load(Ordering::Relaxed) {
            self.calls.webhooks.notify_one();
        }
    }
}
