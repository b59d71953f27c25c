//! Looks that serve everybody who waits for work under one quota.

use chrono::{DateTime, Utc};
use freehold_tenancy::clock::seconds;
use freehold_tenancy::db::shared_polls::{InProgress, QuotaUsage};

use super::DurationEstimate;

/// From so many in progress on, one list is better than a look at each.
const CROWD: usize = 3;

/// What a list costs under a quota of one place, as a share of the usual time, while others wait for a place: an empty one
/// loses as much for all of them. It grows with the root of the places, of which each is the less worth the more there are.
/// That makes about two lists for each that ends.
const LIST_COSTS_WHEN_FULL: f64 = 0.0085;

/// What a look at one by itself costs then; one that was in progress is not looked at a second time.
const OWN_LOOK_COSTS_WHEN_FULL: f64 = 0.008;

/// What a list costs while places are free.
const LIST_COSTS: f64 = 0.06;

/// What a look at one by itself costs while there are only one or two.
const OWN_LOOK_COSTS: f64 = 0.12;

/// No two looks come closer than this.
const LEAST_PAUSE: f64 = 1.0;

/// Work that has been in progress for more than so many times its usual duration hangs: then a look is worth while after a
/// share of the time that it has hung, and not of what is usual.
const HANGS: f64 = 10.0;

/// How many there are that a look serves, and how much an empty place is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuotaLoad {
    /// One or two.
    Few,
    /// More, and places are free.
    Many,
    /// Hardly one of so many places is free, and others wait for one.
    Full(u16),
}

impl QuotaLoad {
    /// As things stand under a quota of so many `places`.
    pub(crate) fn of(watched: &QuotaUsage, places: u16) -> Self {
        // The last place is soon taken: by whoever is first in line when there is a token.
        if watched.in_line > 0 && watched.taken + 1 >= i64::from(places) {
            Self::Full(places)
        } else if watched.in_progress.len() >= CROWD || watched.external_in_progress > 0 {
            Self::Many
        } else {
            Self::Few
        }
    }

    /// What a list costs, if one is worth while.
    fn list(self) -> f64 {
        match self {
            Self::Few => f64::INFINITY,
            Self::Many => LIST_COSTS,
            Self::Full(places) => LIST_COSTS_WHEN_FULL * f64::from(places).sqrt(),
        }
    }

    /// What it costs to have `one` look by itself.
    fn own(self, one: &InProgress) -> f64 {
        match self {
            Self::Few => OWN_LOOK_COSTS,
            Self::Full(_) if one.individual_polls == 0 => OWN_LOOK_COSTS_WHEN_FULL,
            Self::Many | Self::Full(_) => f64::INFINITY,
        }
    }
}

/// Through what to look.
#[derive(Debug, PartialEq)]
pub(crate) enum PollMethod<'a> {
    /// A look would be wasted now.
    None,
    /// These look by themselves.
    Own(Vec<&'a InProgress>),
    /// Everything in progress is listed.
    List,
}

/// Through what to look at `now`.
pub(crate) fn instrument(
    in_progress: &[InProgress],
    expected: DurationEstimate,
    crowd: QuotaLoad,
    now: DateTime<Utc>,
) -> PollMethod<'_> {
    let losses: Vec<f64> = in_progress.iter().map(|one| Loss::until(one, expected, now).lost).collect();
    // What is due a moment later is due as well.
    let due = |lost: f64, costs: f64| lost >= 0.95 * costs * expected.median;
    if due(losses.iter().sum(), crowd.list()) {
        return PollMethod::List;
    }
    let own = in_progress.iter().zip(&losses).filter(|(one, lost)| due(**lost, crowd.own(one)));
    let own: Vec<_> = own.map(|(one, _)| one).collect();
    if own.is_empty() { PollMethod::None } else { PollMethod::Own(own) }
}

/// When the next look is due; never where nothing is in progress.
pub(crate) fn next_shared_look(
    in_progress: &[InProgress],
    expected: DurationEstimate,
    crowd: QuotaLoad,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let mut losses: Vec<_> = in_progress.iter().map(|one| (one, Loss::until(one, expected, now))).collect();
    if losses.is_empty() {
        return None;
    }
    let oldest = losses.iter().map(|(_, loss)| loss.age).fold(0.0, f64::max);
    let (mut pause, step) = (0.0, expected.step().max(0.01 * oldest));
    while pause < 10.0 * expected.median + oldest {
        pause += step;
        for (_, loss) in &mut losses {
            loss.go_on(expected, step);
        }
        let all: f64 = losses.iter().map(|(_, loss)| loss.lost).sum();
        let own = losses.iter().any(|(one, loss)| loss.lost >= crowd.own(one) * expected.median);
        if own || all >= crowd.list() * expected.median {
            break;
        }
    }
    Some(now + seconds(pause.max(LEAST_PAUSE)))
}

