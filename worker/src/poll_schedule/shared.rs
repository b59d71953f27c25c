//! Schedule of shared polls, which serve all operations that wait under the same quota.

use chrono::{DateTime, Utc};
use freehold_tenancy::clock::seconds;
use freehold_tenancy::db::shared_polls::{InProgress, QuotaUsage};

use super::DurationEstimate;

/// Minimum number of items in progress for which one List call is cheaper than individual polls.
const MIN_ITEMS_FOR_LIST: usize = 3;

/// Cost of one List call when all slots are taken, as a fraction of the expected duration, for a quota of one slot. The
/// cost grows with the square root of the number of slots, because one idle slot of many matters less. The value was
/// tuned with the onboarding benchmark: about two List calls per finished item.
const LIST_COST_WHEN_FULL: f64 = 0.0085;

/// Cost of an individual poll when all slots are taken. In this case an item is polled individually at most once.
const INDIVIDUAL_POLL_COST_WHEN_FULL: f64 = 0.008;

/// Cost of one List call while slots are free.
const LIST_COST: f64 = 0.06;

/// Cost of an individual poll while there are only one or two items.
const INDIVIDUAL_POLL_COST: f64 = 0.12;

/// Minimum pause between two polls, in seconds.
const MIN_PAUSE: f64 = 1.0;

/// Work that takes longer than its expected duration times this factor is treated as hanging. The pauses between its
/// polls then grow with its age and no longer depend on the expected duration.
const HANGING_FACTOR: f64 = 10.0;

/// Load of a quota, which determines the cost of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuotaLoad {
    /// One or two items are in progress.
    Few,
    /// More items are in progress, and slots are free.
    Many,
    /// At most one slot is free, and operations are queued. Contains the number of slots.
    Full(u16),
}

impl QuotaLoad {
    /// Returns the load of a quota with this number of slots.
    pub(crate) fn of(watched: &QuotaUsage, slots: u16) -> Self {
        // The last free slot is taken soon, as soon as the first queued operation gets a token.
        if watched.in_line > 0 && watched.taken + 1 >= i64::from(slots) {
            Self::Full(slots)
        } else if watched.in_progress.len() >= MIN_ITEMS_FOR_LIST || watched.external_in_progress > 0 {
            Self::Many
        } else {
            Self::Few
        }
    }

    /// Returns the cost of a List call; infinite if individual polls are better.
    fn list_cost(self) -> f64 {
        match self {
            Self::Few => f64::INFINITY,
            Self::Many => LIST_COST,
            Self::Full(slots) => LIST_COST_WHEN_FULL * f64::from(slots).sqrt(),
        }
    }

    /// Returns the cost of an individual poll of `item`; infinite if it must not be polled individually.
    fn individual_cost(self, item: &InProgress) -> f64 {
        match self {
            Self::Few => INDIVIDUAL_POLL_COST,
            Self::Full(_) if item.individual_polls == 0 => INDIVIDUAL_POLL_COST_WHEN_FULL,
            Self::Many | Self::Full(_) => f64::INFINITY,
        }
    }
}

/// Method of a poll.
#[derive(Debug, PartialEq)]
pub(crate) enum PollMethod<'a> {
    /// No poll is due.
    None,
    /// These operations poll individually.
    Individual(Vec<&'a InProgress>),
    /// One List call reports all items in progress.
    List,
}

/// Returns the method of the poll that is due at `now`.
pub(crate) fn choose_method(
    in_progress: &[InProgress],
    expected: DurationEstimate,
    load: QuotaLoad,
    now: DateTime<Utc>,
) -> PollMethod<'_> {
    let losses: Vec<f64> = in_progress.iter().map(|item| Loss::until(item, expected, now).lost).collect();
    // 5 % of tolerance: a poll that is due a moment later is made now.
    let due = |lost: f64, cost: f64| lost >= 0.95 * cost * expected.median;
    if due(losses.iter().sum(), load.list_cost()) {
        return PollMethod::List;
    }
    let individual = in_progress.iter().zip(&losses).filter(|(item, lost)| due(**lost, load.individual_cost(item)));
    let individual: Vec<_> = individual.map(|(item, _)| item).collect();
    if individual.is_empty() { PollMethod::None } else { PollMethod::Individual(individual) }
}

/// Returns the time of the next shared poll, or `None` if no item is in progress.
pub(crate) fn next_shared_poll(
    in_progress: &[InProgress],
    expected: DurationEstimate,
    load: QuotaLoad,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let mut losses: Vec<_> = in_progress.iter().map(|item| (item, Loss::until(item, expected, now))).collect();
    if losses.is_empty() {
        return None;
    }
    let oldest = losses.iter().map(|(_, loss)| loss.age).fold(0.0, f64::max);
    let (mut pause, step) = (0.0, expected.time_step().max(0.01 * oldest));
    while pause < 10.0 * expected.median + oldest {
        pause += step;
        for (_, loss) in &mut losses {
            loss.advance(expected, step);
        }
        let all: f64 = losses.iter().map(|(_, loss)| loss.lost).sum();
        let individual = losses.iter().any(|(item, loss)| loss.lost >= load.individual_cost(item) * expected.median);
        if individual || all >= load.list_cost() * expected.median {
            break;
        }
    }
    Some(now + seconds(pause.max(MIN_PAUSE)))
}

