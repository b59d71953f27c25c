//! Benchmark of the number of AWS calls for the update of an environment.

use std::collections::BTreeMap;

use freehold_sandbox::world::CallCount;
use freehold_tenancy::rollout::{RolloutPlan, RolloutState};
use serde::Deserialize;
use serde_json::json;

use crate::fleet::{Fleet, update_durations};
use crate::table::Table;

/// Maximum ratio of the actual number of calls to the minimum number of calls.
const MAX_CALL_RATIO: f64 = 2.0;

/// Number of environments, each with a home region and a replica.
const ENVIRONMENTS: usize = 100;

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

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
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

    let minimum = MinimumCalls::load();
    let (mut lines, mut worst, mut detail) = (Vec::new(), 0.0_f64, String::new());
    for (operation, CallCount { calls, .. }) in fleet.freehold.world.calls().by_operation() {
        let calls = calls - before.get(&operation).map_or(0, |count| count.calls);
        let (actual, minimum) = (calls as f64 / ENVIRONMENTS as f64, minimum.of(&operation, 2.0));
        if calls == 0 {
            continue;
        }
        let ratio = actual / minimum;
        lines.push(format!("  {operation:<55}{actual:>8.2}{minimum:>8.2}{ratio:>7.2}"));
        if ratio > worst {
            (worst, detail) = (ratio, format!("{operation}: {actual:.2}, minimum {minimum}"));
        }
    }
    println!("  {:<55}{:>8}{:>8}{:>7}\n{}", "calls per environment", "actual", "minimum", "ratio", lines.join("\n"));
    let name = format!("{ENVIRONMENTS} environments with two regions: calls ÷ minimum, worst operation");
    table.at_most(&name, worst, MAX_CALL_RATIO, &detail);
}
