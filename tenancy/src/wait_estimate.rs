//! When somebody who waits in line will be ready: what AWS allows, gone through from how things stand now, with how long
//! things have taken lately.
//!
//! The k-th in line is served when a place and a token are to be had for k; what comes after takes as long as it does for
//! everybody, and may have a line of its own. It assumes that those ahead go on, that nobody passes who is not there yet,
//! and that others in the organisation keep what they have taken for half as long as such work takes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::seconds;
use crate::config::ExpectedDurations;

/// Where somebody stands in line, and when the wait is expected to be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// 1 is next.
    pub position: u32,
    /// When the environment is expected to be ready; for maintenance, when its work is expected to be done.
    pub estimated_ready_at: DateTime<Utc>,
}

/// What of a figure of the configuration is added for not noticing at once that something has ended.
const POLL_DELAY_FACTOR: f64 = 1.12;

/// How long each part of onboarding takes on average, seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepDurations {
    /// From the request for an account until it is mapped.
    pub creation: f64,
    /// Until it accepts calls.
    pub usable: f64,
    /// The baseline's stack.
    pub baseline: f64,
    /// The tenant's stack.
    pub stack: f64,
    /// One assignment.
    pub assignment: f64,
    /// Opting in to a region.
    pub opt_in: f64,
    /// Verifying.
    pub verify: f64,
    /// Closing an account.
    pub closure: f64,
}

impl StepDurations {
    /// Before there is any history.
    pub fn guessed(usual: &ExpectedDurations) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a guess is a small number of seconds")]
        let late = |seconds: u64| seconds as f64 * POLL_DELAY_FACTOR;
        Self {
            creation: late(usual.account_creation_seconds),
            usable: late(usual.account_usable_seconds),
            baseline: late(usual.baseline_stack_seconds),
            stack: late(usual.tenant_stack_seconds),
            assignment: late(usual.assignment_seconds),
            opt_in: late(usual.region_opt_in_seconds),
            verify: 1.0,
            closure: late(usual.account_closure_seconds),
        }
    }
}

/// How a quota stands: who is served when, if they come one after the other.
#[derive(Debug, Clone)]
pub struct ServiceModel {
    now: DateTime<Utc>,
    /// Places that nobody has.
    free: usize,
    /// When the others are free again.
    busy: BinaryHeap<Reverse<DateTime<Utc>>>,
    takes: TimeDelta,
    tokens: Option<Tokens>,
    latest: DateTime<Utc>,
}

/// A token bucket, as the generic cell rate algorithm keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    /// When it will be full again.
    pub full_at: DateTime<Utc>,
    /// Between two tokens.
    pub spacing: TimeDelta,
    /// How many it holds.
    pub burst: u32,
}

impl ServiceModel {
    /// With so many places, of which some are taken by work that began `since` and by `external_in_progress`, each for `takes` seconds.
    pub fn new(
        now: DateTime<Utc>,
        places: u16,
        since: &[DateTime<Utc>],
        external_in_progress: usize,
        takes: f64,
        tokens: Option<Tokens>,
    ) -> Self {
        let takes = seconds(takes);
        let ours = since.iter().map(|since| (*since + takes).max(now));
        let theirs = std::iter::repeat_n(now + takes / 2, external_in_progress);
        let busy: BinaryHeap<_> = ours.chain(theirs).map(Reverse).collect();
        Self { now, free: usize::from(places).saturating_sub(busy.len()), busy, takes, tokens, latest: now }
    }

    /// When the next that comes at `at` is served, and when its work is over.
    pub fn serve(&mut self, at: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let place = if self.free > 0 {
            self.free -= 1;
            self.now
        } else {
            self.busy.pop().map_or(self.now, |Reverse(free)| free)
        };
        let mut begins = at.max(place).max(self.latest);
        if let Some(tokens) = &mut self.tokens {
            begins = tokens.take(begins);
        }
        // First come, first served.
        self.latest = begins;
        let over = begins + self.takes;
        self.busy.push(Reverse(over));
        (begins, over)
    }
}

impl Tokens {
    /// When the next token is to be had; may have passed.
    pub fn first(&self) -> DateTime<Utc> {
        self.full_at - self.spacing * i32::try_from(self.burst.saturating_sub(1)).unwrap_or(0)
    }

