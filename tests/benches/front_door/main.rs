//! Benchmark of the front door: viewers must not notice that the home region is lost.
//!
//! `cargo bench --workspace --bench front_door -- --help` lists the options. Environments are onboarded in a simulated
//! AWS and get a replica and a front door. Then an HTTP server answers for CloudFront, with a clock that runs by
//! itself, while a fault stops the home region in each form. Times are those of this clock.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints results and panics on errors")]
#![allow(clippy::cast_precision_loss, reason = "all counts are small")]

mod fleet;
mod viewers;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use freehold_sandbox::faults::OutageForm;
use freehold_sandbox::http::NewFault;
use reqwest::Method;

use fleet::{Fleet, HOME};
use freehold_tests::benchmark_table::Table;
use viewers::Viewers;

/// Time by which a failover may exceed the time-outs of the front door, in seconds: the replica's own time.
const REPLICA_SECONDS: f64 = 1.0;

/// Measure what viewers notice of a lost home region. Exits with 1 if a figure misses its bound.
#[derive(Debug, Parser)]
struct Options {
    /// Number of environments with a front door
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    environments: usize,
    /// Number of GET requests for each form of the fault, over all environments
    #[arg(long, value_name = "COUNT", default_value_t = 5000)]
    requests: usize,
    /// Number of requests at a time
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    concurrency: usize,
    /// Speed of the clock relative to real time
    #[arg(long, value_name = "N", default_value_t = 20.0)]
    speed: f64,
    /// Forms of the fault [default: all]
    #[arg(long, value_name = "FORMS", value_delimiter = ',')]
    form: Vec<OutageForm>,
    /// Argument that `cargo bench` passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let fleet = Fleet::start(options.environments, options.speed).await;
    let viewers = Arc::new(Viewers::new(fleet.world.clone(), fleet.front_doors(), options.concurrency));
    let mut table = Table::default();
    let detail = format!("{} environments, {} requests", options.environments, options.requests);

    let quiet = viewers.send(&Method::GET, "/", options.requests).await;
    table.at_most("failures without a fault", quiet.failures() as f64, 0.0, "", &detail);
    table.at_least("answers of the home region", quiet.answers_from(HOME) as f64, options.requests as f64, "", "");
    let writes = viewers.send(&Method::POST, "/write/one", options.environments).await;
    table.at_most("failures of writes without a fault", writes.failures() as f64, 0.0, "", &writes.summary());

    for form in OutageForm::ALL {
        if !options.form.is_empty() && !options.form.contains(&form) {
            continue;
        }
        viewers.change_faults(Method::POST, Some(&home_down(form))).await;
        let seen = viewers.send(&Method::GET, "/", options.requests).await;
        let detail = format!("{detail}; {}", seen.summary());
        if form == OutageForm::NotFound {
            let figure = "answers with 404, which is passed on: not-found";
            table.at_least(figure, seen.with_status(404) as f64, options.requests as f64, "", &detail);
        } else {
            table.at_most(&format!("failures seen by viewers: {form}"), seen.failures() as f64, 0.0, "", &detail);
            let bound = REPLICA_SECONDS + if form == OutageForm::Hanging { 5.0 } else { 2.0 };
            table.at_most(&format!("slowest answer: {form}"), seen.slowest(), bound, "s", "");
        }
        let writes = viewers.send(&Method::POST, "/write/one", options.environments).await;
        let figure = format!("writes that fail: {form}");
        table.at_least(&figure, writes.failures() as f64, options.environments as f64, "", &writes.summary());
        viewers.change_faults(Method::DELETE, None).await;
    }

    let after = viewers.send(&Method::GET, "/", options.environments).await;
    let figure = "answers of the home region after the fault";
    table.at_least(figure, after.answers_from(HOME) as f64, options.environments as f64, "", "");
    table.print()
}

fn home_down(form: OutageForm) -> NewFault {
    let region = HOME.parse().expect("a region");
    NewFault::RegionDown { region, form, all_services: false, seconds: None }
}
