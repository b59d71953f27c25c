//! Benchmark of onboarding in a `freehold sandbox` process, whose clock cannot be moved: every call takes real time.
//!
//! The last account creation is compared with the greedy bound: the same creations, with the durations that the
//! simulated AWS took, each requested as soon as AWS's quotas allow. The ready times are compared with the estimates
//! that the API gave at signup.

mod customers;
mod sandbox;

use std::time::Duration;

use chrono::{DateTime, Utc};
use freehold_sandbox::world::BackgroundWorkSpan;
use freehold_tests::fleet;

use crate::results::Results;
use customers::{Customer, onboard};
use sandbox::Sandbox;

/// Speeds, in simulated seconds per real second, up to which the bound applies. At higher speeds, the delays of the
/// machine are multiplied too, so that the figures are only reported.
const MAX_BOUNDED_SPEED: f64 = 2.0;

/// Number of requests that measure the latency of the API before a run.
const LATENCY_REQUESTS: usize = 20;

/// Measures the last account creation of `customers` simultaneous signups on an empty installation.
pub(crate) async fn measure_creations(speed: f64, customers: usize, run: usize, results: &mut Results) {
    let name = format!("real clock, speed {speed}, {customers}, run {run}");
    let sandbox = Sandbox::start(speed).await;
    print_machine(&name, &sandbox).await;
    let onboarded = onboard(&sandbox, 0..customers).await;
    report_creations(&name, speed, &sandbox, &onboarded, results).await;
    report_estimates(&name, &onboarded, None, results);
    print_machine(&name, &sandbox).await;
    sandbox.stop().await;
}

/// Measures the estimates of `customers` simultaneous signups on an empty installation, and of as many right after.
pub(crate) async fn measure_estimates(speed: f64, customers: usize, run: usize, results: &mut Results) {
    let sandbox = Sandbox::start(speed).await;
    for (wave, numbers) in [("empty", 0..customers), ("right after", customers..2 * customers)] {
        let name = format!("real clock, speed {speed}, {customers}, run {run}, {wave}");
        print_machine(&name, &sandbox).await;
        let onboarded = onboard(&sandbox, numbers).await;
        report_creations(&name, f64::INFINITY, &sandbox, &onboarded, results).await;
        report_estimates(&name, &onboarded, Some(90.0), results);
    }
    sandbox.stop().await;
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
async fn report_creations(name: &str, speed: f64, sandbox: &Sandbox, customers: &[Customer], results: &mut Results) {
    let start = customers.iter().map(|customer| customer.signed_up).min().expect("a customer");
    let mut creations = sandbox.creations().await;
    creations.retain(|creation| creation.from >= start);
    creations.sort_by_key(|creation| creation.from);
    assert_eq!(creations.len(), customers.len(), "account creations");
    let durations: Vec<f64> = creations.iter().map(duration).collect();
    let requests = fleet::ideal_requests(&durations);
    let ideal = requests.iter().zip(&durations).map(|(at, duration)| at + duration).fold(0.0, f64::max);
    let last = creations.iter().map(|creation| seconds_since(start, creation.until)).fold(0.0, f64::max);
    let detail = format!(" ({last:.1} s instead of {ideal:.1} s)");
    let bound = (speed <= MAX_BOUNDED_SPEED).then_some(1.05);
    results.at_most_or_report(name, "last account ÷ greedy bound", last / ideal, bound, &detail);
    let delays = creations.iter().zip(&requests).map(|(creation, at)| seconds_since(start, creation.from) - at);
    let delays: Vec<String> = delays.map(|delay| format!("{delay:.1}")).collect();
    println!("        {name}: requests later than in the bound, s: {}", delays.join(" "));
    let throttled = sandbox.throttled_creations().await;
    results.at_most(name, "CreateAccount calls throttled since the start", throttled as f64, 0.0, "");
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn report_estimates(name: &str, customers: &[Customer], bound: Option<f64>, results: &mut Results) {
    let start = customers.iter().map(|customer| customer.signed_up).min().expect("a customer");
    let mut errors: Vec<f64> = Vec::new();
    let mut lines = Vec::new();
    for customer in customers {
        let waited = seconds_since(start, customer.ready);
        let Some(estimate) = customer.estimate else {
            lines.push(format!("{waited:.0} –"));
            continue;
        };
        let error = 100.0 * (estimate - customer.ready).as_seconds_f64()
            / (customer.ready - customer.signed_up).as_seconds_f64();
        lines.push(format!("{waited:.0} {error:+.0} %"));
        errors.push(error);
    }
    println!("        {name}: ready after, s, with the error of the estimate: {}", lines.join(", "));
    errors.sort_by(f64::total_cmp);
    let accurate = errors.iter().filter(|error| error.abs() <= 20.0).count();
    let at = |share: usize| errors.get((errors.len() * share / 100).min(errors.len() - 1)).copied().unwrap_or(0.0);
    let detail = format!(
        " ({accurate} of {}; errors {:+.0} % to {:+.0} %, median {:+.1} %)",
        errors.len(),
        at(0),
        at(100),
        at(50)
    );
    let share = 100.0 * accurate as f64 / errors.len().max(1) as f64;
    results.at_least_or_report(name, "estimates within 20 % of the real time, %", share, bound, &detail);
}

/// Prints how busy the machine is, because other programs delay the processes of the benchmark.
async fn print_machine(name: &str, sandbox: &Sandbox) {
    let mut latencies = Vec::new();
    for _ in 0..LATENCY_REQUESTS {
        latencies.push(sandbox.latency().await);
    }
    latencies.sort();
    let milliseconds = |latency: Duration| latency.as_secs_f64() * 1000.0;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "        {name}: load {}, GET /livez {:.1} ms (median), {:.1} ms (maximum)",
        load.split(' ').next().unwrap_or("unknown"),
        milliseconds(latencies[LATENCY_REQUESTS / 2]),
        milliseconds(latencies[LATENCY_REQUESTS - 1]),
    );
}

fn duration(creation: &BackgroundWorkSpan) -> f64 {
    (creation.until - creation.from).as_seconds_f64()
}

fn seconds_since(start: DateTime<Utc>, at: DateTime<Utc>) -> f64 {
    (at - start).as_seconds_f64()
}
