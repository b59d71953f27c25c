//! Benchmark of rollouts. Each figure is compared with a bound, for example the shortest duration that the limits of
//! the waves allow.
//!
//! `cargo bench --workspace --bench rollout -- --help` lists the parts. In `makespan`, `seeds` and `calls` the clock is
//! simulated, so that the figures do not depend on the machine.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints results and panics on errors")]

mod calls;
mod fleet;
mod ideal;
mod kills;
mod lossy_proxy;
mod makespan;
mod scale;
mod seeds;
mod signup;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use freehold_tests::benchmark_table::Table;

/// Measure rollouts against the bounds that their plans set. Exits with 1 if a figure misses its bound.
#[derive(Debug, Parser)]
struct Options {
    /// Parts to run [default: all]
    #[arg(value_name = "PARTS")]
    parts: Vec<Part>,
    /// Number of environments in the part `makespan`
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    environments: usize,
    /// Numbers of workers in the part `makespan`; each number is measured in a separate rollout
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_value = "1,3")]
    workers: Vec<usize>,
    /// Numbers of tolerated failures in the part `makespan`; each number is measured in a separate rollout
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_value = "2,99")]
    max_failures: Vec<u32>,
    /// Number of rollouts in the part `seeds`
    #[arg(long, value_name = "COUNT", default_value_t = 300)]
    runs: u64,
    /// Number of environments in the part `seeds`
    #[arg(long, value_name = "COUNT", default_value_t = 30)]
    members: usize,
    /// Number of killed processes in the part `kills`
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    kills: usize,
    /// Number of environments in the part `kills`
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    killed_environments: usize,
    /// Number of due updates in the part `signup`
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    updates: usize,
    /// Seed of the simulated AWS and of the faults
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Duration of a rollout to 1,000 environments, and its forecast
    Makespan,
    /// Failures, halts and duration of 300 rollouts with failing environments
    Seeds,
    /// Killed workers, restarts of PostgreSQL and lost answers amid a rollout
    Kills,
    /// AWS calls per updated environment and region
    Calls,
    /// Signup while updates are due
    Signup,
    /// Dry run and list of members with 10,000 environments
    Scale,
}

/// Parses the command line without the argument `--bench`, which cargo adds.
fn options() -> Options {
    Options::parse_from(std::env::args_os().filter(|argument| argument != "--bench"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = options();
    let selected = |part| options.parts.is_empty() || options.parts.contains(&part);
    let mut table = Table::default();
    if selected(Part::Makespan) {
        let (failures, workers) = (&options.max_failures, &options.workers);
        makespan::measure(options.environments, failures, workers, options.seed, &mut table).await;
    }
    if selected(Part::Seeds) {
        seeds::measure(options.runs, options.members, 1, options.seed, &mut table).await;
    }
    if selected(Part::Kills) {
        kills::measure(options.killed_environments, options.kills, options.seed, &mut table).await;
    }
    if selected(Part::Calls) {
        calls::measure(options.seed, &mut table).await;
    }
    if selected(Part::Signup) {
        signup::measure(options.updates, options.seed, &mut table).await;
    }
    if selected(Part::Scale) {
        scale::measure(&mut table).await;
    }
    table.print()
}
