//! The feed under many writers: nothing is missed, nothing comes twice or out of order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use freehold_tenancy::{EnvironmentId, OperationId};
use freehold_tests::feed_load::{carry_on, missing_and_reordered, snapshot, tail, write};
use freehold_tests::served::{Served, signup};
use futures::future::join_all;

const WRITERS: u64 = 8;
const EVENTS: u32 = 120;
const LATE: Duration = Duration::from_millis(12);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_misses_anything_however_late_a_commit_is() {
    let api = Served::new().await;
    let pool = &api.database.pool;
    let mut operations: Vec<(EnvironmentId, OperationId)> = Vec::new();
    for _ in 0..WRITERS {
        let environment = api.signed_up(&signup()).await["environments"][0].clone();
        let id = |name: &str| environment[name].as_str().expect("an id").to_owned();
        operations.push((id("id").parse().expect("one"), id("operation_id").parse().expect("one")));
    }
    let written = AtomicBool::new(false);
    let writing = async {
        let all = operations.iter().zip(1..).map(|((env, op), seed)| write(pool, *env, *op, EVENTS, LATE, seed));
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
    let expected: BTreeMap<_, _> = operations.iter().map(|(_, operation)| (*operation, EVENTS)).collect();
    assert_eq!(missing_and_reordered(&all, &expected), (0, 0), "(missing, reordered)");
    let (_, now) = snapshot(pool).await;
    assert_eq!((&some, &others), (&now, &now), "a snapshot and what followed is not what there is");
}
