//! Long crash test: `cargo bench --workspace --bench crash -- --kills 200`.

#![expect(clippy::print_stdout, reason = "a benchmark prints results")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use freehold_tests::crash::{Plan, Report, run};

/// Kill Freehold's processes at random times, then compare the simulated AWS with the database
#[derive(Debug, Parser)]
#[command(
    name = "crash",
    after_help = "Exits with 1 if an invariant is violated, e.g. a signup is lost or an account is created twice."
)]
struct Arguments {
    /// Number of kills
    #[arg(long, value_name = "N", default_value = "200")]
    kills: usize,
    /// Seed of all faults; the same seed gives the same faults
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// Number of workers
    #[arg(long, value_name = "N", default_value = "3")]
    workers: usize,
    /// Number of signups while faults are injected [default: the number of kills]
    #[arg(long, value_name = "N")]
    signups: Option<usize>,
    /// Argument that `cargo bench` passes to every benchmark
    #[arg(long = "bench", hide = true)]
    _bench: bool,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let Arguments { kills, seed, workers, signups, .. } = Arguments::parse();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_freehold-under-test"));
    let plan = Plan { program, seed, kills, workers: workers.max(1), signups: signups.unwrap_or(kills) };
    println!("seed {seed}: {kills} kills, {} signups, {} workers", plan.signups, plan.workers);
    let started = Instant::now();
    let report = run(&plan, |text| println!("{:>6.1} s  {text}", started.elapsed().as_secs_f64())).await;
    print_report(&plan, &report);
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_report(plan: &Plan, report: &Report) {
    let (before_retries, after_retries) = (&report.invariants.0, &report.invariants.1);
    let attention: usize = before_retries.needs_attention.values().sum();
    println!();
    for (text, figure) in [
        ("seed", plan.seed.to_string()),
        ("kills of the API, of workers", format!("{}, {}", report.kills.0, report.kills.1)),
        (
            "connection drops, dropped connections",
            format!("{}, {}", report.dropped_connections.0, report.dropped_connections.1),
        ),
        ("restarts of PostgreSQL", report.restarts.to_string()),
        ("processes that exited by themselves", report.unexpected_exits.to_string()),
        ("repeated signup requests", report.retried_requests.to_string()),
        ("signups accepted", after_retries.environments.to_string()),
        (
            "ready, needing attention",
            format!("{}, {attention} {:?}", before_retries.ready, before_retries.needs_attention),
        ),
        ("ready after manual retries", format!("{} ({} retried)", after_retries.ready, report.retried_operations)),
        ("accounts, account requests", format!("{}, {}", after_retries.accounts, after_retries.account_requests)),
        ("stacks, assignments", format!("{}, {}", after_retries.stacks, after_retries.assignments)),
        (
            "seconds of faults, of recovery",
            format!("{:.0}, {:.0}", report.durations.0.as_secs_f64(), report.durations.1.as_secs_f64()),
        ),
        ("violations", report.violations.len().to_string()),
    ] {
        println!("{text:<40}{figure}");
    }
    for violation in &report.violations {
        println!("VIOLATION: {violation}");
    }
}
