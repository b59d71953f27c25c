//! Benchmark run with a simulated organisation, several workers, and a manual clock.

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

pub(crate) struct Run {
    pub(crate) freehold: Freehold,
    workers: Vec<Arc<Worker>>,
    before: BTreeMap<String, CallCount>,
    throttled_before: u64,
    pub(crate) start: DateTime<Utc>,
    started: Instant,
}

impl Run {
    pub(crate) async fn new(settings: Settings, workers: usize) -> Self {
        let freehold = Freehold::with(settings, CONFIG).await;
        let workers = (1..=workers).map(|number| freehold.worker(&format!("worker-{number}"))).collect();
        let calls = freehold.world.calls();
        let (before, throttled_before) = (calls.by_operation(), calls.throttled());
        let start = freehold.clock.now();
        Self { freehold, workers, before, throttled_before, start, started: Instant::now() }
    }

    pub(crate) async fn sign_up(&self, number: usize) -> (TenantId, OperationId) {
        let tenant = self.freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await;
        (tenant.id, tenant.environments[0].operation_id)
    }

    /// Signs up a tenant whose environment has a replica.
    pub(crate) async fn sign_up_with_replica(&self, number: usize) {
        self.freehold.sign_up_with_replicas(&format!("Example {number}"), "eu-central-1", &["eu-west-1"]).await;
    }

    /// Runs the workers and advances the clock until no work is scheduled. `on_advance` is called with each new time.
    pub(crate) async fn run_until_idle(&self, mut on_advance: impl FnMut(DateTime<Utc>)) {
        loop {
            // Each worker first continues its own operations; then all workers claim the remaining ones.
            while join_all(self.workers.iter().map(|worker| worker.drain_own())).await.into_iter().any(has_claimed_work)
            {
            }
            if join_all(self.workers.iter().map(|worker| worker.drain())).await.into_iter().any(has_claimed_work) {
                continue;
            }
            let Some(next) = operations::next_wake(self.freehold.pool()).await.expect("a result") else { return };
            self.freehold.clock.advance_to(next);
            on_advance(self.freehold.clock.now());
        }
    }

    /// Returns all environments; panics unless exactly `count` operations exist and all have succeeded.
    pub(crate) async fn expect_ready_environments(&self, count: usize) -> Vec<Environment> {
        let states = operations::counts(self.freehold.pool()).await.expect("a result");
        let count = i64::try_from(count).expect("few");
        assert_eq!(states, [(OperationState::Succeeded, count)], "all operations must succeed");
        let (mut environments, mut before) = (Vec::new(), None);
        loop {
            let filter = tenants::TenantFilter::default();
            let page = tenants::list(self.freehold.pool(), &filter, before, 500).await.expect("a result");
            let Some(last) = page.last() else { return environments };
            before = Some(last.id);
            environments.extend(page.into_iter().flat_map(|tenant| tenant.environments));
        }
    }

    /// Returns the AWS call counts before the first signup, and the current AWS call counts.
    pub(crate) fn calls(&self) -> (&BTreeMap<String, CallCount>, BTreeMap<String, CallCount>) {
        (&self.before, self.freehold.world.calls().by_operation())
    }

    /// Returns the number of AWS calls and the number of throttled AWS calls since the start of the run.
    pub(crate) fn total_and_throttled_calls(&self) -> (u64, u64) {
        let calls = self.freehold.world.calls();
        let all = |counts: &BTreeMap<String, CallCount>| counts.values().map(|count| count.calls).sum::<u64>();
        (all(&calls.by_operation()) - all(&self.before), calls.throttled() - self.throttled_before)
    }

    /// Prints the simulated and the real duration of the run.
    pub(crate) fn print_duration(&self, run: &str) {
        let simulated = (self.freehold.clock.now() - self.start).num_seconds();
        println!("        {run}: {simulated} simulated seconds in {:.0} s", self.started.elapsed().as_secs_f64());
    }
}

fn has_claimed_work(drained: freehold_tenancy::db::Result<usize>) -> bool {
    drained.expect("the due work") > 0
}
