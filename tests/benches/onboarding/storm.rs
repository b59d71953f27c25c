//! Benchmark of onboarding while AWS throttles half of all calls for one hour, regardless of their rate.

use chrono::TimeDelta;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_sandbox::settings::Settings;

use crate::results::Results;
use crate::run::Run;

/// Number of simultaneous signups.
const TENANTS: usize = 200;

/// Duration of the throttling in hours.
const STORM_HOURS: i64 = 1;

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub(crate) async fn measure(seed: u64, results: &mut Results) {
    let name = format!("storm, {TENANTS}, 1 worker");
    let needed = run(seed, false, "the same without throttling").await.0;
    let (total, throttled) = run(seed, true, &name).await;
    let detail = format!(" ({total} instead of {needed}; {throttled} throttled; all finished)");
    results.at_most(&name, "calls ÷ calls without throttling", total as f64 / needed as f64, 1.1, &detail);
}

/// Onboards all tenants, with throttling if `storm` is true. Returns the number of AWS calls and the number of
/// throttled AWS calls.
async fn run(seed: u64, storm: bool, name: &str) -> (u64, u64) {
    let run = Run::new(Settings { seed, ..Settings::default() }, 1).await;
    if storm {
        run.freehold.world.inject(Rule::on("*", "*", Fault::Throttle).with_probability_per_mille(500));
    }
    for number in 0..TENANTS {
        run.sign_up(number).await;
    }
    let end = run.start + TimeDelta::hours(STORM_HOURS);
    run.run_until_idle(|now| {
        if now >= end {
            run.freehold.world.clear_faults();
        }
    })
    .await;
    run.print_duration(name);
    run.expect_ready_environments(TENANTS).await;
    run.total_and_throttled_calls()
}
