//! The long crash run: `cargo bench --workspace --bench crash -- --kills 200`.

#![expect(clippy::print_stdout, reason = "the figures are what this is for")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use freehold_tests::crash::{Plan, Report, run};

/// Kills Freehold's processes at random moments and compares the simulated AWS with the database afterwards
#[derive(Debug, Parser)]
#[command(name = "crash", after_help = "Ends with 1 where something was lost or doubled.")]
struct Arguments {
    /// How many processes are killed
    #[arg(long, value_name = "N", default_value = "200")]
    kills: usize,
    /// What decides about every blow; the same seed brings the same
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// How many workers there are
    #[arg(long, value_name = "N", default_value = "3")]
    workers: usize,
    /// How many customers sign up meanwhile [default: as many as there are kills]
    #[arg(long, value_name = "N")]
    signups: Option<usize>,
    /// What `cargo bench` says to every benchmark
    #[arg(long = "bench", hide = true)]
    _bench: bool,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let Arguments { kills, seed, workers, signups, .. } = Arguments::parse();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_freehold-under-test"));
    let plan = Plan { program, seed, kills, workers: workers.max(1), signups: signups.unwrap_or(kills) };
    println!("seed {seed}: {kills} kills, {} signups, {} workers", plan.signups, plan.workers);
    let begun = Instant::now();
    let report = run(&plan, |what| println!("{:>6.1} s  {what}", begun.elapsed().as_secs_f64())).await;
    show(&plan, &report);
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(plan: &Plan, report: &Report) {
    let (first, last) = (&report.invariants.0, &report.invariants.1);
    let attention: usize = first.needs_attention.values().sum();
    println!();
    for (what, figure) in [
        ("seed", plan.seed.to_string()),
        ("kill -9 of the API, of workers", format!("{}, {}", report.kills.0, report.kills.1)),
        (
            "cuts of all connections, connections",
            format!("{}, {}", report.dropped_connections.0, report.dropped_connections.1),
        ),
        ("restarts of PostgreSQL", report.restarts.to_string()),
        ("processes that ended by themselves", report.unexpected_exits.to_string()),
        ("requests that were repeated", report.retried_requests.to_string()),
        ("signups accepted", last.environments.to_string()),
        ("ready, needing attention", format!("{}, {attention} {:?}", first.ready, first.needs_attention)),
        ("ready after a person's retries", format!("{} ({} retried)", last.ready, report.retried_operations)),
        ("accounts, asked for", format!("{}, {}", last.accounts, last.account_requests)),
        ("stacks, assignments", format!("{}, {}", last.stacks, last.assignments)),
        (
            "seconds of blows, until rest",
            format!("{:.0}, {:.0}", report.durations.0.as_secs_f64(), report.durations.1.as_secs_f64()),
        ),
        ("violations", report.violations.len().to_string()),
    ] {
        println!("{what:<40}{figure}");
    }
    for violation in &report.violations {
        println!("VIOLATION: {violation}");
    }
}
