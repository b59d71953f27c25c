//! Many tenants at once: what the simulated AWS did for each, how soon that could have been over, and the calls it took.
//!
//! The clock is simulated: what is measured is how late things are noticed and begun, not how fast this machine is.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_sandbox::world::{BusySpan, CallCount};
use freehold_tenancy::AwsAccountId;
use freehold_tenancy::environment::Environment;
use serde::Deserialize;

/// CreateAccount: this many in progress at one time, one each so many seconds, this many at once.
pub const ACCOUNT_CREATION_SLOTS: usize = 5;
const SECONDS_EACH: f64 = 10.0;
const BURST: f64 = 3.0;

/// CreateAccountAssignment: this many in progress at one time.
const ASSIGNMENTS: usize = 15;

/// What the simulator did for one tenant, in seconds after the signup.
#[derive(Debug, Clone)]
pub struct TenantTimeline {
    /// When its account was asked for, and when it existed.
    pub asked: f64,
    /// When it existed.
    pub created: f64,
    /// When it accepted calls, CloudFormation's included.
    pub usable: f64,
    /// How long each of its stacks took, in the order in which they were asked for.
    pub stacks: Vec<f64>,
    /// How long each of its assignments took.
    pub assignments: Vec<f64>,
    /// When the tenant was ready.
    pub ready: f64,
    /// When the simulator was working on it.
    pub worked: Vec<(f64, f64)>,
}

impl TenantTimeline {
    /// The journeys of tenants that are ready, in the order in which their accounts were asked for.
    pub fn all(busy: &[BusySpan], environments: &[Environment], start: DateTime<Utc>) -> Vec<Self> {
        let mut by_account: BTreeMap<&str, Vec<&BusySpan>> = BTreeMap::new();
        for span in busy {
            by_account.entry(span.account_id.as_deref().unwrap_or_default()).or_default().push(span);
        }
        let journey = |environment: &Environment| {
            let account = environment.aws_account_id.as_ref().map(AwsAccountId::as_str).expect("an account");
            Self::new(&by_account[account], environment, start)
        };
        let mut journeys: Vec<_> = environments.iter().map(journey).collect();
        journeys.sort_by(|one, other| one.asked.total_cmp(&other.asked));
        journeys
    }

    fn new(mine: &[&BusySpan], environment: &Environment, start: DateTime<Utc>) -> Self {
        let ready = environment.ready_at.expect("a time");
        let seconds = |at: DateTime<Utc>| (at.min(ready) - start).as_seconds_f64();
        let creation = mine.iter().find(|busy| busy.activity == "create-account").expect("its creation");
        let took = |what: &str| {
            let spans = mine.iter().filter(|busy| busy.activity == what);
            spans.map(|busy| (busy.until - busy.from).as_seconds_f64()).collect::<Vec<_>>()
        };
        Self {
            asked: seconds(creation.from),
            created: seconds(creation.until),
            usable: seconds(creation.until)
                + took("settle").iter().sum::<f64>()
                + took("subscribe").iter().sum::<f64>(),
            stacks: took("stack"),
            assignments: took("assignment"),
            ready: seconds(ready),
            worked: mine.iter().map(|busy| (seconds(busy.from), seconds(busy.until))).collect(),
        }
    }
}

/// When a tenant could have been where it got to.
#[derive(Debug, Clone, Copy)]
pub struct IdealTimeline {
    /// Its account asked for.
    pub asked: f64,
    /// Ready.
    pub ready: f64,
}

/// The same work replayed without losing time, first come, first served: each account asked for the moment that AWS's
/// quotas allow it, each step begun the moment that the one before it is done. `journeys` in the order of the line.
pub fn ideal_timelines(journeys: &[TenantTimeline]) -> Vec<IdealTimeline> {
    let (mut creations, mut assignments) = (Places::new(ACCOUNT_CREATION_SLOTS), Places::new(ASSIGNMENTS));
    let (mut full_again, mut last) = (0.0_f64, 0.0_f64);
    let mut usable: Vec<(usize, f64)> = Vec::new();
    let mut asked = Vec::new();
    for (place, journey) in journeys.iter().enumerate() {
        let token = full_again - (BURST - 1.0) * SECONDS_EACH;
        let at = creations.free_at().max(token).max(last);
        full_again = full_again.max(at) + SECONDS_EACH;
        last = at;
        let took = journey.created - journey.asked;
        creations.take(at + took);
        asked.push(at);
        usable.push((place, at + took + journey.usable - journey.created));
    }
    // Whose account is usable first asks for its assignments first.
    usable.sort_by(|one, other| one.1.total_cmp(&other.1));
    let mut ideal = vec![IdealTimeline { asked: 0.0, ready: 0.0 }; journeys.len()];
    for (place, usable) in usable {
        let journey = &journeys[place];
        let mut assigned = usable;
        for took in &journey.assignments {
            let done = assignments.free_at().max(usable) + took;
            assignments.take(done);
            assigned = assigned.max(done);
        }
        let deployed = usable + journey.stacks.iter().sum::<f64>();
        ideal[place] = IdealTimeline { asked: asked[place], ready: deployed.max(assigned) };
    }
    ideal
}

/// So many places, each taken until some time.
struct Places(Vec<f64>);

impl Places {
    fn new(count: usize) -> Self {
        Self(vec![0.0; count])
    }

    /// When the next is free.
    fn free_at(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Takes the one that is free first.
    fn take(&mut self, until: f64) {
        if let Some(first) = self.0.iter_mut().min_by(|one, other| one.total_cmp(other)) {
            *first = until;
        }
    }
}

/// The fewest calls that could onboard one tenant, by operation; what is not in it should not be called at all.
#[derive(Debug, Clone, Deserialize)]
pub struct MinimumCalls {
    alone: BTreeMap<String, f64>,
    fleet: BTreeMap<String, f64>,
    #[serde(flatten)]
    each: BTreeMap<String, f64>,
}

/// Calls of one operation, for one tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    /// `service:Operation`
    pub operation: String,
    /// So many were made.
    pub made: f64,
    /// So few would have done.
    pub fewest: f64,
}

impl Calls {
    /// How many times the fewest were made.
    pub fn ratio(&self) -> f64 {
        self.made / self.fewest
    }
}

impl MinimumCalls {
    /// The committed table.
    pub fn read() -> Self {
        toml::from_str(include_str!("../fewest_calls.toml")).expect("the table")
    }

    /// The calls made for one of so many `tenants` between two counts, beside the fewest; of a fleet, or of one alone.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    pub fn compare(
        &self,
        before: &BTreeMap<String, CallCount>,
        after: &BTreeMap<String, CallCount>,
        tenants: usize,
        alone: bool,
    ) -> Vec<Calls> {
        let shared = if alone { &self.alone } else { &self.fleet };
        let made = after.iter().map(|(operation, count)| {
            let calls = count.calls - before.get(operation).map_or(0, |count| count.calls);
            let fewest = self.each.get(operation).or_else(|| shared.get(operation)).copied().unwrap_or(0.0);
            Calls { operation: operation.clone(), made: calls as f64 / tenants as f64, fewest }
        });
        made.filter(|calls| calls.made > 0.0).collect()
    }
}
