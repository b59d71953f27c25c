//! A thousand signups at one moment, bound by one or another of AWS's quotas.

use freehold_sandbox::settings::{Durations, Settings, Spread};
use freehold_tests::fleet::{MinimumCalls, TenantTimeline, ideal_timelines};

use crate::results::Results;
use crate::run::Run;

/// What decides how long all of them take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Rate,
    Slot,
    Assignment,
}

impl Bound {
    fn durations(self) -> Durations {
        let usual = Durations::default();
        match self {
            Self::Rate => Durations { create_account: Spread::around(20.0), ..usual },
            Self::Slot => Durations { create_account: Spread::around(120.0), ..usual },
            Self::Assignment => {
                Durations { create_account: Spread::around(20.0), assignment: Spread::around(250.0), ..usual }
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate-bound",
            Self::Slot => "slot-bound",
            Self::Assignment => "assignment-bound",
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub(crate) async fn measure(bound: Bound, tenants: usize, workers: usize, seed: u64, results: &mut Results) {
    let name = format!("{}, {tenants}, {workers} worker{}", bound.name(), if workers == 1 { "" } else { "s" });
    let run = Run::new(Settings { seed, durations: bound.durations(), ..Settings::default() }, workers).await;
    for number in 0..tenants {
        run.sign_up(number).await;
    }
    run.run_until_idle(|_| {}).await;
    run.took(&name);

    let environments = run.ready(tenants).await;
    let timelines = TenantTimeline::all(&run.freehold.world.busy(), &environments, run.start);
    let soonest = ideal_timelines(&timelines);
    let last = timelines.iter().map(|timeline| timeline.ready).fold(0.0, f64::max);
    let could = soonest.iter().map(|soonest| soonest.ready).fold(0.0, f64::max);
    let detail = format!(" ({last:.0} s for {could:.0})");
    results.at_most(&name, "makespan ÷ bound", last / could, 1.05, &detail);
    let waits = timelines.iter().zip(&soonest).map(|(timeline, soonest)| timeline.ready / soonest.ready);
    results.at_most(&name, "longest wait ÷ first come, first served", waits.fold(0.0, f64::max), 2.0, "");
    let (made, throttled) = run.made_and_throttled();
    let detail = format!(" ({throttled} of {made})");
    results.at_most(&name, "throttled calls, %", 100.0 * throttled as f64 / made as f64, 1.0, &detail);
    let (before, after) = run.calls();
    results.calls(&name, MinimumCalls::load().compare(before, &after, tenants, false));
}
