//! Benchmark of signups: maximum rate with eight clients, compared with pgbench; then latency at half that rate.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, signup};
use crate::fixture::Installation;
use crate::postgres_tools::{CLIENTS, checkpoint};
use crate::process::cpu_seconds;
use crate::{Options, constant_rate};
use freehold_tests::benchmark_table::{Table, format_values, median};

/// Number of API clients among which the signups are distributed, so that no client exceeds the limit of 1000 signups
/// per day.
const API_CLIENTS: usize = 1000;

/// Generates signup requests, each with a new idempotency key.
pub(crate) struct SignupSource {
    address: String,
    tokens: Vec<String>,
    next: AtomicUsize,
}

impl SignupSource {
    pub(crate) fn new(installation: &Installation) -> Self {
        Self {
            address: installation.address.clone(),
            tokens: installation.tokens(API_CLIENTS),
            next: AtomicUsize::new(0),
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(&self.address).expect("the API")
    }

    /// Returns a signup request with a new idempotency key.
    pub(crate) fn request(&self) -> Vec<u8> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        signup(&self.address, &self.tokens[number % self.tokens.len()], &format!("customer-{number}"))
    }
}

pub(crate) async fn measure(options: &Options, table: &mut Table) {
    let installation = Installation::start(options, 0).await;
    let source = SignupSource::new(&installation);
    let time = Duration::from_secs(options.round_seconds);
    // Warm up connections, signing keys and code.
    maximum_rate(&source, Duration::from_secs(2));
    installation.tools.insert(CLIENTS, 2, Duration::from_secs(2));

    let (mut ratios, mut signups, mut inserts, mut cpu) = (vec![], vec![], vec![], vec![]);
    for _ in 0..options.rounds {
        checkpoint(&installation.infrastructure.pool).await;
        let single_rows = installation.tools.insert(CLIENTS, 2, time).per_second;
        checkpoint(&installation.infrastructure.pool).await;
        let used = [cpu_seconds(installation.api_pid()), cpu_seconds(std::process::id())];
        let per_second = maximum_rate(&source, time);
        let used = [cpu_seconds(installation.api_pid()) - used[0], cpu_seconds(std::process::id()) - used[1]];
        cpu.push(used.map(|used| used / time.as_secs_f64() * 100.0));
        ratios.push(per_second / single_rows);
        signups.push(per_second);
        inserts.push(single_rows);
    }
    let share = |of: usize| median(&cpu.iter().map(|used| used[of]).collect::<Vec<_>>());
    let detail = format!(
        "{:.0}/s ÷ {:.0}/s; rounds: {}; CPU of the API {:.0} %, of the clients {:.0} %",
        median(&signups),
        median(&inserts),
        format_values(&ratios, 3),
        share(0),
        share(1),
    );
    table.at_least("durable signups ÷ pgbench's single-row inserts, 8 clients", median(&ratios), 0.30, "", &detail);
    constant_rate::measure(&installation, &source, median(&signups) / 2.0, options, table).await;
    installation.stop().await;
}

/// Sends signups from eight clients, each of which waits for the response before its next request. Returns the number
/// of accepted signups per second.
fn maximum_rate(source: &SignupSource, time: Duration) -> f64 {
    let started = Instant::now();
    let accepted: usize = std::thread::scope(|scope| {
        let client = || {
            let (mut client, mut accepted) = (source.connect(), 0);
            while started.elapsed() < time {
                let status = client.send(&source.request()).expect("a response");
                assert_eq!(status, 202, "{}", String::from_utf8_lossy(client.body()));
                accepted += 1;
            }
            accepted
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).sum()
    });
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let accepted = accepted as f64;
    accepted / started.elapsed().as_secs_f64()
}
