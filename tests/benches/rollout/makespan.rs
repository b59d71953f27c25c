//! Benchmark of the total duration of a rollout without failures, and of its forecast.

use chrono::TimeDelta;
use freehold_tenancy::RolloutId;
use freehold_tenancy::db::rollout_waves;
use freehold_tenancy::rollout::{MemberState, RolloutMember, RolloutPlan, RolloutState, WaveEstimate};
use serde_json::json;

use crate::calls;
use crate::fleet::{Fleet, UPDATE_SECONDS};
use crate::ideal::{IdealUpdate, ideal_duration};
use freehold_tests::benchmark_table::Table;

/// Duration of the bake between two waves in seconds.
const BAKE_SECONDS: u64 = 600;

/// Returns the plan of four waves with 1 %, 9 %, 40 % and 50 % of the environments.
fn plan(max_failures: u32) -> RolloutPlan {
    let wave = |percent: u32| {
        json!({
            "name": format!("to-{percent}"), "select": { "percent": percent }, "max_concurrent": 100,
            "max_failures": max_failures, "bake_seconds": BAKE_SECONDS,
        })
    };
    let waves = [1, 10, 50, 100].map(wave);
    serde_json::from_value(json!({ "waves": waves })).expect("a plan")
}

/// Measures rollouts to a fleet of `environments`, one for each number of tolerated failures and of workers.
pub(crate) async fn measure(
    environments: usize,
    max_failures: &[u32],
    workers: &[usize],
    seed: u64,
    table: &mut Table,
) {
    let mut fleet = Fleet::new(environments, &[], seed, crate::fleet::update_durations()).await;
    for max_failures in max_failures {
        for workers in workers {
            fleet.use_workers(*workers);
            measure_rollout(&mut fleet, *max_failures, *workers, table).await;
        }
    }
}

async fn measure_rollout(fleet: &mut Fleet, max_failures: u32, workers: usize, table: &mut Table) {
    let (plan, release) = (plan(max_failures), fleet.release().await);
    let forecast = fleet.forecast(release, &plan).await.waves;
    let (start, started) = (fleet.now(), std::time::Instant::now());
    let before = fleet.freehold.world.calls().by_operation();
    let id = fleet.create(release, &plan).await;
    fleet.run_until_idle().await;
    let rollout = fleet.rollout(id).await;
    assert_eq!(rollout.state, RolloutState::Succeeded, "{:?}", rollout.reason);
    let makespan = rollout.finished_at.expect("the end") - start;
    let members = fleet.members(id).await;
    assert!(members.iter().all(|member| member.state == MemberState::Succeeded), "all updates must succeed");

    let update = IdealUpdate { duration: freehold_tenancy::clock::seconds(UPDATE_SECONDS), fails: false };
    let waves: Vec<_> = forecast.iter().map(|wave| vec![update; wave.environments]).collect();
    let ideal = ideal_duration(&plan, &waves);
    let name = format!("{} environments, max_failures {max_failures}, {}", members.len(), plural(workers));
    let seconds = TimeDelta::as_seconds_f64;
    let detail = format!(
        "{:.0} s instead of {:.0} s ({:.0} s of real time)",
        seconds(makespan),
        seconds(ideal),
        started.elapsed().as_secs_f64()
    );
    table.at_most(&format!("{name}: makespan ÷ bound"), seconds(makespan) / seconds(ideal), 1.05, "", &detail);
    calls::compare(&before, &fleet.freehold.world.calls().by_operation(), [members.len(), 1], &name, table);
    compare_forecast(fleet, id, &members, &forecast, makespan, &name, table).await;
}

fn plural(workers: usize) -> String {
    format!("{workers} worker{}", if workers == 1 { "" } else { "s" })
}

/// Compares the forecast with the measured duration and concurrency of each wave.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
async fn compare_forecast(
    fleet: &Fleet,
    id: RolloutId,
    members: &[RolloutMember],
    forecast: &[WaveEstimate],
    makespan: TimeDelta,
    name: &str,
    table: &mut Table,
) {
    let waves = rollout_waves::list(fleet.pool(), id).await.expect("the waves");
    let deviation = |measured: f64, expected: f64| 100.0 * (measured / expected - 1.0).abs();
    let (mut concurrency, mut duration, mut detail) = (0.0_f64, 0.0_f64, Vec::new());
    for (wave, estimate) in waves.iter().zip(forecast) {
        let seconds = wave.finished_at.zip(wave.started_at).map(|(end, start)| (end - start).as_seconds_f64());
        let seconds = seconds.expect("a finished wave");
        let running = max_running(members.iter().filter(|member| member.wave == wave.number));
        // A wave can be smaller than the number of updates that it allows.
        let expected = usize::try_from(estimate.effective_concurrency).unwrap_or(usize::MAX).min(estimate.environments);
        concurrency = concurrency.max(deviation(running as f64, expected as f64));
        duration = duration.max(deviation(seconds, estimate.seconds as f64));
        detail.push(format!("{running}/{expected} in {seconds:.0}/{} s", estimate.seconds));
    }
    table.at_most(&format!("{name}: forecast of the concurrency, deviation"), concurrency, 10.0, "%", "");
    let (total, waves) = (forecast.iter().map(|wave| wave.seconds).sum::<u64>() as f64, detail.join(", "));
    let makespan = deviation(makespan.as_seconds_f64(), total);
    table.at_most(&format!("{name}: forecast of the duration, deviation"), makespan, 10.0, "%", "");
    table.at_most(&format!("{name}: the same, worst wave"), duration, 10.0, "%", &waves);
}

/// Returns the highest number of updates that ran at the same time.
pub(crate) fn max_running<'a>(members: impl Iterator<Item = &'a RolloutMember>) -> usize {
    let spans = members.filter_map(|member| member.started_at.zip(member.finished_at));
    // An end comes before a start at the same time, because the next update starts when one has ended.
    let mut changes: Vec<_> = spans.flat_map(|(start, end)| [(start, true), (end, false)]).collect();
    changes.sort_unstable_by_key(|(at, is_start)| (*at, *is_start));
    let (mut running, mut most) = (0_usize, 0);
    for (_, is_start) in changes {
        running = if is_start { running + 1 } else { running.saturating_sub(1) };
        most = most.max(running);
    }
    most
}
