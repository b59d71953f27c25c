//! Benchmark of the total duration of many simultaneous signups, with one of AWS's quotas as the bottleneck.

use freehold_sandbox::settings::{DurationDistribution, Durations, Settings};
use freehold_tests::fleet::{MinimumCalls, TenantTimeline, ideal_timelines};

use crate::results::Results;
use crate::run::Run;

/// AWS quota that limits the total duration of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bottleneck {
    Rate,
    Slot,
    Assignment,
}

impl Bottleneck {
    fn durations(self) -> Durations {
        let default = Durations::default();
        match self {
            Self::Rate => Durations { create_account: DurationDistribution::with_median(20.0), ..default },
            Self::Slot => Durations { create_account: DurationDistribution::with_median(120.0), ..default },
            Self::Assignment => Durations {
                create_account: DurationDistribution::with_median(20.0),
                assignment: DurationDistribution::with_median(250.0),
                ..default
            },
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

/// Measures the total duration of signups with a replica each, until the last replica is ready. The quota is that of
/// the rate of account creations.
pub(crate) async fn measure_with_replicas(tenants: usize, workers: usize, seed: u64, results: &mut Results) {
    let name = format!("with a replica, {tenants}, {workers} worker{}", if workers == 1 { "" } else { "s" });
    let durations = Bottleneck::Rate.durations();
    let run = Run::new(Settings { seed, durations, ..Settings::default() }, workers).await;
    for number in 0..tenants {
        run.sign_up_with_replica(number).await;
    }
    run.run_until_idle(|_| {}).await;
    run.print_duration(&name);

    let environments = run.expect_ready_environments(tenants).await;
    let timelines = TenantTimeline::all(&run.freehold.world.busy(), &environments, run.start);
    let ideal_timelines = ideal_timelines(&timelines);
    let replicas = environments.iter().flat_map(|environment| &environment.replicas);
    let ready = replicas.map(|replica| (replica.ready_at.expect("a time") - run.start).as_seconds_f64());
    let last = ready.fold(0.0, f64::max);
    let ideal = timelines.iter().zip(&ideal_timelines);
    let ideal = ideal.map(|(timeline, ideal)| ideal.ready + timeline.replica_stacks.iter().sum::<f64>());
    let ideal_end = ideal.fold(0.0, f64::max);
    let detail = format!(" ({last:.0} s instead of {ideal_end:.0} s)");
    results.at_most(&name, "makespan with replicas ÷ bound", last / ideal_end, 1.05, &detail);
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub(crate) async fn measure(bound: Bottleneck, tenants: usize, workers: usize, seed: u64, results: &mut Results) {
    let name = format!("{}, {tenants}, {workers} worker{}", bound.name(), if workers == 1 { "" } else { "s" });
    let run = Run::new(Settings { seed, durations: bound.durations(), ..Settings::default() }, workers).await;
    for number in 0..tenants {
        run.sign_up(number).await;
    }
    run.run_until_idle(|_| {}).await;
    run.print_duration(&name);

    let environments = run.expect_ready_environments(tenants).await;
    let timelines = TenantTimeline::all(&run.freehold.world.busy(), &environments, run.start);
    let ideal_timelines = ideal_timelines(&timelines);
    let last = timelines.iter().map(|timeline| timeline.ready).fold(0.0, f64::max);
    let ideal_end = ideal_timelines.iter().map(|ideal| ideal.ready).fold(0.0, f64::max);
    let detail = format!(" ({last:.0} s instead of {ideal_end:.0} s)");
    results.at_most(&name, "makespan ÷ bound", last / ideal_end, 1.05, &detail);
    let waits = timelines.iter().zip(&ideal_timelines).map(|(timeline, ideal)| timeline.ready / ideal.ready);
    results.at_most(&name, "longest wait ÷ wait in a perfect queue", waits.fold(0.0, f64::max), 2.0, "");
    let (total, throttled) = run.total_and_throttled_calls();
    let detail = format!(" ({throttled} of {total})");
    results.at_most(&name, "throttled calls, %", 100.0 * throttled as f64 / total as f64, 1.0, &detail);
    let (before, after) = run.calls();
    results.add_calls(&name, MinimumCalls::load().compare(before, &after, tenants, false));
}
