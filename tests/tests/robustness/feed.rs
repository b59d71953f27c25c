//! Test of the event feed with concurrent writers: no event is missed, repeated or out of order.
//!
//! `FREEHOLD_WRITERS=32 FREEHOLD_EVENTS=3125 cargo test --workspace --test main -- robustness::feed --nocapture` writes
//! 100,000 events with 32 writers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use freehold_tenancy::db;
use freehold_tenancy::{EnvironmentId, OperationId};
use freehold_tests::api_fixture::{ApiFixture, signup_body};
use freehold_tests::feed_load::{apply_events, count_missing_and_reordered, read_feed, snapshot, write};
use futures::future::join_all;
use secrecy::SecretString;

/// Default number of concurrent writers. The environment variable `FREEHOLD_WRITERS` overrides this number, and
/// `FREEHOLD_EVENTS` overrides the number of events per writer.
const DEFAULT_WRITERS: u64 = 8;
const DEFAULT_EVENTS: u32 = 120;
const MAX_COMMIT_DELAY: Duration = Duration::from_millis(12);

#[expect(clippy::print_stdout, reason = "the figures are for manual runs")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn late_commits_are_never_missed() {
    let api = ApiFixture::new().await;
    let (writers, events) =
        (read_variable("FREEHOLD_WRITERS", DEFAULT_WRITERS), read_variable("FREEHOLD_EVENTS", DEFAULT_EVENTS.into()));
    let events = u32::try_from(events).expect("a number of events");
    // Each writer uses a connection until its late commit. The test writes what workers write.
    let url = SecretString::from(api.database.worker_url.clone());
    let pool =
        &db::connect(&url, u32::try_from(writers + 8).expect("a number of connections")).await.expect("connections");
    let mut operations: Vec<(EnvironmentId, OperationId)> = Vec::new();
    for _ in 0..writers {
        let environment = api.sign_up(&signup_body()).await["environments"][0].clone();
        let id = |name: &str| environment[name].as_str().expect("an id").to_owned();
        operations.push((id("id").parse().expect("an id"), id("operation_id").parse().expect("an id")));
    }
    let written = AtomicBool::new(false);
    let writing = async {
        let all =
            operations.iter().zip(1..).map(|((env, op), seed)| write(pool, *env, *op, events, MAX_COMMIT_DELAY, seed));
        join_all(all).await;
        written.store(true, Ordering::SeqCst);
    };
    // Reads all account mappings, and then the events after the feed position of that read.
    let follow = |after: Duration| {
        let written = &written;
        async move {
            tokio::time::sleep(after).await;
            let (position, mut book) = snapshot(pool).await;
            let changes = read_feed(pool, position, || written.load(Ordering::SeqCst)).await;
            apply_events(&mut book, &changes);
            book
        }
    };
    let ((), all, some, others) = tokio::join!(
        writing,
        read_feed(pool, 0, || written.load(Ordering::SeqCst)),
        follow(Duration::from_millis(150)),
        follow(Duration::from_millis(400)),
    );
    let expected: BTreeMap<_, _> = operations.iter().map(|(_, operation)| (*operation, events)).collect();
    println!("{} entries of {writers} writers", all.len());
    assert_eq!(count_missing_and_reordered(&all, &expected), (0, 0), "(missing, reordered)");
    let (_, now) = snapshot(pool).await;
    assert_eq!((&some, &others), (&now, &now), "a snapshot plus later events differs from the present mappings");
}

fn read_variable(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |value| value.parse().expect("a number"))
}