/// Expected delay in detecting that an item has finished. The item was last seen in progress at the age `seen`. All
/// values are in seconds.
struct Loss {
    seen: f64,
    age: f64,
    lost: f64,
    /// Weight of a second of delay; below 1 for hanging work.
    weight: f64,
}

impl Loss {
    fn until(item: &InProgress, expected: DurationEstimate, now: DateTime<Utc>) -> Self {
        let seen = (item.seen - item.since).as_seconds_f64().max(0.0);
        let weight = (HANGING_FACTOR * expected.median / seen).min(1.0);
        let mut loss = Self { seen, age: seen, lost: 0.0, weight };
        let (until, step) = ((now - item.since).as_seconds_f64(), expected.time_step());
        // At most 500 steps, also after a long interruption.
        let step = step.max((until - seen) / 500.0);
        while loss.age < until {
            loss.advance(expected, step.min(until - loss.age));
        }
        loss
    }

    fn advance(&mut self, expected: DurationEstimate, step: f64) {
        self.lost += self.weight * step * expected.probability_of_finishing(self.seen, self.age + 0.5 * step);
        self.age += step;
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use freehold_tenancy::OperationId;

    use super::*;

    const USUAL: DurationEstimate = DurationEstimate { median: 100.0, spread: 0.3, guessed: false };
    const NOON: DateTime<Utc> = DateTime::UNIX_EPOCH;

    /// Returns an item that started and was last seen the given numbers of seconds before noon.
    fn work(started: i64, seen: i64) -> InProgress {
        InProgress {
            operation_id: OperationId::new(NOON),
            item: String::new(),
            since: NOON - TimeDelta::seconds(started),
            seen: NOON - TimeDelta::seconds(seen),
            individual_polls: 0,
        }
    }

    fn pause(in_progress: &[InProgress], load: QuotaLoad) -> f64 {
        (next_shared_poll(in_progress, USUAL, load, NOON).expect("a poll") - NOON).as_seconds_f64()
    }

    #[test]
    fn nothing_in_progress_needs_no_poll() {
        assert_eq!(next_shared_poll(&[], USUAL, QuotaLoad::Full(5), NOON), None);
    }

    #[test]
    fn polls_are_closer_with_more_items_and_near_the_expected_end() {
        let fresh = vec![work(10, 10); 5];
        let old = vec![work(90, 5); 5];
        assert!(pause(&fresh, QuotaLoad::Full(5)) > 40.0);
        assert!(pause(&old, QuotaLoad::Full(5)) < 15.0);
        assert!(pause(&old, QuotaLoad::Full(5)) < pause(&old, QuotaLoad::Many));
        assert!(pause(&old, QuotaLoad::Many) < pause(&old[..1], QuotaLoad::Few));
    }

    #[test]
    fn one_or_two_items_are_polled_individually_when_they_may_be_done() {
        let two = [work(130, 130), work(20, 20)];
        assert_eq!(choose_method(&two, USUAL, QuotaLoad::Few, NOON), PollMethod::Individual(vec![&two[0]]));
        let five = vec![work(130, 130); 5];
        assert_eq!(choose_method(&five, USUAL, QuotaLoad::Full(5), NOON), PollMethod::List);
        assert_eq!(choose_method(&five[..1], USUAL, QuotaLoad::Many, NOON), PollMethod::List);
    }

    #[test]
    fn work_that_hangs_for_days_is_polled_a_few_dozen_times() {
        for (load, count) in [(QuotaLoad::Few, 1), (QuotaLoad::Many, 3), (QuotaLoad::Full(5), 5)] {
            let (mut age, mut polls) = (0, 0);
            while age < 3 * 24 * 3600 {
                #[expect(clippy::cast_possible_truncation, reason = "some days")]
                let next = age + pause(&vec![work(age, 0); count], load).ceil() as i64;
                let due = vec![work(next, next - age); count];
                assert_ne!(
                    choose_method(&due, USUAL, load, NOON),
                    PollMethod::None,
                    "{load:?}: too soon after {age} s"
                );
                (age, polls) = (next, polls + 1);
            }
            assert!((20..400).contains(&polls), "{load:?}: {polls} polls");
        }
    }

    #[test]
    fn an_item_that_was_just_seen_is_not_polled_again() {
        assert_eq!(choose_method(&[work(130, 0), work(100, 1)], USUAL, QuotaLoad::Full(5), NOON), PollMethod::None);
    }
}
