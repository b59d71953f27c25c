//! AWS throttles half of all calls for an hour, whatever their rate.

use chrono::TimeDelta;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_sandbox::settings::Settings;

use crate::results::Results;
use crate::run::Run;

/// How many sign up at the same moment.
const TENANTS: usize = 200;

/// How long it lasts.
const HOURS: i64 = 1;

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub(crate) async fn measure(seed: u64, results: &mut Results) {
    let name = format!("storm, {TENANTS}, 1 worker");
    let needed = run(seed, false, "the same without a storm").await.0;
    let (made, throttled) = run(seed, true, &name).await;
    let detail = format!(" ({made} for {needed}; {throttled} throttled; all finished)");
    results.at_most(&name, "calls made ÷ calls needed", made as f64 / needed as f64, 1.1, &detail);
}

/// How many calls were made, and how many of them throttled.
async fn run(seed: u64, storm: bool, name: &str) -> (u64, u64) {
    let run = Run::new(Settings { seed, ..Settings::default() }, 1).await;
    if storm {
        run.freehold.world.inject(Rule::on("*", "*", Fault::Throttle).sometimes(500));
    }
    for number in 0..TENANTS {
        run.sign_up(number).await;
    }
    let over = run.start + TimeDelta::hours(HOURS);
    run.run_until_idle(|now| {
        if now >= over {
            run.freehold.world.clear_faults();
        }
    })
    .await;
    run.took(name);
    run.ready(TENANTS).await;
    run.made_and_throttled()
}
