//! What AWS said a short while ago, so that a thousand onboardings do not ask the same thing a thousand times.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Clock;
use futures::future::{BoxFuture, FutureExt};

use crate::cloud::Result;

/// How long an answer is believed: short, so that what a person changes by hand is seen soon.
pub(super) const STATE_TTL: TimeDelta = TimeDelta::seconds(60);

/// How long one part of an answer is believed until the others are there: the rates of calls can be slow.
pub(super) const PARTIAL_TTL: TimeDelta = TimeDelta::minutes(15);

/// How long the names of permission sets and groups are believed to mean the same: what is granted is verified afterwards.
pub(super) const NAME_TTL: TimeDelta = TimeDelta::minutes(5);

/// A value, and until when it holds.
type Held<V> = (V, DateTime<Utc>);

/// Where the answer to one question is, or is about to be.
type Slot<V> = Arc<tokio::sync::Mutex<Option<Held<V>>>>;

/// Answers by key. Whoever asks while another is asking the same waits for that answer; only what was found is kept.
pub(super) struct Cache<K, V> {
    capacity: usize,
    slots: Mutex<Slots<K, V>>,
}

/// Each slot with when it was last asked for.
struct Slots<K, V> {
    by_key: HashMap<K, (Slot<V>, u64)>,
    asked: u64,
}

impl<K: Clone + Eq + Hash + Send + Sync, V: Clone + Send + Sync> Cache<K, V> {
    /// A memory for about `capacity` answers.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, slots: Mutex::new(Slots { by_key: HashMap::new(), asked: 0 }) }
    }

    /// The answer that is held for `key`, else the one that `look` brings.
    ///
    /// Boxed: most calls find an answer, and need not make room for looking.
    pub(super) fn get_or_fetch<'a>(
        &'a self,
        key: &'a K,
        clock: &'a Clock,
        look: impl Future<Output = Result<Option<Held<V>>>> + Send + 'a,
    ) -> BoxFuture<'a, Result<Option<V>>> {
        async move {
            let slot = self.slot(key, clock.now());
            let mut held = slot.lock().await;
            if let Some((value, until)) = &*held
                && clock.now() < *until
            {
                return Ok(Some(value.clone()));
            }
            *held = None;
            held.clone_from(&look.await?);
            Ok(held.as_ref().map(|(value, _)| value.clone()))
        }
        .boxed()
    }

    /// Drops the answer that is held for `key`.
    pub(super) fn forget(&self, key: &K) {
        self.slots().by_key.remove(key);
    }

    /// Drops every answer that is `value`.
    pub(super) fn forget_value(&self, value: &V)
    where
        V: PartialEq,
    {
        // One that is locked is being asked for just now.
        let is_it =
            |slot: &Slot<V>| slot.try_lock().is_ok_and(|held| held.as_ref().is_some_and(|(held, _)| held == value));
        self.slots().by_key.retain(|_, (slot, _)| !is_it(slot));
    }

    fn slot(&self, key: &K, now: DateTime<Utc>) -> Slot<V> {
        let mut slots = self.slots();
        if slots.by_key.len() >= self.capacity && !slots.by_key.contains_key(key) {
            // One that is locked is being asked for just now.
            slots.by_key.retain(|_, (slot, _)| match slot.try_lock() {
                Ok(held) => held.as_ref().is_some_and(|(_, until)| now < *until),
                Err(_) => true,
            });
            let oldest = slots.by_key.iter().min_by_key(|(_, (_, asked))| *asked).map(|(key, _)| key.clone());
            if slots.by_key.len() >= self.capacity
                && let Some(oldest) = oldest
            {
                slots.by_key.remove(&oldest);
            }
        }
        slots.asked += 1;
        let asked = slots.asked;
        let (slot, last) = slots.by_key.entry(key.clone()).or_default();
        *last = asked;
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

    async fn ask(memory: &Cache<u32, u32>, clock: &Clock, asked: &AtomicU32, key: u32) -> Option<u32> {
        let look = async {
            asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok((key != 0).then(|| (key, clock.now() + STATE_TTL)))
        };
        memory.get_or_fetch(&key, clock, look).await.unwrap()
    }

    #[tokio::test]
    async fn many_askers_make_one_question_until_the_answer_is_old() {
        let (memory, clock, asked) = (Cache::new(4), Clock::manual(DateTime::UNIX_EPOCH), AtomicU32::new(0));
        futures::future::join_all((0..50).map(|_| ask(&memory, &clock, &asked, 7))).await;
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        clock.advance(Duration::from_mins(1));
        ask(&memory, &clock, &asked, 7).await;
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_was_not_found_is_looked_for_again() {
        let (memory, clock, asked) = (Cache::new(4), Clock::manual(DateTime::UNIX_EPOCH), AtomicU32::new(0));
        assert_eq!(ask(&memory, &clock, &asked, 0).await, None);
        assert_eq!(ask(&memory, &clock, &asked, 0).await, None);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn it_stays_small() {
        let (memory, clock, asked) = (Cache::new(4), Clock::manual(DateTime::UNIX_EPOCH), AtomicU32::new(0));
        for key in 1..100 {
            ask(&memory, &clock, &asked, key).await;
        }
        assert!(memory.slots().by_key.len() <= 4);
    }

    #[tokio::test]
    async fn what_is_asked_for_again_and_again_is_kept() {
        let (memory, clock, asked) = (Cache::new(4), Clock::manual(DateTime::UNIX_EPOCH), AtomicU32::new(0));
        for key in 1..100 {
            ask(&memory, &clock, &asked, 7).await;
            ask(&memory, &clock, &asked, key).await;
        }
        assert_eq!(asked.load(Ordering::SeqCst), 99);
    }
}
