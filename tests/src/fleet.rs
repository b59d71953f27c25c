//! Measurements of the onboarding of many tenants: timeline of each tenant, ideal timeline under the same AWS quotas,
//! and number of AWS calls.
//!
//! The clock is simulated: the result shows the delays of polling and queueing, not the speed of the machine.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_sandbox::world::{BackgroundWorkSpan, CallCount};
use freehold_tenancy::AwsAccountId;
use freehold_tenancy::environment::Environment;
use serde::Deserialize;

/// Maximum number of CreateAccount requests in progress.
pub const ACCOUNT_CREATION_SLOTS: usize = 5;
/// Seconds after which the token bucket of CreateAccount gets another token.
const SECONDS_PER_REQUEST: f64 = 10.0;
/// Maximum number of tokens in the token bucket of CreateAccount.
const REQUEST_BURST: f64 = 3.0;

/// Maximum number of CreateAccountAssignment requests in progress.
const ASSIGNMENT_SLOTS: usize = 15;

/// Timeline of the onboarding of one tenant, in seconds after the start of the run.
#[derive(Debug, Clone)]
pub struct TenantTimeline {
    /// Time of the account creation request.
    pub requested: f64,
    /// Time at which the account creation finished.
    pub created: f64,
    /// Time at which the account accepted AWS calls, including calls of CloudFormation.
    pub usable: f64,
    /// Duration of each stack creation before the tenant was ready, in the order of the requests.
    pub stacks: Vec<f64>,
    /// Duration of each stack creation in a replica, which starts when the tenant is ready.
    pub replica_stacks: Vec<f64>,
    /// Duration of each assignment.
    pub assignments: Vec<f64>,
    /// Time at which the tenant was ready.
    pub ready: f64,
    /// Periods in which background work for the tenant was in progress in the simulated AWS.
    pub busy_periods: Vec<(f64, f64)>,
}

impl TenantTimeline {
    /// Returns the timelines of ready tenants, in the order of their account creation requests.
    pub fn all(busy: &[BackgroundWorkSpan], environments: &[Environment], start: DateTime<Utc>) -> Vec<Self> {
        let mut by_account: BTreeMap<&str, Vec<&BackgroundWorkSpan>> = BTreeMap::new();
        for span in busy {
            by_account.entry(span.account_id.as_deref().unwrap_or_default()).or_default().push(span);
        }
        let timeline = |environment: &Environment| {
            let account = environment.aws_account_id.as_ref().map(AwsAccountId::as_str).expect("an account");
            Self::new(&by_account[account], environment, start)
        };
        let mut timelines: Vec<_> = environments.iter().map(timeline).collect();
        timelines.sort_by(|one, other| one.requested.total_cmp(&other.requested));
        timelines
    }

    fn new(spans: &[&BackgroundWorkSpan], environment: &Environment, start: DateTime<Utc>) -> Self {
        let ready = environment.ready_at.expect("a time");
        let seconds = |at: DateTime<Utc>| (at.min(ready) - start).as_seconds_f64();
        let creation = spans.iter().find(|busy| busy.activity == "create-account").expect("an account creation");
        let during = |activity: &str, is_wanted: &dyn Fn(&BackgroundWorkSpan) -> bool| {
            let spans = spans.iter().filter(|busy| busy.activity == activity && is_wanted(busy));
            spans.map(|busy| (busy.until - busy.from).as_seconds_f64()).collect::<Vec<_>>()
        };
        let durations = |activity: &str| during(activity, &|_| true);
        Self {
            requested: seconds(creation.from),
            created: seconds(creation.until),
            usable: seconds(creation.until)
                + durations("settle").iter().sum::<f64>()
                + durations("subscribe").iter().sum::<f64>(),
            stacks: during("stack", &|busy| busy.from < ready),
            replica_stacks: during("stack", &|busy| busy.from >= ready),
            assignments: durations("assignment"),
            ready: seconds(ready),
            busy_periods: spans.iter().map(|busy| (seconds(busy.from), seconds(busy.until))).collect(),
        }
    }
}

/// Earliest possible times in the onboarding of one tenant under AWS's quotas.
#[derive(Debug, Clone, Copy)]
pub struct IdealTimeline {
    /// Time of the account creation request.
    pub requested: f64,
    /// Time at which the tenant is ready.
    pub ready: f64,
}