    /// Takes a token at `at`, or as soon as there is one.
    fn take(&mut self, at: DateTime<Utc>) -> DateTime<Utc> {
        let at = at.max(self.first());
        self.full_at = self.full_at.max(at) + self.spacing;
        at
    }
}

/// Everybody on the way from the line for an account to being ready.
#[derive(Debug, Clone)]
pub struct OnboardingModel {
    /// The line for accounts.
    pub creations: ServiceModel,
    /// The line for assignments.
    pub assignments: ServiceModel,
    /// How many assignments each tenant gets.
    pub assignments_each: usize,
    /// When those ahead come to the line for assignments whose account exists or is being created; and now, for each that
    /// is in it.
    pub on_the_way: Vec<DateTime<Utc>>,
    /// How long things take.
    pub spans: StepDurations,
}

impl OnboardingModel {
    /// When each of the first `count` in line for an account will be ready, by whether its home region has to be opted in to.
    pub fn ready(mut self, count: usize) -> Vec<Expected> {
        self.on_the_way.sort_unstable();
        for at in self.on_the_way.clone() {
            self.assign(at);
        }
        (0..count)
            .map(|_| {
                let (_, created) = self.creations.serve(self.creations.now);
                let usable = created + seconds(self.spans.usable);
                let assigned = self.assign(usable);
                let based = usable + seconds(self.spans.baseline);
                let opted_in = (created + seconds(self.spans.opt_in)).max(based);
                let done = |deployable: DateTime<Utc>| {
                    (deployable + seconds(self.spans.stack)).max(assigned) + seconds(self.spans.verify)
                };
                Expected { ready: done(based), ready_after_opt_in: done(opted_in) }
            })
            .collect()
    }

    fn assign(&mut self, at: DateTime<Utc>) -> DateTime<Utc> {
        (0..self.assignments_each).map(|_| self.assignments.serve(at).1).last().unwrap_or(at)
    }
}

/// When somebody in line for an account will be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// At home in a region that every account has.
    pub ready: DateTime<Utc>,
    /// At home in one that has to be opted in to.
    pub ready_after_opt_in: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn counter(places: u16, takes: f64, tokens: impl Into<Option<Tokens>>) -> ServiceModel {
        ServiceModel::new(NOON, places, &[], 0, takes, tokens.into())
    }

    fn create_account() -> Tokens {
        Tokens { full_at: NOON, spacing: TimeDelta::seconds(10), burst: 3 }
    }

    fn begins(mut counter: ServiceModel, count: usize) -> Vec<i64> {
        (0..count).map(|_| (counter.serve(NOON).0 - NOON).num_seconds()).collect()
    }

    #[test]
    fn it_is_the_bound_of_equal_durations() {
        // s_k = max((k - 3) / 0.1, s_{k-5} + D, 0)
        for takes in [20_i64, 60, 120, 300] {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let begins = begins(counter(5, takes as f64, create_account()), 40);
            for k in 1..=40_usize {
                let token = (i64::try_from(k).unwrap() - 3) * 10;
                let place = if k > 5 { begins[k - 6] + takes } else { 0 };
                assert_eq!(begins[k - 1], token.max(place).max(0), "{k}-th with {takes} s each");
            }
        }
    }

    #[test]
    fn what_is_taken_already_comes_first() {
        let since = [NOON - TimeDelta::seconds(50), NOON - TimeDelta::seconds(10)];
        let counter = ServiceModel::new(NOON, 2, &since, 0, 60.0, None);
        assert_eq!(begins(counter, 3), [10, 50, 70]);
        let with_a_stranger = ServiceModel::new(NOON, 1, &[], 1, 60.0, None);
        assert_eq!(begins(with_a_stranger, 2), [30, 90]);
    }

    #[test]
    fn the_narrowest_place_decides() {
        let spans = StepDurations { assignment: 300.0, ..StepDurations::guessed(&ExpectedDurations::default()) };
        let line = |takes: f64| OnboardingModel {
            creations: counter(5, 20.0, create_account()),
            assignments: counter(15, takes, None),
            assignments_each: 1,
            on_the_way: Vec::new(),
            spans,
        };
        let last = |takes| (line(takes).ready(1_000).pop().unwrap().ready - NOON).num_seconds();
        assert!((9_970..10_300).contains(&last(10.0)), "bound by the rate of CreateAccount: {}", last(10.0));
        assert!((19_700..20_500).contains(&last(300.0)), "bound by assignments: {}", last(300.0));
    }
}
