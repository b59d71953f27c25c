//! Tracing subscriber that counts the log messages that trigger an alert.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Tracing subscriber that counts the log messages that trigger an alert.
#[derive(Clone, Default)]
pub struct AlertCounter(Arc<AtomicUsize>);

impl AlertCounter {
    /// Counts the alerts of this thread until the guard is dropped.
    pub fn install() -> (Self, impl Drop) {
        // With a single subscriber, tracing asks only the thread that reaches a log statement first, and that thread
        // may run another test.
        static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(AlertCounter::default()));
        LazyLock::force(&SECOND);
        let counter = Self::default();
        (counter.clone(), tracing::subscriber::set_default(counter))
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Subscriber for AlertCounter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "freehold::alert" && *metadata.level() == Level::ERROR
    }
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
