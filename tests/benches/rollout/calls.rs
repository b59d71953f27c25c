//! Benchmark of the number of AWS calls for the update of an environment.

use std::collections::BTreeMap;

use freehold_sandbox::world::CallCount;
use freehold_tenancy::rollout::{RolloutPlan, RolloutState};
use serde::Deserialize;
use serde_json::json;

use crate::fleet::{Fleet, update_durations};
use freehold_tests::benchmark_table::Table;

/// Maximum ratio of the actual number of calls to the minimum number of calls.
const MAX_CALL_RATIO: f64 = 2.0;

/// Number of environments, each with a home region and a replica.
const ENVIRONMENTS: usize = 50;

/// Minimum number of calls of each AWS operation that the update of one environment requires; 0 for operations that
/// are not listed.
#[derive(Debug, Deserialize)]
struct MinimumCalls {
    environment: BTreeMap<String, f64>,
    /// Additional calls for each region.
    region: BTreeMap<String, f64>,
    fleet: BTreeMap<String, f64>,
}

impl MinimumCalls {
    fn load() -> Self {
        toml::from_str(include_str!("../../minimum_update_calls.toml")).expect("the table")
    }

    fn of(&self, operation: &str, regions: f64) -> f64 {
        let calls = |table: &BTreeMap<String, f64>| table.get(operation).copied().unwrap_or(0.0);
        calls(&self.environment) + regions * calls(&self.region) + calls(&self.fleet)
    }
}

pub(crate) async fn measure(seed: u64, table: &mut Table) {
    let mut fleet = Fleet::new(ENVIRONMENTS, &["eu-west-1"], seed, update_durations()).await;
    fleet.use_workers(1);
    let plan = json!({ "waves": [{ "name": "all", "max_concurrent": 10, "max_failures": 9 }] });
    let plan: RolloutPlan = serde_json::from_value(plan).expect("a plan");
    let release = fleet.release().await;
    let before = fleet.freehold.world.calls().by_operation();
    let id = fleet.create(release, &plan).await;
    fleet.run_until_idle().await;
    let rollout = fleet.rollout(id).await;
    assert_eq!(rollout.state, RolloutState::Succeeded, "{:?}", rollout.reason);

    let name = format!("{ENVIRONMENTS} environments with two regions");
    compare(&before, &fleet.freehold.world.calls().by_operation(), [ENVIRONMENTS, 2], &name, table);
}

/// Compares the calls for the update of a number of environments, each with a number of regions, with the minimum.
/// `before` and `after` are the call counts before and after the updates.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub(crate) fn compare(
    before: &BTreeMap<String, CallCount>,
    after: &BTreeMap<String, CallCount>,
    [environments, regions]: [usize; 2],
    name: &str,
    table: &mut Table,
) {
    let minimum = MinimumCalls::load();
    let (mut worst, mut detail) = (0.0_f64, String::new());
    println!("        {:<55}{:>8}{:>8}{:>7}", "calls per environment", "actual", "minimum", "ratio");
    for (operation, CallCount { calls, .. }) in after {
        let calls = calls - before.get(operation).map_or(0, |count| count.calls);
        if calls == 0 {
            continue;
        }
        let (actual, minimum) = (calls as f64 / environments as f64, minimum.of(operation, regions as f64));
        let ratio = actual / minimum;
        println!("        {operation:<55}{actual:>8.2}{minimum:>8.2}{ratio:>7.2}");
        if ratio > worst {
            (worst, detail) = (ratio, format!("{operation}: {actual:.2}, minimum {minimum}"));
        }
    }
    table.at_most(&format!("{name}: calls ÷ minimum, worst operation"), worst, MAX_CALL_RATIO, "", &detail);
}
