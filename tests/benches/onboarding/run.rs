//! Any number of workers side by side, and the clock moved by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use freehold_sandbox::settings::Settings;
use freehold_sandbox::world::CallCount;
use freehold_tenancy::db::{operations, tenants};
use freehold_tenancy::environment::Environment;
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::{OperationId, TenantId};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::Worker;
use futures::future::join_all;

/// A simulated organisation and its workers.
pub(crate) struct Run {
    pub(crate) freehold: Freehold,
    workers: Vec<Arc<Worker>>,
    before: BTreeMap<String, CallCount>,
    throttled_before: u64,
    pub(crate) start: DateTime<Utc>,
    began: Instant,
}

impl Run {
    pub(crate) async fn new(settings: Settings, workers: usize) -> Self {
        let freehold = Freehold::with(settings, CONFIG).await;
        let workers = (1..=workers).map(|number| freehold.worker(&format!("worker-{number}"))).collect();
        let calls = freehold.world.calls();
        let (before, throttled_before) = (calls.by_operation(), calls.throttled());
        let start = freehold.clock.now();
        Self { freehold, workers, before, throttled_before, start, began: Instant::now() }
    }

    /// Signs one up.
    pub(crate) async fn sign_up(&self, number: usize) -> (TenantId, OperationId) {
        let tenant = self.freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await;
        (tenant.id, tenant.environments[0].operation_id)
    }

    /// Lets the workers work and time pass until nothing is due any more; `each` is told the time whenever it has passed.
    pub(crate) async fn run_until_idle(&self, mut each: impl FnMut(DateTime<Utc>)) {
        loop {
            // Each takes up what it had before; what none of them had, and what nobody has taken, whoever is first.
            while join_all(self.workers.iter().map(|worker| worker.drain_own())).await.into_iter().any(did_something) {}
            if join_all(self.workers.iter().map(|worker| worker.drain())).await.into_iter().any(did_something) {
                continue;
            }
            let Some(next) = operations::next_wake(self.freehold.pool()).await.expect("an answer") else { return };
            self.freehold.clock.advance_to(next);
            each(self.freehold.clock.now());
        }
    }

    /// Every environment, all of which must be ready.
    pub(crate) async fn ready(&self, count: usize) -> Vec<Environment> {
        let states = operations::counts(self.freehold.pool()).await.expect("an answer");
        let count = i64::try_from(count).expect("few");
        assert_eq!(states, [(OperationState::Succeeded, count)], "not everybody became ready");
        let (mut environments, mut before) = (Vec::new(), None);
        loop {
            let filter = tenants::TenantFilter::default();
            let page = tenants::list(self.freehold.pool(), &filter, before, 500).await.expect("an answer");
            let Some(last) = page.last() else { return environments };
            before = Some(last.id);
            environments.extend(page.into_iter().flat_map(|tenant| tenant.environments));
        }
    }

    /// The counts of calls before the first signup, and now.
    pub(crate) fn calls(&self) -> (&BTreeMap<String, CallCount>, BTreeMap<String, CallCount>) {
        (&self.before, self.freehold.world.calls().by_operation())
    }

    /// How many calls were made, and how many of them throttled.
    pub(crate) fn made_and_throttled(&self) -> (u64, u64) {
        let calls = self.freehold.world.calls();
        let all = |counts: &BTreeMap<String, CallCount>| counts.values().map(|count| count.calls).sum::<u64>();
        (all(&calls.by_operation()) - all(&self.before), calls.throttled() - self.throttled_before)
    }

    /// Says how long that has taken of real time.
    pub(crate) fn took(&self, run: &str) {
        let simulated = (self.freehold.clock.now() - self.start).num_seconds();
        println!("        {run}: {simulated} s simulated in {:.0} s", self.began.elapsed().as_secs_f64());
    }
}

fn did_something(drained: freehold_tenancy::db::Result<usize>) -> bool {
    drained.expect("what is due to be carried on") > 0
}
