//! Cache of AWS responses, which saves concurrent onboardings from repeating the same calls.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Clock;
use futures::future::{BoxFuture, FutureExt};

use crate::cloud::Result;

/// Cache lifetime of a response whose data can be changed manually in AWS. It is short, so that a change is noticed
/// quickly.
pub(super) const STATE_TTL: TimeDelta = TimeDelta::seconds(60);

/// Cache lifetime of a partial result, until the remaining calls are made. It is long, because rate limits may delay
/// these calls.
pub(super) const PARTIAL_RESULT_TTL: TimeDelta = TimeDelta::minutes(15);

/// Cache lifetime of the ids of permission sets and groups. An outdated id does no harm, because assignments are
/// verified afterwards.
pub(super) const NAME_TTL: TimeDelta = TimeDelta::minutes(5);

/// Cached value and its expiry time.
type Entry<V> = (V, DateTime<Utc>);

/// Lock and cached value of one key; empty before the first fetch. The mutex stays locked while the value is fetched.
type Slot<V> = Arc<tokio::sync::Mutex<Option<Entry<V>>>>;

/// Cache with a limited number of entries. Concurrent callers with the same key share one fetch; a missing value is not
/// cached.
pub(super) struct Cache<K, V> {
    capacity: usize,
    slots: Mutex<Slots<K, V>>,
}

/// Cached values by key. Each is stored with the value of the counter `uses` at its last use, so that the least
/// recently used value can be evicted.
struct Slots<K, V> {
    by_key: HashMap<K, (Slot<V>, u64)>,
    uses: u64,
}

impl<K: Clone + Eq + Hash + Send + Sync, V: Clone + Send + Sync> Cache<K, V> {
    /// Creates a cache of about `capacity` entries.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, slots: Mutex::new(Slots { by_key: HashMap::new(), uses: 0 }) }
    }

    /// Returns the cached value of `key`, or fetches and caches it.
    ///
    /// The future is boxed, because most calls find a cached value and need no memory for the future of `fetch`.
    pub(super) fn get_or_fetch<'a>(
        &'a self,
        key: &'a K,
        clock: &'a Clock,
        fetch: impl Future<Output = Result<Option<Entry<V>>>> + Send + 'a,
    ) -> BoxFuture<'a, Result<Option<V>>> {
        async move {
            let slot = self.slot(key, clock.now());
            let mut entry = slot.lock().await;
            if let Some((value, until)) = &*entry
                && clock.now() < *until
            {
                return Ok(Some(value.clone()));
            }
            *entry = None;
            entry.clone_from(&fetch.await?);
            Ok(entry.as_ref().map(|(value, _)| value.clone()))
        }
        .boxed()
    }

    pub(super) fn invalidate(&self, key: &K) {
        self.slots().by_key.remove(key);
    }

    /// Removes all entries with this value.
    pub(super) fn invalidate_value(&self, value: &V)
    where
        V: PartialEq,
    {
        // A value whose slot is locked is being fetched, so it cannot be compared.
        let matches =
            |slot: &Slot<V>| slot.try_lock().is_ok_and(|entry| entry.as_ref().is_some_and(|(entry, _)| entry == value));
        self.slots().by_key.retain(|_, (slot, _)| !matches(slot));
    }

    fn slot(&self, key: &K, now: DateTime<Utc>) -> Slot<V> {
        let mut slots = self.slots();
        if slots.by_key.len() >= self.capacity && !slots.by_key.contains_key(key) {
            // The value of a locked slot is being fetched, so the slot is kept.
            slots.by_key.retain(|_, (slot, _)| match slot.try_lock() {
                Ok(entry) => entry.as_ref().is_some_and(|(_, until)| now < *until),
                Err(_) => true,
            });
            let oldest = slots.by_key.iter().min_by_key(|(_, (_, last_use))| *last_use).map(|(key, _)| key.clone());
            if slots.by_key.len() >= self.capacity
                && let Some(oldest) = oldest
            {
                slots.by_key.remove(&oldest);
            }
        }
        slots.uses += 1;
        let last_use = slots.uses;
        let (slot, last) = slots.by_key.entry(key.clone()).or_default();
        *last = last_use;
        Arc::clone(slot)
    }

    fn slots(&self) -> MutexGuard<'_, Slots<K, V>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    async fn get(cache: &Cache<u32, u32>, clock: &Clock, fetches: &AtomicU32, key: u32) -> Option<u32> {
        let fetch = async {
            fetches.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok((key != 0).then(|| (key, clock.now() + STATE_TTL)))
        };
        cache.get_or_fetch(&key, clock, fetch).await.unwrap()
    }

    #[tokio::test]
    async fn concurrent_callers_share_one_fetch_until_the_entry_expires() {
        let (cache, clock, fetches) = (Cache::new(4), Clock::manual(DateTime::UNIX_EPOCH), AtomicU32::new(0));
        futures::future::join_all((0..50).map(|_| get(&cache, &clock, &fetches, 7))).await;
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
        clock.advance(Duration::from_mins(1));
        get(&cache, &clock, &fetches, 7).await;
        assert_eq!(fetches.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_missing_value_is_fetched_again() {
        let (cache, clock, fetches) = (Cache::new(4), Clock::manual(DateTime::UNIX_EPOCH), AtomicU32::new(0));
        assert_eq!(get(&cache, &clock, &fetches, 0).await, None);
        assert_eq!(get(&cache, &clock, &fetches, 0).await, None);
        assert_eq!(fetches.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn the_cache_does_not_exceed_its_capacity() {
        let (cache, clock, fetches) = (Cache::new(4), Clock::manual(DateTime::UNIX_EPOCH), AtomicU32::new(0));
        for key in 1..100 {
            get(&cache, &clock, &fetches, key).await;
        }
        assert!(cache.slots().by_key.len() <= 4);
    }

    #[tokio::test]
    async fn a_frequently_used_entry_is_not_evicted() {
        let (cache, clock, fetches) = (Cache::new(4), Clock::manual(DateTime::UNIX_EPOCH), AtomicU32::new(0));
        for key in 1..100 {
            get(&cache, &clock, &fetches, 7).await;
            get(&cache, &clock, &fetches, key).await;
        }
        assert_eq!(fetches.load(Ordering::SeqCst), 99);
    }
}
