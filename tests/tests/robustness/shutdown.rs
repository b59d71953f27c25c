//! Processes that are asked to end: nothing that was accepted is lost, nothing is half done, nobody waits for a lease.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::{Duration, Instant};

use freehold_sandbox::Settings;
use freehold_tests::crash::{Caller, Processes, Stage};
use nix::sys::signal::Signal;
use sqlx::{PgPool, Postgres, Transaction};

/// Long enough for what takes a moment, and shorter than a lease.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Freehold of processes, one API and some workers, none of which runs yet.
async fn stage(workers: usize) -> (Stage, Processes) {
    let stage = Stage::set(Settings::instant(), 20.0).await;
    let program = Path::new(env!("CARGO_BIN_EXE_freehold-under-test"));
    let processes = Processes::new(program, &stage, workers, None);
    (stage, processes)
}

async fn ready(caller: &Caller) {
    eventually("the API is ready", async || caller.is_ready().await).await;
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "it does not come about that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Lets nobody write to a table until this is dropped.
async fn locked(pool: &PgPool, table: &'static str) -> Transaction<'static, Postgres> {
    let mut lock = pool.begin().await.unwrap();
    let statement = match table {
        "tenants" => "lock table tenants in exclusive mode",
        _ => "lock table operation_steps in exclusive mode",
    };
    sqlx::query(statement).execute(&mut *lock).await.unwrap();
    lock
}

/// How many connections wait for a lock.
async fn waiting(pool: &PgPool) -> i64 {
    let count = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    sqlx::query_scalar(count).fetch_one(pool).await.unwrap()
}

async fn count(pool: &PgPool, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(pool).await.unwrap()
}

/// How the process at `place` ended, within `patience`.
async fn end_of(processes: &mut Processes, place: usize, patience: Duration) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = processes.ended(place) {
            return status.code();
        }
        assert!(begun.elapsed() < patience, "{} does not end", processes.all[place].name());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Signs up, and tells the worker to end while it writes its journal, which it cannot until the lock is given back.
async fn asked_to_end_while_writing(stage: &Stage, processes: &mut Processes) -> Transaction<'static, Postgres> {
    processes.start(0);
    let caller = Caller::new(&processes.api_url, &stage.issuer);
    ready(&caller).await;
    caller.sign_up(1).await;

    let lock = locked(&stage.pool, "operation_steps").await;
    processes.start(1);
    eventually("the worker is writing its journal", async || waiting(&stage.pool).await > 0).await;
    processes.signal(1, Signal::SIGTERM);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(processes.ended(1).is_none(), "it has left what it was doing");
    lock
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signup_in_flight_is_answered_before_the_api_ends() {
    let (stage, mut processes) = stage(0).await;
    processes.start(0);
    let caller = Caller::new(&processes.api_url, &stage.issuer);
    ready(&caller).await;

    let lock = locked(&stage.pool, "tenants").await;
    let signup = tokio::spawn({
        let caller = caller.clone();
        async move { caller.try_sign_up(1).await }
    });
    eventually("the signup is being written", async || waiting(&stage.pool).await > 0).await;
    processes.signal(0, Signal::SIGTERM);
    eventually("no more requests are taken", async || !caller.is_ready().await).await;
    assert!(caller.try_sign_up(2).await.is_err(), "a request after the signal was not refused");
    lock.rollback().await.unwrap();

    assert_eq!(signup.await.unwrap().unwrap(), 202);
    assert_eq!(end_of(&mut processes, 0, PATIENCE).await, Some(0));
    let whole = "select count(*) from tenants join environments on tenant_id = tenants.id
        join operations on environment_id = environments.id join events on operation_id = operations.id";
    assert_eq!(count(&stage.pool, whole).await, 1);
    assert_eq!(count(&stage.pool, "select count(*) from tenants").await, 1);

    // Whoever had no answer asks again, and nothing comes twice.
    processes.start(0);
    for number in [1, 2] {
        caller.sign_up(number).await;
    }
    assert_eq!(count(&stage.pool, "select count(*) from tenants").await, 2);
    drop(processes);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_asked_to_end_hands_over_at_once() {
    let (stage, mut processes) = stage(2).await;
    let lock = asked_to_end_while_writing(&stage, &mut processes).await;
    lock.rollback().await.unwrap();
    assert_eq!(end_of(&mut processes, 1, PATIENCE).await, Some(0));

    let free = "select count(*) from operations where lease_until is null and state in ('pending', 'running')";
    assert_eq!(count(&stage.pool, free).await, 1, "the operation was not handed back");
    let begun = Instant::now();
    processes.start(2);
    let done = "select count(*) from operations where state = 'succeeded'";
    eventually("another worker ends it", async || count(&stage.pool, done).await == 1).await;
    assert!(begun.elapsed() < PATIENCE, "it took {:?}", begun.elapsed());
    let ours = stage.world.accounts().into_iter().filter(|account| account.email.starts_with("aws+env_")).count();
    assert_eq!(ours, 1, "an account too many");
    drop(processes);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_insists_ends_a_process_at_once() {
    let (stage, mut processes) = stage(1).await;
    let lock = asked_to_end_while_writing(&stage, &mut processes).await;
    processes.signal(1, Signal::SIGINT);
    assert_eq!(end_of(&mut processes, 1, Duration::from_secs(2)).await, Some(130));
    lock.rollback().await.unwrap();
    drop(processes);
    stage.end().await;
}
