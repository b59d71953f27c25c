//! How close onboarding comes to what AWS allows: each figure beside its bound, from the same run.
//!
//! `cargo bench --workspace --bench onboarding -- --help`. But for what is measured on real processes, the clock is simulated
//! and moved by hand, so that the figures do not depend on the machine, and are the same in every run.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints, and ends where it cannot go on")]

mod estimate;
mod idle;
mod makespan;
mod processes;
mod results;
mod run;
mod storm;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use makespan::Bound;
use results::Results;

/// Measures onboarding against the bounds that AWS's quotas set. Ends with 1 if a bound is missed.
#[derive(Debug, Parser)]
struct Options {
    /// How many sign up at the same moment in the settings rate, slot and assignment
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    tenants: usize,
    /// With how many workers, each in a run of its own
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_value = "1,3")]
    workers: Vec<usize>,
    /// What to measure; everything if left out
    #[arg(long, value_name = "SETTINGS", value_delimiter = ',')]
    setting: Vec<Setting>,
    /// Makes every draw of the simulated AWS repeatable
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    seed: u64,
    /// Prints the calls of every operation, also where they are few enough
    #[arg(long)]
    calls: bool,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Setting {
    /// Creations take 20 s: the rate of CreateAccount decides
    Rate,
    /// Creations take 120 s: the five places decide
    Slot,
    /// Assignments take 250 s: their fifteen places decide
    Assignment,
    /// Half of all calls are throttled for an hour
    Storm,
    /// How well the time is foretold at the signup, for 200 at once
    Estimate,
    /// One tenant alone
    Idle,
    /// Real processes: how soon they are back, and what they cost
    Processes,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let wanted = |setting| options.setting.is_empty() || options.setting.contains(&setting);
    let mut results = Results::default();
    for (setting, bound) in
        [(Setting::Rate, Bound::Rate), (Setting::Slot, Bound::Slot), (Setting::Assignment, Bound::Assignment)]
    {
        for workers in options.workers.iter().filter(|_| wanted(setting)) {
            makespan::measure(bound, options.tenants, *workers, options.seed, &mut results).await;
        }
    }
    if wanted(Setting::Storm) {
        storm::measure(options.seed, &mut results).await;
    }
    if wanted(Setting::Estimate) {
        estimate::measure(options.seed, &mut results).await;
    }
    if wanted(Setting::Idle) {
        idle::measure(options.seed, &mut results).await;
    }
    let shown = if results.is_empty() { ExitCode::SUCCESS } else { results.show(options.calls) };
    // On the machine's own clock, and so not the same in every run.
    if wanted(Setting::Processes) && !processes::run().await { ExitCode::FAILURE } else { shown }
}
