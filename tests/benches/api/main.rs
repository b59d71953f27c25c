//! Benchmark of the REST API. Most figures are compared with pgbench or psql, which run on the same PostgreSQL server
//! in alternation with the API requests.
//!
//! `cargo bench --workspace --bench api -- --help` lists the options. The API runs as a separate process and is called
//! over HTTP on loopback.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints results and panics on errors")]

mod client;
mod constant_rate;
mod export;
mod feed;
mod fixture;
mod postgres_tools;
mod process;
mod search;
mod seed;
mod signups;
mod wakeup;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use freehold_tests::benchmark_table::Table;

/// Measure the API relative to PostgreSQL's own tools. Exits with 1 if a figure misses its bound.
#[derive(Debug, Parser)]
#[command(
    after_help = "Requires pgbench and psql in the directory of the PostgreSQL programs. All data is deleted at the end."
)]
struct Options {
    /// Benchmarks to run [default: all]
    #[arg(long, value_name = "SETTINGS", value_delimiter = ',')]
    setting: Vec<Setting>,
    /// Measurements per figure, alternating with PostgreSQL's tools; the median is reported
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    rounds: usize,
    /// Duration of one round of signups and of one round of pgbench
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    round_seconds: u64,
    /// Duration of the signups at half the maximum rate
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Number of exported account mappings and of events in the feed
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    rows: u32,
    /// Number of tenants in the benchmark `search`
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    tenants: u32,
    /// Program to measure, e.g. a release build [default: the build of this benchmark]
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_freehold-under-test"), hide_default_value = true)]
    program: std::path::PathBuf,
    /// Additional duration of each disk flush (`commit_delay`), to simulate a network disk
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0)]
    flush_delay: u32,
    /// Number of queued operations in the second part of the benchmark `wakeup`
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    queued: usize,
}

/// Parses the command line without the argument `--bench`, which cargo adds.
fn options() -> Options {
    Options::parse_from(std::env::args_os().filter(|argument| argument != "--bench"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Setting {
    /// Maximum rate of signups with eight clients, compared with pgbench; then latency at half that rate
    Signups,
    /// Export of all account mappings as NDJSON and CSV, compared with psql's COPY
    Export,
    /// Feed pages at the beginning and at the end of the feed
    Feed,
    /// Search, and pages of tenants, in an installation with 100,000 tenants
    Search,
    /// Time from a signup until its operation has acquired a slot or is queued for one
    Wakeup,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let options = options();
    let selected = |setting| options.setting.is_empty() || options.setting.contains(&setting);
    let mut table = Table::default();
    if selected(Setting::Signups) {
        signups::measure(&options, &mut table).await;
    }
    if selected(Setting::Export) || selected(Setting::Feed) {
        let installation = fixture::Installation::start(&options, 0).await;
        seed::insert_rows(&installation, options.rows).await;
        if selected(Setting::Export) {
            export::measure(&installation, &options, &mut table).await;
        }
        if selected(Setting::Feed) {
            feed::measure(&installation, &options, &mut table);
        }
        installation.stop().await;
    }
    if selected(Setting::Search) {
        let installation = fixture::Installation::start(&options, 0).await;
        seed::insert_rows(&installation, options.tenants).await;
        search::measure(&installation, &options, &mut table);
        installation.stop().await;
    }
    if selected(Setting::Wakeup) {
        wakeup::measure(&options, &mut table).await;
    }
    table.print()
}
