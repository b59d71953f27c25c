//! Benchmark of the limits of the API: slow clients, and streams above the ceiling, must not slow down other clients.
//!
//! `cargo bench --workspace --bench attack -- --help` lists the options. The API runs as a separate process. Each round
//! measures the latency of other clients first without and then with the attack.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints results and panics on errors")]
#![allow(clippy::cast_precision_loss, reason = "all counts are small")]

#[allow(dead_code, reason = "another benchmark uses all of it")]
#[path = "../api/client.rs"]
mod client;
mod forms;
mod probe;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use freehold_sandbox::Settings;
use freehold_tests::api_fixture::ALL_SCOPES;
use freehold_tests::crash::{ApiClient, ISSUER, Infrastructure, Processes, wait_until_ready};
use freehold_tests::tokens;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use forms::{Form, Target};
use freehold_tests::benchmark_table::{Table, format_values, median};
use probe::Latencies;

/// Maximum latency during an attack, relative to the latency without the attack.
const MAX_RATIO: f64 = 2.0;

/// Maximum duration of a measurement without an attack.
const MAX_QUIET: Duration = Duration::from_mins(1);

/// Time in which an attack opens its connections before the measurement begins.
const WARM_UP: Duration = Duration::from_secs(3);

/// Number of clients to which the tokens of the slow clients belong.
const ATTACKING_CLIENTS: usize = 100;

/// Limits that let all slow clients connect.
const LIMITS_OF_SLOW_CLIENTS: &str = "[api.limits]\nmax_streams = 3000\nmax_streams_per_client = 3000";

/// Compare the latency of other clients during an attack with their latency without it. Exits with 1 if a figure misses
/// its bound.
#[derive(Debug, Parser)]
struct Options {
    /// Attacks to run [default: all]
    #[arg(long, value_name = "SETTINGS", value_delimiter = ',')]
    setting: Vec<Setting>,
    /// Forms of slow clients [default: all]
    #[arg(long, value_name = "FORMS", value_delimiter = ',')]
    form: Vec<Form>,
    /// Duration of each attack, over all rounds
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0)]
    minutes: f64,
    /// Measurements per figure; the median is reported
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    rounds: u32,
    /// Number of connections of slow clients
    #[arg(long, value_name = "COUNT", default_value_t = 2000)]
    connections: usize,
    /// Number of streams that one client tries to keep open
    #[arg(long, value_name = "COUNT", default_value_t = 5500)]
    streams: usize,
    /// Program to measure, e.g. a release build [default: the build of this benchmark]
    #[arg(
        long,
        value_name = "FILE",
        default_value = env!("CARGO_BIN_EXE_freehold-under-test"),
        hide_default_value = true
    )]
    program: std::path::PathBuf,
}

impl Options {
    fn round(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0) / self.rounds
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Setting {
    /// Clients that send or read slowly, or nothing, in each form
    SlowClients,
    /// One client that opens more streams than the ceiling allows
    Streams,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    // Cargo adds the argument `--bench`.
    let options = Options::parse_from(std::env::args_os().filter(|argument| argument != "--bench"));
    let (_, maximum) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit of file handles");
    setrlimit(Resource::RLIMIT_NOFILE, maximum, maximum).expect("the maximum number of file handles");
    let selected = |setting| options.setting.is_empty() || options.setting.contains(&setting);
    let mut table = Table::default();
    if selected(Setting::SlowClients) {
        let installation = Installation::start(&options, LIMITS_OF_SLOW_CLIENTS).await;
        for form in Form::value_variants() {
            if options.form.is_empty() || options.form.contains(form) {
                installation.measure(*form, options.connections, ATTACKING_CLIENTS, &options, &mut table).await;
            }
        }
        installation.stop().await;
    }
    if selected(Setting::Streams) {
        let installation = Installation::start(&options, "").await;
        installation.measure(Form::EventStream, options.streams, 1, &options, &mut table).await;
        installation.stop().await;
    }
    table.print()
}

/// API under test with one tenant, whose operation waits because there is no worker.
struct Installation {
    infrastructure: Infrastructure,
    processes: Processes,
    address: String,
    operation: String,
}

impl Installation {
    async fn start(options: &Options, limits: &str) -> Self {
        let config =
            format!("requests_per_minute = 0\nsignups_per_day = 0\nmetrics_on_public_listener = true\n{limits}");
        let infrastructure = Infrastructure::start_with_api_config(Settings::default(), 1.0, &config).await;
        let mut processes = Processes::new(&options.program, &infrastructure, 0, None);
        processes.start(0);
        let client = ApiClient::new(&processes.api_url, &infrastructure.issuer);
        wait_until_ready(&client).await;
        let tenant =
            client.signup_request(1).send().await.expect("a response").json::<Value>().await.expect("a tenant");
        let operation = tenant["environments"][0]["operation_id"].as_str().expect("an operation").to_owned();
        let address = processes.api_url.trim_start_matches("http://").to_owned();
        Self { infrastructure, processes, address, operation }
    }

