//! Benchmark of a signup while many updates are due. One worker runs its loops, and the clock runs by itself.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use freehold_sandbox::settings::{DurationDistribution, Durations};
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::rollout::RolloutPlan;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fleet::Fleet;
use freehold_tests::benchmark_table::Table;

/// Simulated seconds per real second.
const CLOCK_SPEED: f64 = 2.0;

/// Interval at which the clock advances.
const TICK: Duration = Duration::from_millis(5);

/// Returns the usual durations of AWS, without their spread.
fn durations() -> Durations {
    let usual = Durations::default();
    let constant = |one: DurationDistribution| DurationDistribution::constant(one.median);
    Durations {
        create_account: constant(usual.create_account),
        settle: constant(usual.settle),
        subscribe: constant(usual.subscribe),
        policy_propagation: constant(usual.policy_propagation),
        assignment: constant(usual.assignment),
        stack_resource: constant(usual.stack_resource),
        change_set: constant(usual.change_set),
        ..usual
    }
}

/// Measures a signup alone, and then with `updates` due updates.
pub(crate) async fn measure(updates: usize, seed: u64, table: &mut Table) {
    let mut fleet = Fleet::new(updates, &[], seed, durations()).await;
    let alone = sign_up(&mut fleet).await;
    let wave = json!({ "name": "all", "max_concurrent": updates, "max_failures": updates });
    let plan: RolloutPlan = serde_json::from_value(json!({ "waves": [wave] })).expect("a plan");
    let release = fleet.release().await;
    // The earlier signup is a member, too, but its environment gets the release last.
    fleet.create(release, &plan).await;
    fleet.start_updates().await;
    let due = "select count(*) from operations where kind = 'update' and wake_at <= $1";
    let due: i64 = sqlx::query_scalar(due).bind(fleet.now()).fetch_one(fleet.pool()).await.expect("a count");
    assert_eq!(usize::try_from(due).ok(), Some(updates), "all updates must be due");
    let with_updates = sign_up(&mut fleet).await;
    let [one, other] = [alone, with_updates].map(TimeDelta::as_seconds_f64);
    let detail = format!("{other:.0} s instead of {one:.0} s");
    let name = format!("signup with {updates} due updates and one worker: time ÷ time alone");
    table.at_most(&name, other / one, 1.1, "", &detail);
}

/// Signs up a tenant and runs a worker until its environment is ready. Returns the simulated duration.
async fn sign_up(fleet: &mut Fleet) -> TimeDelta {
    let worker = fleet.freehold.worker("worker-1");
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (worker, shutdown) = (worker, shutdown.clone());
        async move { worker.run(shutdown).await }
    });
    let clock = tokio::spawn({
        let clock = fleet.freehold.clock.clone();
        async move {
            let mut last = Instant::now();
            loop {
                tokio::time::sleep(TICK).await;
                let now = Instant::now();
                clock.advance((now - last).mul_f64(CLOCK_SPEED));
                last = now;
            }
        }
    });
    let tenant = fleet.freehold.sign_up("Newcomer", "eu-central-1", "standard").await;
    let ready_at = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let environment = fleet.freehold.reload_tenant(&tenant).await.environments.remove(0);
        if environment.state == EnvironmentState::Ready {
            break environment.ready_at.expect("a time");
        }
    };
    shutdown.cancel();
    running.await.expect("a worker");
    clock.abort();
    ready_at - tenant.created_at
}
