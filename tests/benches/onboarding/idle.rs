//! Benchmark of the number of AWS calls for a single tenant, without other load.

use std::collections::BTreeMap;
use std::time::Duration;

use freehold_sandbox::settings::Settings;
use freehold_sandbox::world::CallCount;
use freehold_tests::fleet::MinimumCalls;

use crate::results::Results;
use crate::run::Run;

/// Number of tenants. Each tenant signs up an hour after the onboarding of the previous tenant.
const TENANTS: usize = 10;

pub(crate) async fn measure(seed: u64, results: &mut Results) {
    let run = Run::new(Settings { seed, ..Settings::default() }, 1).await;
    let mut before: BTreeMap<String, CallCount> = run.calls().0.clone();
    for number in 0..TENANTS {
        run.sign_up(number).await;
        run.run_until_idle(|_| {}).await;
        if number == 0 {
            let (_, after) = run.calls();
            results.add_calls("single, first tenant", MinimumCalls::load().compare(&before, &after, 1, true));
            before = after;
        }
        run.freehold.clock.advance(Duration::from_hours(1));
    }
    run.print_duration("single");
    run.expect_ready_environments(TENANTS).await;
    let (_, after) = run.calls();
    results.add_calls(
        "single, average of the next nine",
        MinimumCalls::load().compare(&before, &after, TENANTS - 1, true),
    );
}