/// The time lost, on average, since work was last seen in progress.
struct Loss {
    seen: f64,
    age: f64,
    lost: f64,
    /// How much a second counts.
    weight: f64,
}

impl Loss {
    fn until(one: &InProgress, expected: DurationEstimate, now: DateTime<Utc>) -> Self {
        let seen = (one.seen - one.since).as_seconds_f64().max(0.0);
        let weight = (HANGS * expected.median / seen).min(1.0);
        let mut loss = Self { seen, age: seen, lost: 0.0, weight };
        let (until, step) = ((now - one.since).as_seconds_f64(), expected.step());
        // Whoever comes back after an hour need not count it in small steps.
        let step = step.max((until - seen) / 500.0);
        while loss.age < until {
            loss.go_on(expected, step.min(until - loss.age));
        }
        loss
    }

    fn go_on(&mut self, expected: DurationEstimate, step: f64) {
        self.lost += self.weight * step * expected.over(self.seen, self.age + 0.5 * step);
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

    /// Work that began so many seconds before noon and was last seen so many seconds before.
    fn work(began: i64, seen: i64) -> InProgress {
        InProgress {
            operation_id: OperationId::new(NOON),
            item: String::new(),
            since: NOON - TimeDelta::seconds(began),
            seen: NOON - TimeDelta::seconds(seen),
            individual_polls: 0,
        }
    }

    fn pause(in_progress: &[InProgress], crowd: QuotaLoad) -> f64 {
        (next_shared_look(in_progress, USUAL, crowd, NOON).expect("a look") - NOON).as_seconds_f64()
    }

    #[test]
    fn nothing_in_progress_is_not_looked_at() {
        assert_eq!(next_shared_look(&[], USUAL, QuotaLoad::Full(5), NOON), None);
    }

    #[test]
    fn looks_come_closer_together_the_more_wait_and_the_nearer_the_end() {
        let fresh = vec![work(10, 10); 5];
        let old = vec![work(90, 5); 5];
        assert!(pause(&fresh, QuotaLoad::Full(5)) > 40.0);
        assert!(pause(&old, QuotaLoad::Full(5)) < 15.0);
        assert!(pause(&old, QuotaLoad::Full(5)) < pause(&old, QuotaLoad::Many));
        assert!(pause(&old, QuotaLoad::Many) < pause(&old[..1], QuotaLoad::Few));
    }

    #[test]
    fn one_or_two_look_by_themselves_and_only_those_that_may_be_over() {
        let two = [work(130, 130), work(20, 20)];
        assert_eq!(instrument(&two, USUAL, QuotaLoad::Few, NOON), PollMethod::Own(vec![&two[0]]));
        let five = vec![work(130, 130); 5];
        assert_eq!(instrument(&five, USUAL, QuotaLoad::Full(5), NOON), PollMethod::List);
        assert_eq!(instrument(&five[..1], USUAL, QuotaLoad::Many, NOON), PollMethod::List);
    }

    #[test]
    fn what_hangs_for_days_is_looked_at_some_dozens_of_times() {
        for (crowd, count) in [(QuotaLoad::Few, 1), (QuotaLoad::Many, 3), (QuotaLoad::Full(5), 5)] {
            let (mut age, mut looks) = (0, 0);
            while age < 3 * 24 * 3600 {
                #[expect(clippy::cast_possible_truncation, reason = "some days")]
                let next = age + pause(&vec![work(age, 0); count], crowd).ceil() as i64;
                let due = vec![work(next, next - age); count];
                assert_ne!(instrument(&due, USUAL, crowd, NOON), PollMethod::None, "{crowd:?}: too soon after {age} s");
                (age, looks) = (next, looks + 1);
            }
            assert!((20..400).contains(&looks), "{crowd:?}: looked {looks} times");
        }
    }

    #[test]
    fn what_was_just_seen_is_not_looked_at_again() {
        assert_eq!(instrument(&[work(130, 0), work(100, 1)], USUAL, QuotaLoad::Full(5), NOON), PollMethod::None);
    }
}
