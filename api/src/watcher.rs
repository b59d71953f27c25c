//! Watcher: one reader of new events for all followers in this process.
//!
//! The watcher listens for notifications of the database and then reads the new events of all followed operations with
//! one statement, and the new entries of the feed. Followers never poll, so the number of statements does not depend
//! on the number of followers. Without followers, the watcher neither listens nor reads.

mod feed;
mod operations;

use std::sync::Arc;
use std::time::Duration;

use freehold_tenancy::db::notify::WorkListener;
use freehold_tenancy::db::{PgPool, Result};
use freehold_tenancy::{Clock, OperationId};
use tokio::sync::Notify;

pub(crate) use feed::FeedFollower;
use feed::FollowedFeed;
use operations::FollowedOperations;
pub(crate) use operations::{OperationFollower, OperationNews};

/// Minimum time between two reads. Notifications during this time share one read.
const MIN_READ_INTERVAL: Duration = Duration::from_millis(50);

/// Maximum time between two reads while there are followers, in case a notification is lost.
const MAX_READ_INTERVAL: Duration = Duration::from_secs(2);

/// Watcher of the operations and of the feed; cheap to clone.
#[derive(Clone)]
pub(crate) struct Watcher(Arc<Shared>);

struct Shared {
    pool: PgPool,
    operations: FollowedOperations,
    feed: FollowedFeed,
    /// Signal that a follower was added or that it has read the earlier events.
    follower_added: Arc<Notify>,
}

impl Watcher {
    pub(crate) fn new(pool: PgPool, clock: Clock) -> Self {
        let follower_added = Arc::new(Notify::new());
        let operations = FollowedOperations::new(pool.clone(), Arc::clone(&follower_added));
        let feed = FollowedFeed::new(pool.clone(), clock);
        Self(Arc::new(Shared { pool, operations, feed, follower_added }))
    }

    /// Returns a follower that receives all events of an operation that are written from now on, after it has called
    /// [`OperationFollower::start_after`].
    pub(crate) fn follow_operation(&self, id: OperationId) -> OperationFollower {
        let follower = self.0.operations.follow(id);
        self.0.follower_added.notify_one();
        follower
    }

    pub(crate) fn follow_feed(&self) -> FeedFollower {
        let follower = self.0.feed.follow();
        self.0.follower_added.notify_one();
        follower
    }

    /// Serves followers until the future is dropped.
    pub(crate) async fn run(&self) {
        loop {
            self.0.follower_added.notified().await;
            let changed = Notify::new();
            tokio::select! {
                () = self.read_while_followed(&changed) => {}
                () = self.listen(&changed) => {}
            }
        }
    }

    /// Reports each notification of the database. The listener also reports each new connection, because notifications
    /// may have been lost before.
    async fn listen(&self, changed: &Notify) {
        let mut listener = WorkListener::for_changes(self.0.pool.clone());
        loop {
            listener.notified().await;
            changed.notify_one();
        }
    }

    /// Reads changes as long as there are followers.
    async fn read_while_followed(&self, changed: &Notify) {
        let (mut feed_position, mut is_failing) = (None, false);
        while self.has_followers() {
            match self.read_changes(&mut feed_position).await {
                Ok(()) => is_failing = false,
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(%error, "cannot read new events for streams and feed requests; will retry");
                    }
                    is_failing = true;
                }
            }
            tokio::time::sleep(MIN_READ_INTERVAL).await;
            tokio::select! {
                () = changed.notified() => {}
                () = self.0.follower_added.notified() => {}
                () = tokio::time::sleep(MAX_READ_INTERVAL) => {}
            }
        }
    }

    async fn read_changes(&self, feed_position: &mut Option<i64>) -> Result<()> {
        // An error of one must not stop the followers of the other.
        let operations = self.0.operations.read().await;
        self.0.feed.read(feed_position).await.and(operations)
    }

    fn has_followers(&self) -> bool {
        self.0.operations.has_followers() || self.0.feed.has_followers()
    }
}
