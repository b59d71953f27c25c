//! Followers of the feed.

use std::sync::Arc;

use freehold_tenancy::Clock;
use freehold_tenancy::db::feed::{self, FeedFilter, FeedPage, ReadResult};
use freehold_tenancy::db::{PgPool, Result};
use freehold_tenancy::feed::Entry;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::detached::run_detached;

/// Maximum number of entries per read.
const BATCH_SIZE: i64 = 1000;

/// Number of changes that are kept for a slow follower. A follower that misses one reads the database itself.
const MAX_BUFFERED_CHANGES: usize = 64;

/// Feed with its followers.
pub(super) struct FollowedFeed {
    pool: PgPool,
    clock: Clock,
    followers: broadcast::Sender<Arc<FeedBatch>>,
}

/// Entries of the feed in a range of positions.
#[derive(Debug)]
pub(super) struct FeedBatch {
    /// Position before the range.
    after: i64,
    /// Last position of the range.
    until: i64,
    entries: Vec<Entry>,
}

/// Follower of the feed.
pub(crate) struct FeedFollower(broadcast::Receiver<Arc<FeedBatch>>);

impl FeedFollower {
    /// Waits for a new entry that matches the filter. Also returns if such an entry may have been missed.
    pub(crate) async fn changed(&mut self, filter: &FeedFilter) {
        loop {
            match self.0.recv().await {
                // Entries before an empty batch were not delivered.
                Ok(batch) if batch.entries.is_empty() => return,
                Ok(batch) if !batch.entries.iter().any(|entry| filter.matches(entry)) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                // The process stops.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Returns at most `limit` new entries after `position` that match the filter, as soon as there are any. Moves
    /// `position` past entries that do not match. Returns `None` if the follower must read the database, because it
    /// knows only later positions.
    pub(crate) async fn next(&mut self, position: &mut i64, filter: &FeedFilter, limit: usize) -> Option<FeedPage> {
        loop {
            let batch = match self.0.recv().await {
                Ok(batch) => batch,
                Err(RecvError::Lagged(_)) => return None,
                // The process stops.
                Err(RecvError::Closed) => std::future::pending().await,
            };
            if batch.until <= *position {
                continue;
            }
            if batch.after > *position {
                return None;
            }
            let page = batch.page(*position, filter, limit);
            if !page.entries.is_empty() {
                return Some(page);
            }
            *position = batch.until;
        }
    }
}

impl FeedBatch {
    fn page(&self, after: i64, filter: &FeedFilter, limit: usize) -> FeedPage {
        let new = self.entries.iter().filter(|entry| entry.position > after && filter.matches(entry));
        let mut entries: Vec<_> = new.take(limit + 1).cloned().collect();
        let has_more = entries.len() > limit;
        entries.truncate(limit);
        let last = entries.last().map(|entry| entry.position).filter(|_| has_more);
        FeedPage { next_after: last.unwrap_or(self.until), has_more, entries, latest: self.until }
    }
}

impl FollowedFeed {
    pub(super) fn new(pool: PgPool, clock: Clock) -> Self {
        Self { pool, clock, followers: broadcast::Sender::new(MAX_BUFFERED_CHANGES) }
    }

    pub(super) fn follow(&self) -> FeedFollower {
        FeedFollower(self.followers.subscribe())
    }

    pub(super) fn has_followers(&self) -> bool {
        self.followers.receiver_count() > 0
    }

    /// Reads the new entries of the feed. `position` is the last position that was read; `None` if the feed was not
    /// followed.
    pub(super) async fn read(&self, position: &mut Option<i64>) -> Result<()> {
        if !self.has_followers() {
            *position = None;
            return Ok(());
        }
        let (pool, now) = (self.pool.clone(), self.clock.now());
        let latest = run_detached(async move { feed::advance(&pool, now).await }).await?;
        loop {
            let batch = match *position {
                // The followers read everything before this position themselves.
                None => FeedBatch { after: latest, until: latest, entries: Vec::new() },
                Some(after) if after >= latest => return Ok(()),
                Some(after) => match feed::read(&self.pool, &FeedFilter::default(), Some(after), BATCH_SIZE).await? {
                    ReadResult::Page(page) => FeedBatch { after, until: page.next_after, entries: page.entries },
                    ReadResult::Expired { .. } | ReadResult::AheadOfFeed { .. } => {
                        FeedBatch { after: latest, until: latest, entries: Vec::new() }
                    }
                },
            };
            let is_stuck = *position == Some(batch.until);
            *position = Some(batch.until);
            if is_stuck {
                // A newer version has written an entry that this version does not know.
                return Ok(());
            }
            // An error means that all followers are gone.
            _ = self.followers.send(Arc::new(batch));
        }
    }
}
