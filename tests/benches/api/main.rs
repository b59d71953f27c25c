//! How much of what PostgreSQL can do the REST API leaves to its callers: each figure beside one of PostgreSQL's own tools,
//! in turn on the same server, which waits for the disk.
//!
//! `cargo bench --workspace --bench api -- --help`. The API is a process of its own and is called over HTTP on loopback.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints, and ends where it cannot go on")]

mod client;
mod constant_rate;
mod export;
mod feed;
mod fixture;
mod postgres_tools;
mod process;
mod seed;
mod signups;
mod table;
mod wakeup;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use table::Table;

/// Measures the API beside PostgreSQL's own tools. Ends with 1 if a bound is missed.
#[derive(Debug, Parser)]
#[command(after_help = "It needs pgbench and psql beside the server. Nothing is left behind.")]
struct Options {
    /// What to measure; everything if left out
    #[arg(long, value_name = "SETTINGS", value_delimiter = ',')]
    setting: Vec<Setting>,
    /// How often each figure is measured, in turn with PostgreSQL's; the median counts
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    rounds: usize,
    /// How long a round of signups, and one of pgbench, takes
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    round_seconds: u64,
    /// How long signups come at half the rate
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// How many mappings are exported, and how deep the feed is
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    rows: u32,
    /// Another build of the program to measure, such as one that is built for production
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_freehold-under-test"), hide_default_value = true)]
    program: std::path::PathBuf,
    /// How much longer each flush to the disk takes (`commit_delay`), as with a disk that is reached over a network
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0)]
    flush_delay: u32,
    /// How many operations stand in line when one more signs up
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    queued: usize,
}

/// What `cargo bench` says to every benchmark is dropped before clap sees it.
fn options() -> Options {
    Options::parse_from(std::env::args_os().filter(|argument| argument != "--bench"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Setting {
    /// Signups as fast as eight clients get them in, beside pgbench; then half as many a second
    Signups,
    /// All account mappings as NDJSON and as CSV, beside psql's COPY
    Export,
    /// A page of the feed at its beginning and at its end
    Feed,
    /// From a signup until its place in line is journaled
    Wakeup,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let options = options();
    let wanted = |setting| options.setting.is_empty() || options.setting.contains(&setting);
    let mut table = Table::default();
    if wanted(Setting::Signups) {
        signups::measure(&options, &mut table).await;
    }
    if wanted(Setting::Export) || wanted(Setting::Feed) {
        let house = fixture::Installation::build(&options, 0).await;
        seed::fill(&house, options.rows).await;
        if wanted(Setting::Export) {
            export::measure(&house, &options, &mut table).await;
        }
        if wanted(Setting::Feed) {
            feed::measure(&house, &options, &mut table);
        }
        house.end().await;
    }
    if wanted(Setting::Wakeup) {
        wakeup::measure(&options, &mut table).await;
    }
    table.show()
}
