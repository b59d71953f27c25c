//! Estimates the completion times of queued operations from AWS quotas, the current queue and recent durations.
//!
//! The k-th operation in the queue starts when a slot and a rate token are available. Each later step takes its average
//! duration and may wait in another queue. The model makes three assumptions: the operations ahead are not blocked, no
//! later operation overtakes, and requests from outside Freehold occupy their slots for half the average duration.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::seconds;
use crate::config::ExpectedDurations;
use crate::token_bucket::Tokens;
use crate::vending::VendingStopCode;

/// Position of an operation in its queue, with the estimated completion time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Position in the queue; the next operation has position 1.
    pub position: u32,
    /// Estimated time at which the environment is ready, or at which an offboarding or repair is done; `None` while
    /// nothing shows when the operation can continue.
    pub estimated_ready_at: Option<DateTime<Utc>>,
    /// Reason why no account is created; `None` if accounts are created or the operation needs none.
    pub stopped_by: Option<VendingStopCode>,
}

/// Factor applied to configured durations, because a poll detects the end of the work with a delay.
const POLL_DELAY_FACTOR: f64 = 1.12;

/// Average duration of each part of an onboarding, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepDurations {
    /// Time from the account request to the account mapping.
    pub creation: f64,
    /// Time from the account mapping until the account accepts calls.
    pub usable: f64,
    /// Creation of the baseline stack.
    pub baseline: f64,
    /// Creation of the tenant stack.
    pub stack: f64,
    /// Creation of one access assignment.
    pub assignment: f64,
    pub opt_in: f64,
    pub verify: f64,
    pub closure: f64,
}

impl StepDurations {
    /// Returns the configured durations, which are used until the journal contains enough measured durations.
    pub fn configured(expected: &ExpectedDurations) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a configured duration is a small number of seconds")]
        let with_poll_delay = |seconds: u64| seconds as f64 * POLL_DELAY_FACTOR;
        Self {
            creation: with_poll_delay(expected.account_creation_seconds),
            usable: with_poll_delay(expected.account_usable_seconds),
            baseline: with_poll_delay(expected.baseline_stack_seconds),
            stack: with_poll_delay(expected.tenant_stack_seconds),
            assignment: with_poll_delay(expected.assignment_seconds),
            opt_in: with_poll_delay(expected.region_opt_in_seconds),
            verify: 1.0,
            closure: with_poll_delay(expected.account_closure_seconds),
        }
    }
}

/// Model of one quota as a queue with several servers (slots), served first come, first served.
#[derive(Debug, Clone)]
pub struct ServiceModel {
    now: DateTime<Utc>,
    free_slots: usize,
    /// Times at which the taken slots are released.
    busy_until: BinaryHeap<Reverse<DateTime<Utc>>>,
    duration: TimeDelta,
    tokens: Option<Tokens>,
    last_start: DateTime<Utc>,
    daily_limit: Option<DailyLimit>,
}

/// Maximum number of starts in 24 hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DailyLimit {
    pub maximum: usize,
    /// Starts of the last 24 hours and of the modelled requests, oldest first.
    pub starts: Vec<DateTime<Utc>>,
}

impl ServiceModel {
    /// Creates the model of a quota with `slots` slots. `since` contains the start times of Freehold's requests that
    /// occupy a slot; `external_in_progress` is the number of requests from outside Freehold. Each request takes
    /// `duration` seconds.
    pub fn new(
        now: DateTime<Utc>,
        slots: u16,
        since: &[DateTime<Utc>],
        external_in_progress: usize,
        duration: f64,
        tokens: Option<Tokens>,
    ) -> Self {
        let duration = seconds(duration);
        let own = since.iter().map(|since| (*since + duration).max(now));
        let external = std::iter::repeat_n(now + duration / 2, external_in_progress);
        let busy_until: BinaryHeap<_> = own.chain(external).map(Reverse).collect();
        let free_slots = usize::from(slots).saturating_sub(busy_until.len());
        Self { now, free_slots, busy_until, duration, tokens, last_start: now, daily_limit: None }
    }

    /// Limits the number of starts in 24 hours.
    #[must_use]
    pub fn with_daily_limit(self, daily_limit: Option<DailyLimit>) -> Self {
        Self { daily_limit, ..self }
    }

    /// Adds a request that arrives at `at`. Returns the times at which its work starts and finishes.
    pub fn serve(&mut self, at: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let slot_free_at = if self.free_slots > 0 {
            self.free_slots -= 1;
            self.now
        } else {
            self.busy_until.pop().map_or(self.now, |Reverse(released_at)| released_at)
        };
        let mut start = at.max(slot_free_at).max(self.last_start);
        if let Some(earliest) = self.daily_limit.as_ref().and_then(DailyLimit::next_start) {
            start = start.max(earliest);
        }
        if let Some(tokens) = &mut self.tokens {
            start = tokens.take(start);
        }
        // First come, first served: no later request starts before this one.
        self.last_start = start;
        if let Some(daily_limit) = &mut self.daily_limit {
            daily_limit.starts.push(start);
        }
        let end = start + self.duration;
        self.busy_until.push(Reverse(end));
        (start, end)
    }
}

