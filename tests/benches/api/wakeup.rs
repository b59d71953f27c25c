//! From a signup until a worker has claimed it and its place in line is journaled, with nobody in line and with thousands.
//!
//! It counts from before the request is sent until another connection sees the place, which is the harder of two: an answer
//! comes later than the request.

use std::time::{Duration, Instant};

use freehold_tenancy::OperationId;
use freehold_tenancy::db::PgPool;
use serde_json::Value;

use crate::Options;
use crate::fixture::Installation;
use crate::signups::Flow;
use crate::table::{Table, median, quantile};

/// How many signups are measured.
const MEASURED: usize = 200;

/// How far apart they come.
const APART: Duration = Duration::from_millis(200);

/// How many sign up at a time to get thousands in line.
const AT_ONCE: usize = 4;

/// How often it is looked whether a place is there.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How long that may take at all.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) async fn measure(options: &Options, table: &mut Table) {
    let house = Installation::build(options, 1).await;
    let flow = Flow::new(&house);
    let idle = latencies(&house, &flow).await;
    show("signup → place in line journaled, p99, idle", &idle, 0.050, table);
    queue_up(&house, &flow, options.queued).await;
    let behind = latencies(&house, &flow).await;
    show(&format!("the same with {} in line", options.queued), &behind, 1.0, table);
    house.end().await;
}

fn show(figure: &str, seconds: &[f64], bound: f64, table: &mut Table) {
    let ms = |share| quantile(seconds, share) * 1000.0;
    let detail = format!("p50 {:.1} ms, most {:.1} ms, of {}", median(seconds) * 1000.0, ms(1.0), seconds.len());
    table.at_most(figure, ms(0.99), bound * 1000.0, "ms", &detail);
}

/// Signups one by one, and how long each waits for its place.
async fn latencies(house: &Installation, flow: &Flow) -> Vec<f64> {
    let mut client = flow.connect();
    let mut latencies = Vec::new();
    // The first ones make connections and touch code.
    for number in 0..MEASURED + 5 {
        let request = flow.request();
        let begun = Instant::now();
        let status = client.ask(&request).expect("an answer");
        assert_eq!(status, 202, "{}", String::from_utf8_lossy(client.body()));
        let tenant: Value = serde_json::from_slice(client.body()).expect("a tenant");
        let operation = tenant["environments"][0]["operation_id"].as_str().expect("an operation");
        place(&house.infrastructure.pool, operation.parse().expect("an id"), begun).await;
        if number >= 5 {
            latencies.push(begun.elapsed().as_secs_f64());
        }
        tokio::time::sleep(APART.saturating_sub(begun.elapsed())).await;
    }
    latencies
}

/// Returns when the operation has a place, or a place in line.
async fn place(pool: &PgPool, operation: OperationId, begun: Instant) {
    let there = "select exists (select from slots s join operations o on o.id = s.operation_id
        where s.operation_id = $1 and o.started_at is not null)";
    loop {
        let query = sqlx::query_scalar(there).bind(operation.as_uuid());
        if query.fetch_one(pool).await.expect("an answer") {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{operation} got no place");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Brings so many into the line, and waits until nobody works on getting there any more.
async fn queue_up(house: &Installation, flow: &Flow, queued: usize) {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let mut client = flow.connect();
                for _ in 0..queued / AT_ONCE {
                    assert_eq!(client.ask(&flow.request()).expect("an answer"), 202, "a signup was refused");
                }
            });
        }
    });
    let waiting = "select count(*) from operations where started_at is null or lease_until is not null";
    let mut quiet = 0;
    while quiet < 3 {
        let left: i64 = sqlx::query_scalar(waiting).fetch_one(&house.infrastructure.pool).await.expect("a count");
        // A few are always being carried on.
        quiet = if left < 10 { quiet + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("{queued} more in line after {:.0} s", begun.elapsed().as_secs_f64());
}
