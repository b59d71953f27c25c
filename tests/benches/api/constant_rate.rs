//! Signups that come when they come, whether or not those before were answered: how long the slow ones take.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::Options;
use crate::fixture::Installation;
use crate::postgres_tools::checkpoint;
use crate::signups::Flow;
use crate::table::{Table, list, median, quantile};

/// How many can be on their way at once; far more than ever are.
const CONNECTIONS: usize = 64;

/// What came of it.
struct Steady {
    /// Seconds from when each was due until it was accepted.
    latencies: Vec<f64>,
    /// How many were answered otherwise, or not at all.
    errors: usize,
}

/// `rate` signups a second, beside what one client of pgbench waits for one row.
pub(crate) async fn measure(house: &Installation, flow: &Flow, rate: f64, options: &Options, table: &mut Table) {
    let mut single = Vec::new();
    let mut slow = Vec::new();
    let mut all = Steady { latencies: Vec::new(), errors: 0 };
    let time = Duration::from_secs(options.seconds).div_f64(f64::from(u32::try_from(options.rounds).expect("few")));
    for round in 0..options.rounds {
        single.push(house.tools.insert(1, 1, Duration::from_secs(options.round_seconds.min(5))).latency);
        checkpoint(&house.infrastructure.pool).await;
        let steady = open_loop(flow, rate, time, round as u64);
        slow.push(quantile(&steady.latencies, 0.99));
        all.latencies.extend(steady.latencies);
        all.errors += steady.errors;
    }
    let p99 = quantile(&all.latencies, 0.99);
    let detail = format!(
        "p99 {:.1} ms ÷ {:.2} ms; p50 {:.1} ms, p99 of the rounds {} ms, at {rate:.0}/s",
        p99 * 1000.0,
        median(&single) * 1000.0,
        median(&all.latencies) * 1000.0,
        list(&slow.iter().map(|seconds| seconds * 1000.0).collect::<Vec<_>>(), 1),
    );
    let figure = "p99 at half that rate ÷ pgbench's average, one client";
    table.at_most(figure, p99 / median(&single), 20.0, "", &detail);
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let errors = all.errors as f64;
    let detail = format!("of {} in {} s", all.latencies.len() + all.errors, options.seconds);
    table.at_most("errors at that rate", errors, 0.0, "", &detail);
}

/// They come at random, as those of independent customers do (a Poisson process), and each is late from when it was due.
fn open_loop(flow: &Flow, rate: f64, time: Duration, seed: u64) -> Steady {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut due = Vec::new();
    let mut at = 0.0;
    while at < time.as_secs_f64() {
        due.push(at);
        at -= (1.0 - rng.random::<f64>()).ln() / rate;
    }
    let (next, due) = (AtomicUsize::new(0), due.as_slice());
    let begun = Instant::now() + Duration::from_millis(100);
    let client = || {
        let (mut client, mut done) = (flow.connect(), Steady { latencies: Vec::new(), errors: 0 });
        while let Some(due) = due.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (request, due) = (flow.request(), begun + Duration::from_secs_f64(*due));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            match client.ask(&request) {
                Ok(202) => done.latencies.push(due.elapsed().as_secs_f64()),
                _ => done.errors += 1,
            }
        }
        done
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(client)).collect();
        let mut all = Steady { latencies: Vec::new(), errors: 0 };
        for client in clients {
            let done = client.join().expect("a client");
            all.latencies.extend(done.latencies);
            all.errors += done.errors;
        }
        all
    })
}