impl DailyLimit {
    /// Returns the time before which no further request starts; `None` if a request can start at once.
    fn next_start(&self) -> Option<DateTime<Utc>> {
        let index = self.starts.len().checked_sub(self.maximum)?;
        Some(*self.starts.get(index)? + TimeDelta::days(1))
    }
}

/// Model of all onboardings from the account queue to the ready environment.
#[derive(Debug, Clone)]
pub struct OnboardingModel {
    /// Queue model of the quota for account creations.
    pub creations: ServiceModel,
    /// Queue model of the quota for access assignments.
    pub assignments: ServiceModel,
    /// Number of assignments per environment.
    pub assignments_per_environment: usize,
    /// Times at which operations that have left the account queue enter the assignment queue. The list contains the
    /// current time for each operation that is already in the assignment queue.
    pub assignment_arrivals: Vec<DateTime<Utc>>,
    /// Average durations of the steps of an onboarding.
    pub average_durations: StepDurations,
}

impl OnboardingModel {
    /// Returns the estimated times at which the first `count` operations in the account queue are ready.
    pub fn ready(mut self, count: usize) -> Vec<ReadyEstimate> {
        self.assignment_arrivals.sort_unstable();
        for at in self.assignment_arrivals.clone() {
            self.assign(at);
        }
        (0..count)
            .map(|_| {
                let (_, created) = self.creations.serve(self.creations.now);
                let usable = created + seconds(self.average_durations.usable);
                let assigned = self.assign(usable);
                let baseline_done = usable + seconds(self.average_durations.baseline);
                let opted_in = (created + seconds(self.average_durations.opt_in)).max(baseline_done);
                let done = |deployable: DateTime<Utc>| {
                    (deployable + seconds(self.average_durations.stack)).max(assigned)
                        + seconds(self.average_durations.verify)
                };
                ReadyEstimate { ready: done(baseline_done), ready_after_opt_in: done(opted_in) }
            })
            .collect()
    }

    fn assign(&mut self, at: DateTime<Utc>) -> DateTime<Utc> {
        (0..self.assignments_per_environment).map(|_| self.assignments.serve(at).1).last().unwrap_or(at)
    }
}

/// Estimated times at which an environment is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyEstimate {
    /// Estimate for a home region that is enabled by default.
    pub ready: DateTime<Utc>,
    /// Estimate for a home region that requires an opt-in.
    pub ready_after_opt_in: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn model(slots: u16, duration: f64, tokens: impl Into<Option<Tokens>>) -> ServiceModel {
        ServiceModel::new(NOON, slots, &[], 0, duration, tokens.into())
    }

    fn create_account_rate() -> Tokens {
        Tokens { full_at: NOON, spacing: TimeDelta::seconds(10), burst: 3 }
    }

    fn starts(mut model: ServiceModel, count: usize) -> Vec<i64> {
        (0..count).map(|_| (model.serve(NOON).0 - NOON).num_seconds()).collect()
    }

    #[test]
    fn start_times_match_the_queue_formula_for_equal_durations() {
        // start_k = max((k - burst) / rate, start_{k-slots} + duration, 0)
        for duration in [20_i64, 60, 120, 300] {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let starts = starts(model(5, duration as f64, create_account_rate()), 40);
            for k in 1..=40_usize {
                let token = (i64::try_from(k).unwrap() - 3) * 10;
                let slot = if k > 5 { starts[k - 6] + duration } else { 0 };
                assert_eq!(starts[k - 1], token.max(slot).max(0), "request {k} with {duration} s each");
            }
        }
    }

    #[test]
    fn taken_slots_delay_the_queue() {
        let since = [NOON - TimeDelta::seconds(50), NOON - TimeDelta::seconds(10)];
        let with_own_work = ServiceModel::new(NOON, 2, &since, 0, 60.0, None);
        assert_eq!(starts(with_own_work, 3), [10, 50, 70]);
        let with_external_work = ServiceModel::new(NOON, 1, &[], 1, 60.0, None);
        assert_eq!(starts(with_external_work, 2), [30, 90]);
    }

    #[test]
    fn the_tightest_quota_determines_the_estimate() {
        let average_durations =
            StepDurations { assignment: 300.0, ..StepDurations::configured(&ExpectedDurations::default()) };
        let onboarding = |duration: f64| OnboardingModel {
            creations: model(5, 20.0, create_account_rate()),
            assignments: model(15, duration, None),
            assignments_per_environment: 1,
            assignment_arrivals: Vec::new(),
            average_durations,
        };
        let last = |duration| (onboarding(duration).ready(1_000).pop().unwrap().ready - NOON).num_seconds();
        assert!((9_970..10_300).contains(&last(10.0)), "limited by the rate of CreateAccount: {}", last(10.0));
        assert!((19_700..20_500).contains(&last(300.0)), "limited by assignments: {}", last(300.0));
    }
}
