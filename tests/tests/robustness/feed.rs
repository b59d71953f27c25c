//! The feed under many writers: nothing is missed, nothing comes twice or out of order.
//!
//! `FREEHOLD_WRITERS=32 FREEHOLD_EVENTS=3125 cargo test --workspace --test main -- robustness::feed --nocapture` has 32 of them write
//! 100,000 events.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use freehold_tenancy::db;
use freehold_tenancy::{EnvironmentId, OperationId};
use freehold_tests::api_fixture::{Served, signup};
use freehold_tests::feed_load::{carry_on, missing_and_reordered, snapshot, tail, write};
use futures::future::join_all;
use secrecy::SecretString;

/// How many write at once, and how many events each; `FREEHOLD_WRITERS` and `FREEHOLD_EVENTS` make it more.
const WRITERS: u64 = 8;
const EVENTS: u32 = 120;
const LATE: Duration = Duration::from_millis(12);

#[expect(clippy::print_stdout, reason = "how much it was is of interest where it was asked for")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_misses_anything_however_late_a_commit_is() {
    let api = Served::new().await;
    let (writers, events) = (asked_for("FREEHOLD_WRITERS", WRITERS), asked_for("FREEHOLD_EVENTS", EVENTS.into()));
    let events = u32::try_from(events).expect("some thousands");
    // Each writer holds a connection while it is late.
    let url = SecretString::from(api.database.url.clone());
    let pool = &db::connect(&url, u32::try_from(writers + 8).expect("a few")).await.expect("connections");
    let mut operations: Vec<(EnvironmentId, OperationId)> = Vec::new();
    for _ in 0..writers {
        let environment = api.signed_up(&signup()).await["environments"][0].clone();
        let id = |name: &str| environment[name].as_str().expect("an id").to_owned();
        operations.push((id("id").parse().expect("one"), id("operation_id").parse().expect("one")));
    }
    let written = AtomicBool::new(false);
    let writing = async {
        let all = operations.iter().zip(1..).map(|((env, op), seed)| write(pool, *env, *op, events, LATE, seed));
        join_all(all).await;
        written.store(true, Ordering::SeqCst);
    };
    // Takes the mappings as they are at some moment, and keeps up from there.
    let keeping_up = |after: Duration| {
        let written = &written;
        async move {
            tokio::time::sleep(after).await;
            let (position, mut book) = snapshot(pool).await;
            let changes = tail(pool, position, || written.load(Ordering::SeqCst)).await;
            carry_on(&mut book, &changes);
            book
        }
    };
    let ((), all, some, others) = tokio::join!(
        writing,
        tail(pool, 0, || written.load(Ordering::SeqCst)),
        keeping_up(Duration::from_millis(150)),
        keeping_up(Duration::from_millis(400)),
    );
    let expected: BTreeMap<_, _> = operations.iter().map(|(_, operation)| (*operation, events)).collect();
    println!("{} entries of {writers} writers", all.len());
    assert_eq!(missing_and_reordered(&all, &expected), (0, 0), "(missing, reordered)");
    let (_, now) = snapshot(pool).await;
    assert_eq!((&some, &others), (&now, &now), "a snapshot and what followed is not what there is");
}

fn asked_for(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |value| value.parse().expect("a number"))
}
