//! Benchmark of the latency of signups that are sent at a constant average rate, without waiting for earlier responses
//! (open loop).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::Options;
use crate::fixture::Installation;
use crate::postgres_tools::checkpoint;
use crate::signups::SignupSource;
use freehold_tests::benchmark_table::{Table, format_values, median, quantile};

/// Maximum number of concurrent requests, high enough not to limit the rate of signups.
const MAX_CONCURRENT_REQUESTS: usize = 64;

struct Outcome {
    /// Latency of each accepted signup in seconds, measured from its scheduled time.
    latencies: Vec<f64>,
    /// Number of requests that failed or got a response with an unexpected status.
    errors: usize,
}

/// Sends `rate` signups per second and compares their latency with that of single-row inserts by one pgbench client.
pub(crate) async fn measure(
    installation: &Installation,
    source: &SignupSource,
    rate: f64,
    options: &Options,
    table: &mut Table,
) {
    let mut single = Vec::new();
    let mut slow = Vec::new();
    let mut all = Outcome { latencies: Vec::new(), errors: 0 };
    let time = Duration::from_secs(options.seconds).div_f64(f64::from(u32::try_from(options.rounds).expect("few")));
    for round in 0..options.rounds {
        single.push(installation.tools.insert(1, 1, Duration::from_secs(options.round_seconds.min(5))).latency);
        checkpoint(&installation.infrastructure.pool).await;
        let outcome = open_loop(source, rate, time, round as u64);
        slow.push(quantile(&outcome.latencies, 0.99));
        all.latencies.extend(outcome.latencies);
        all.errors += outcome.errors;
    }
    let p99 = quantile(&all.latencies, 0.99);
    let detail = format!(
        "p99 {:.1} ms ÷ {:.2} ms; p50 {:.1} ms, p99 per round {} ms, at {rate:.0}/s",
        p99 * 1000.0,
        median(&single) * 1000.0,
        median(&all.latencies) * 1000.0,
        format_values(&slow.iter().map(|seconds| seconds * 1000.0).collect::<Vec<_>>(), 1),
    );
    let figure = "p99 at half the rate ÷ average of pgbench, 1 client";
    table.at_most(figure, p99 / median(&single), 20.0, "", &detail);
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let errors = all.errors as f64;
    let detail = format!("{} requests in {} s", all.latencies.len() + all.errors, options.seconds);
    table.at_most("errors at half the rate", errors, 0.0, "", &detail);
}

/// Sends signups at random times, as a Poisson process. The latency of a signup is measured from its scheduled time.
fn open_loop(source: &SignupSource, rate: f64, time: Duration, seed: u64) -> Outcome {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut scheduled = Vec::new();
    let mut at = 0.0;
    while at < time.as_secs_f64() {
        scheduled.push(at);
        at -= (1.0 - rng.random::<f64>()).ln() / rate;
    }
    let (next, scheduled) = (AtomicUsize::new(0), scheduled.as_slice());
    let started = Instant::now() + Duration::from_millis(100);
    let client = || {
        let (mut client, mut done) = (source.connect(), Outcome { latencies: Vec::new(), errors: 0 });
        while let Some(scheduled) = scheduled.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (request, scheduled) = (source.request(), started + Duration::from_secs_f64(*scheduled));
            std::thread::sleep(scheduled.saturating_duration_since(Instant::now()));
            match client.send(&request) {
                Ok(202) => done.latencies.push(scheduled.elapsed().as_secs_f64()),
                _ => done.errors += 1,
            }
        }
        done
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..MAX_CONCURRENT_REQUESTS).map(|_| scope.spawn(client)).collect();
        let mut all = Outcome { latencies: Vec::new(), errors: 0 };
        for client in clients {
            let done = client.join().expect("a client");
            all.latencies.extend(done.latencies);
            all.errors += done.errors;
        }
        all
    })
}
