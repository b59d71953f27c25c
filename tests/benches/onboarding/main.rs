//! Benchmark of onboarding. Each figure is compared with a bound, for example the minimum duration that AWS's quotas
//! allow.
//!
//! `cargo bench --workspace --bench onboarding -- --help` lists the options. Except in the benchmarks `processes`,
//! `real-clock` and `real-clock-estimate`, the clock is simulated, so that the figures do not depend on the machine and
//! are the same in every run.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints results and panics on errors")]

mod estimate;
mod idle;
mod makespan;
mod processes;
mod real_clock;
mod results;
mod run;
mod storm;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use makespan::Bottleneck;
use results::Results;

/// Measure onboarding against the bounds that AWS's quotas set. Exits with 1 if a figure misses its bound.
#[derive(Debug, Parser)]
struct Options {
    /// Number of simultaneous signups in the benchmarks `rate`, `slot`, `assignment` and `replica`
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    tenants: usize,
    /// Numbers of workers; each number is measured in a separate run
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_value = "1,3")]
    workers: Vec<usize>,
    /// Benchmarks to run [default: all except `real-clock` and `real-clock-estimate`]
    #[arg(long, value_name = "SETTINGS", value_delimiter = ',')]
    setting: Vec<Setting>,
    /// Seed of the simulated AWS; the same seed gives the same figures
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    seed: u64,
    /// Speeds of the sandbox in the benchmark `real-clock`; `real-clock-estimate` uses the last one
    #[arg(long, value_name = "SPEEDS", value_delimiter = ',', default_value = "1,2,5,20")]
    speed: Vec<f64>,
    /// Number of simultaneous signups in the benchmarks `real-clock` [default: 12] and `real-clock-estimate` [default: 40]
    #[arg(long, value_name = "COUNT")]
    customers: Option<usize>,
    /// Number of runs per speed in the benchmarks `real-clock` and `real-clock-estimate`
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    runs: usize,
    /// Print the calls of all AWS operations, not only of those above the bound
    #[arg(long)]
    calls: bool,
    /// Argument that `cargo bench` passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Setting {
    /// Account creations take 20 s: the rate limit of CreateAccount is the bottleneck
    Rate,
    /// Account creations take 120 s: the five slots for account creations are the bottleneck
    Slot,
    /// Assignments take 250 s: the fifteen slots for assignments are the bottleneck
    Assignment,
    /// Account creations take 20 s, and each environment has a replica
    Replica,
    /// AWS throttles half of all calls for one hour
    Storm,
    /// Accuracy of the estimated ready time for 200 simultaneous signups
    Estimate,
    /// Number of calls for a single tenant
    Idle,
    /// Recovery time and resource usage of real processes
    Processes,
    /// Last account creation in a sandbox whose clock runs by itself
    RealClock,
    /// Accuracy of the estimated ready time in a sandbox whose clock runs by itself
    RealClockEstimate,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let selected = |setting| options.setting.is_empty() || options.setting.contains(&setting);
    let mut results = Results::default();
    for (setting, bound) in [
        (Setting::Rate, Bottleneck::Rate),
        (Setting::Slot, Bottleneck::Slot),
        (Setting::Assignment, Bottleneck::Assignment),
    ] {
        for workers in options.workers.iter().filter(|_| selected(setting)) {
            makespan::measure(bound, options.tenants, *workers, options.seed, &mut results).await;
        }
    }
    for workers in options.workers.iter().filter(|_| selected(Setting::Replica)) {
        makespan::measure_with_replicas(options.tenants, *workers, options.seed, &mut results).await;
    }
    if selected(Setting::Storm) {
        storm::measure(options.seed, &mut results).await;
    }
    if selected(Setting::Estimate) {
        estimate::measure(options.seed, &mut results).await;
    }
    if selected(Setting::Idle) {
        idle::measure(options.seed, &mut results).await;
    }
    for speed in options.speed.iter().filter(|_| options.setting.contains(&Setting::RealClock)) {
        for run in 1..=options.runs {
            real_clock::measure_creations(*speed, options.customers.unwrap_or(12), run, &mut results).await;
        }
    }
    if let Some(speed) = options.speed.last()
        && options.setting.contains(&Setting::RealClockEstimate)
    {
        for run in 1..=options.runs {
            real_clock::measure_estimates(*speed, options.customers.unwrap_or(40), run, &mut results).await;
        }
    }
    let shown = if results.is_empty() { ExitCode::SUCCESS } else { results.print(options.calls) };
    // This benchmark uses the real clock, so its figures differ between runs.
    if selected(Setting::Processes) && !processes::run().await { ExitCode::FAILURE } else { shown }
}
