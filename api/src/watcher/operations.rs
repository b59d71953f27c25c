//! Followers of operations.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_tenancy::OperationId;
use freehold_tenancy::db::events::{self, NewEvents};
use freehold_tenancy::db::{PgPool, Result};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};

/// Maximum number of events per statement.
const BATCH_SIZE: i64 = 1000;

/// Number of changes that are kept for a slow follower. A follower that misses one reads the database itself.
const MAX_BUFFERED_CHANGES: usize = 64;

/// Operations with their followers.
pub(super) struct FollowedOperations {
    pool: PgPool,
    operations: Operations,
    follower_added: Arc<Notify>,
}

type Operations = Arc<Mutex<HashMap<OperationId, FollowedOperation>>>;

struct FollowedOperation {
    /// Sequence number of the latest event that the watcher has read; `None` until the first follower has read the
    /// earlier events.
    seen: Option<i64>,
    followers: broadcast::Sender<Arc<NewEvents>>,
}

/// Follower of one operation.
pub(crate) struct OperationFollower {
    id: OperationId,
    news: broadcast::Receiver<Arc<NewEvents>>,
    operations: Operations,
    follower_added: Arc<Notify>,
}

/// Change of a followed operation.
pub(crate) enum OperationNews {
    Events(Arc<NewEvents>),
    /// The follower was too slow and must read the events from the database.
    Missed,
    /// The watcher no longer follows the operation, because it has finished or its next event cannot be read.
    Ended,
}

impl OperationFollower {
    /// Starts to follow the operation. `seen` is the sequence number of the latest event that the follower has read
    /// since it was created.
    pub(crate) fn start_after(&self, seen: i64) {
        if let Some(operation) = lock(&self.operations).get_mut(&self.id) {
            operation.seen.get_or_insert(seen);
        }
        // The operation may have changed since the follower has read it.
        self.follower_added.notify_one();
    }

    pub(crate) async fn next(&mut self) -> OperationNews {
        match self.news.recv().await {
            Ok(events) => OperationNews::Events(events),
            Err(RecvError::Lagged(_)) => OperationNews::Missed,
            Err(RecvError::Closed) => OperationNews::Ended,
        }
    }
}

impl FollowedOperations {
    pub(super) fn new(pool: PgPool, follower_added: Arc<Notify>) -> Self {
        Self { pool, operations: Operations::default(), follower_added }
    }

    pub(super) fn follow(&self, id: OperationId) -> OperationFollower {
        let news = match lock(&self.operations).entry(id) {
            Entry::Occupied(followed) => followed.get().followers.subscribe(),
            Entry::Vacant(vacant) => {
                let (followers, news) = broadcast::channel(MAX_BUFFERED_CHANGES);
                vacant.insert(FollowedOperation { seen: None, followers });
                news
            }
        };
        let (operations, follower_added) = (Arc::clone(&self.operations), Arc::clone(&self.follower_added));
        OperationFollower { id, news, operations, follower_added }
    }

    /// Removes operations without followers, and returns whether there is any follower.
    pub(super) fn has_followers(&self) -> bool {
        let mut operations = lock(&self.operations);
        operations.retain(|_, operation| operation.followers.receiver_count() > 0);
        !operations.is_empty()
    }

    /// Reads the new events of all followed operations with one statement, or several if there are many events.
    pub(super) async fn read(&self) -> Result<()> {
        loop {
            let known: Vec<(OperationId, i64)> =
                lock(&self.operations).iter().filter_map(|(id, operation)| Some((*id, operation.seen?))).collect();
            if known.is_empty() {
                return Ok(());
            }
            let changed = events::after_all(&self.pool, &known, BATCH_SIZE).await?;
            let count: usize = changed.iter().map(|one| one.events.len().max(1)).sum();
            self.publish(changed);
            if i64::try_from(count).is_ok_and(|count| count < BATCH_SIZE) {
                return Ok(());
            }
        }
    }

    fn publish(&self, changed: Vec<NewEvents>) {
        let mut operations = lock(&self.operations);
        for one in changed {
            let Entry::Occupied(mut followed) = operations.entry(one.operation_id) else { continue };
            if let Some(latest) = one.events.last() {
                followed.get_mut().seen = Some(latest.seq);
            }
            // A follower that gets no more events reads the database itself and ends its stream at that event.
            let is_last = one.finished || !one.is_readable;
            // An error means that all followers are gone.
            _ = followed.get().followers.send(Arc::new(one));
            if is_last {
                followed.remove();
            }
        }
    }
}

fn lock(operations: &Operations) -> MutexGuard<'_, HashMap<OperationId, FollowedOperation>> {
    operations.lock().unwrap_or_else(PoisonError::into_inner)
}