    async fn stop(self) {
        drop(self.processes);
        self.infrastructure.stop().await;
    }

    fn token(&self, client: &str) -> String {
        let claims = json!({ "iss": ISSUER, "exp": tokens::now() + 24 * 3600, "client_id": client });
        self.infrastructure.issuer.token_with(ALL_SCOPES, &claims)
    }

    /// Measures other clients without and with an attack by `connections` connections of `clients` clients.
    async fn measure(&self, form: Form, connections: usize, clients: usize, options: &Options, table: &mut Table) {
        let tokens = (0..clients).map(|number| self.token(&format!("attacker-{number}"))).collect();
        let target = Arc::new(Target::new(&self.address, &self.operation, tokens));
        let (mut p99, mut p50, mut quiet_rounds, mut attack_rounds) = (vec![], vec![], vec![], vec![]);
        let (mut open, mut refused) = (0, 0);
        for _ in 0..options.rounds {
            let quiet = self.probe(options.round().min(MAX_QUIET)).await;
            let stop = CancellationToken::new();
            let attack = forms::start(form, &target, connections, &stop);
            tokio::time::sleep(WARM_UP).await;
            let attacked = self.probe(options.round()).await;
            open = self.open_connections().await;
            stop.cancel();
            attack.wait().await;
            refused += target.take_refused();
            p99.push(attacked.p99() / quiet.p99());
            p50.push(attacked.p50() / quiet.p50());
            quiet_rounds.push(quiet);
            attack_rounds.push(attacked);
        }
        let milliseconds = |rounds: &[Latencies], value: fn(&Latencies) -> f64| {
            median(&rounds.iter().map(|round| value(round) * 1000.0).collect::<Vec<_>>())
        };
        let errors: usize = attack_rounds.iter().map(|round| round.errors).sum();
        let (ratios, quantile, value): (_, _, fn(&Latencies) -> f64) =
            if clients == 1 { (&p50, "median", Latencies::p50) } else { (&p99, "p99", Latencies::p99) };
        let detail = format!(
            "{:.2} ms ÷ {:.2} ms; rounds: {}; {open} connections open, {refused} refused streams, {errors} errors",
            milliseconds(&attack_rounds, value),
            milliseconds(&quiet_rounds, value),
            format_values(ratios, 2),
        );
        let name = form.to_possible_value().expect("a name").get_name().to_owned();
        let figure = format!("{quantile} of others, {connections} × {name} ÷ quiet");
        table.at_most(&figure, median(ratios), MAX_RATIO, "", &detail);
        table.at_most(&format!("failed requests of others, {name}"), errors as f64, 0.0, "", "");
        if clients == 1 {
            table.at_least("refused streams above the ceiling", refused as f64, 1.0, "", "");
        }
    }

    async fn probe(&self, duration: Duration) -> Latencies {
        let (address, token) = (self.address.clone(), self.token("probe"));
        let path = format!("/v1/operations/{}", self.operation);
        let probe = move || probe::measure(&address, &path, &token, duration);
        tokio::task::spawn_blocking(probe).await.expect("latencies")
    }

    /// Returns the number of open connections, as the API reports it.
    async fn open_connections(&self) -> u64 {
        let address = self.address.clone();
        let read = move || {
            let mut client = client::Client::connect(&address)?;
            client.send(&client::get(&address, "/metrics", "", "*/*"))?;
            let text = String::from_utf8_lossy(client.body()).into_owned();
            let line = text.lines().find_map(|line| line.strip_prefix("freehold_api_connections ")?.parse().ok());
            Ok::<u64, std::io::Error>(line.unwrap_or_default())
        };
        tokio::task::spawn_blocking(read).await.expect("a task").expect("the metrics")
    }
}
