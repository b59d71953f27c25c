//! Benchmark of the time that a worker needs to claim a new operation after a signup, until the operation has acquired
//! a slot or is queued for one. The queue is empty in one measurement and contains thousands of operations in the
//! other.
//!
//! The measured time starts with the signup request and ends when a query on another connection finds the operation's
//! row in the table `slots`.

use std::time::{Duration, Instant};

use freehold_tenancy::OperationId;
use freehold_tenancy::db::PgPool;
use serde_json::Value;

use crate::Options;
use crate::fixture::Installation;
use crate::signups::SignupSource;
use freehold_tests::benchmark_table::{Table, median, quantile};

/// Number of measured signups.
const MEASURED_SIGNUPS: usize = 200;

/// Interval between the measured signups.
const INTERVAL: Duration = Duration::from_millis(200);

/// Number of concurrent clients that fill the queue.
const CLIENTS: usize = 4;

const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Maximum time to wait until an operation has acquired a slot or is queued for one.
const TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) async fn measure(options: &Options, table: &mut Table) {
    let installation = Installation::start(options, 1).await;
    let source = SignupSource::new(&installation);
    let empty = latencies(&installation, &source).await;
    add_row("signup → slot acquired or queued, p99, empty queue", &empty, 0.050, table);
    fill_queue(&installation, &source, options.queued).await;
    let queued = latencies(&installation, &source).await;
    add_row(&format!("the same with {} queued operations", options.queued), &queued, 1.0, table);
    installation.stop().await;
}

fn add_row(figure: &str, seconds: &[f64], bound: f64, table: &mut Table) {
    let ms = |share| quantile(seconds, share) * 1000.0;
    let detail =
        format!("p50 {:.1} ms, maximum {:.1} ms, {} signups", median(seconds) * 1000.0, ms(1.0), seconds.len());
    table.at_most(figure, ms(0.99), bound * 1000.0, "ms", &detail);
}

/// Sends signups one after another. Returns the seconds from each signup until its operation has acquired a slot or is
/// queued for one.
async fn latencies(installation: &Installation, source: &SignupSource) -> Vec<f64> {
    let mut client = source.connect();
    let mut latencies = Vec::new();
    // The first signups are a warm-up.
    for number in 0..MEASURED_SIGNUPS + 5 {
        let request = source.request();
        let started = Instant::now();
        let status = client.send(&request).expect("a response");
        assert_eq!(status, 202, "{}", String::from_utf8_lossy(client.body()));
        let tenant: Value = serde_json::from_slice(client.body()).expect("a tenant");
        let operation = tenant["environments"][0]["operation_id"].as_str().expect("an operation");
        wait_for_slot(&installation.infrastructure.pool, operation.parse().expect("an id"), started).await;
        if number >= 5 {
            latencies.push(started.elapsed().as_secs_f64());
        }
        tokio::time::sleep(INTERVAL.saturating_sub(started.elapsed())).await;
    }
    latencies
}

/// Waits until the operation has acquired a slot or is queued for one.
async fn wait_for_slot(pool: &PgPool, operation: OperationId, started: Instant) {
    let query = "select exists (select from slots s join operations o on o.id = s.operation_id
        where s.operation_id = $1 and o.started_at is not null)";
    loop {
        let query = sqlx::query_scalar(query).bind(operation.as_uuid());
        if query.fetch_one(pool).await.expect("a response") {
            return;
        }
        assert!(started.elapsed() < TIMEOUT, "{operation} has no slot after {TIMEOUT:?}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Signs up `queued` tenants and waits until nearly all of their operations are queued for a slot.
async fn fill_queue(installation: &Installation, source: &SignupSource, queued: usize) {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = source.connect();
                for _ in 0..queued / CLIENTS {
                    assert_eq!(client.send(&source.request()).expect("a response"), 202, "the signup must be accepted");
                }
            });
        }
    });
    let waiting = "select count(*) from operations where started_at is null or lease_until is not null";
    let mut quiet = 0;
    while quiet < 3 {
        let remaining: i64 =
            sqlx::query_scalar(waiting).fetch_one(&installation.infrastructure.pool).await.expect("a count");
        // A few operations are always being processed.
        quiet = if remaining < 10 { quiet + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("{queued} more operations queued after {:.0} s", started.elapsed().as_secs_f64());
}