/// Calculates the timelines of the same onboardings without delays: each account is requested as soon as AWS's quotas
/// allow, and each step starts as soon as the previous step has finished. `timelines` must be in the order of the
/// queue.
pub fn ideal_timelines(timelines: &[TenantTimeline]) -> Vec<IdealTimeline> {
    let mut assignments = Slots::new(ASSIGNMENT_SLOTS);
    let durations: Vec<f64> = timelines.iter().map(|timeline| timeline.created - timeline.requested).collect();
    let requested = ideal_requests(&durations);
    let usable_at = |(timeline, at): (&TenantTimeline, &f64)| at + timeline.usable - timeline.requested;
    let mut usable: Vec<(usize, f64)> = timelines.iter().zip(&requested).map(usable_at).enumerate().collect();
    // Tenants request their assignments in the order in which their accounts become usable.
    usable.sort_by(|one, other| one.1.total_cmp(&other.1));
    let mut ideal = vec![IdealTimeline { requested: 0.0, ready: 0.0 }; timelines.len()];
    for (index, usable) in usable {
        let timeline = &timelines[index];
        let mut assigned = usable;
        for duration in &timeline.assignments {
            let done = assignments.free_at().max(usable) + duration;
            assignments.occupy(done);
            assigned = assigned.max(done);
        }
        let deployed = usable + timeline.stacks.iter().sum::<f64>();
        ideal[index] = IdealTimeline { requested: requested[index], ready: deployed.max(assigned) };
    }
    ideal
}

/// Returns the earliest possible times of account creation requests, in seconds after the start, for creations that
/// take `durations` seconds.
pub fn ideal_requests(durations: &[f64]) -> Vec<f64> {
    let mut slots = Slots::new(ACCOUNT_CREATION_SLOTS);
    let (mut bucket_full_at, mut last) = (0.0_f64, 0.0_f64);
    let request = |duration: &f64| {
        let token_at = bucket_full_at - (REQUEST_BURST - 1.0) * SECONDS_PER_REQUEST;
        let at = slots.free_at().max(token_at).max(last);
        bucket_full_at = bucket_full_at.max(at) + SECONDS_PER_REQUEST;
        last = at;
        slots.occupy(at + duration);
        at
    };
    durations.iter().map(request).collect()
}

/// Slots of a quota, each with the time at which it becomes free.
struct Slots(Vec<f64>);

impl Slots {
    fn new(count: usize) -> Self {
        Self(vec![0.0; count])
    }

    /// Returns the time at which the next slot becomes free.
    fn free_at(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Occupies the slot that becomes free first, until the time `until`.
    fn occupy(&mut self, until: f64) {
        if let Some(first) = self.0.iter_mut().min_by(|one, other| one.total_cmp(other)) {
            *first = until;
        }
    }
}

/// Minimum number of calls of each AWS operation that the onboarding of one tenant requires; 0 for operations that are
/// not listed.
#[derive(Debug, Clone, Deserialize)]
pub struct MinimumCalls {
    /// Additional calls for each replica.
    pub replica: BTreeMap<String, f64>,
    alone: BTreeMap<String, f64>,
    fleet: BTreeMap<String, f64>,
    #[serde(flatten)]
    each: BTreeMap<String, f64>,
}

/// Number of calls of one AWS operation per tenant, compared with the minimum number.
#[derive(Debug, Clone, PartialEq)]
pub struct CallComparison {
    /// Name of the AWS operation in the form `service:Operation`.
    pub operation: String,
    /// Actual number of calls.
    pub actual: f64,
    /// Minimum number of calls.
    pub minimum: f64,
}

impl CallComparison {
    /// Returns the actual number of calls divided by the minimum number.
    pub fn ratio(&self) -> f64 {
        self.actual / self.minimum
    }
}

impl MinimumCalls {
    /// Returns the table in tests/minimum_calls.toml.
    pub fn load() -> Self {
        toml::from_str(include_str!("../minimum_calls.toml")).expect("the table")
    }

    /// Compares the number of calls per tenant with the minimum for many tenants, or for a single tenant if `alone` is
    /// true. `before` and `after` are the call counts before and after the onboardings.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    pub fn compare(
        &self,
        before: &BTreeMap<String, CallCount>,
        after: &BTreeMap<String, CallCount>,
        tenants: usize,
        alone: bool,
    ) -> Vec<CallComparison> {
        let shared = if alone { &self.alone } else { &self.fleet };
        let actual = after.iter().map(|(operation, count)| {
            let calls = count.calls - before.get(operation).map_or(0, |count| count.calls);
            let minimum = self.each.get(operation).or_else(|| shared.get(operation)).copied().unwrap_or(0.0);
            CallComparison { operation: operation.clone(), actual: calls as f64 / tenants as f64, minimum }
        });
        actual.filter(|calls| calls.actual > 0.0).collect()
    }
}
