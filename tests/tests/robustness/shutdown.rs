//! Tests of graceful shutdown: accepted requests are completed, and a stopped worker releases its leases immediately.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::path::Path;
use std::time::{Duration, Instant};

use freehold_sandbox::Settings;
use freehold_tests::crash::{ApiClient, Infrastructure, Processes};
use nix::sys::signal::Signal;
use sqlx::{PgPool, Postgres, Transaction};

/// Maximum time that a test waits for a condition. It is shorter than a lease.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Starts the database and the simulated AWS, and prepares an API process and worker processes without starting them.
async fn infrastructure(workers: usize) -> (Infrastructure, Processes) {
    let infrastructure = Infrastructure::start(Settings::instant(), 20.0).await;
    let program = Path::new(env!("CARGO_BIN_EXE_freehold-under-test"));
    let processes = Processes::new(program, &infrastructure, workers, None);
    (infrastructure, processes)
}

async fn wait_until_api_ready(client: &ApiClient) {
    wait_until("the API is ready", async || client.is_ready().await).await;
}

async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < TIMEOUT, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Locks a table against writes until the transaction is dropped.
async fn lock_table(pool: &PgPool, table: &'static str) -> Transaction<'static, Postgres> {
    let mut lock = pool.begin().await.unwrap();
    let statement = match table {
        "tenants" => "lock table tenants in exclusive mode",
        _ => "lock table operation_steps in exclusive mode",
    };
    sqlx::query(statement).execute(&mut *lock).await.unwrap();
    lock
}

/// Returns the number of connections that wait for a lock.
async fn count_lock_waiters(pool: &PgPool) -> i64 {
    let count = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    sqlx::query_scalar(count).fetch_one(pool).await.unwrap()
}

async fn count(pool: &PgPool, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(pool).await.unwrap()
}

/// Waits at most `timeout` until a process exits, and returns its exit code.
async fn exit_code(processes: &mut Processes, index: usize, timeout: Duration) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = processes.take_exit_status(index) {
            return status.code();
        }
        assert!(start.elapsed() < timeout, "{} did not stop in time", processes.all[index].name());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Signs up a tenant, and sends SIGTERM to the worker while the worker's write to the journal waits for a lock. Returns
/// the lock.
async fn stop_during_write(
    infrastructure: &Infrastructure,
    processes: &mut Processes,
) -> Transaction<'static, Postgres> {
    processes.start(0);
    let client = ApiClient::new(&processes.api_url, &infrastructure.issuer);
    wait_until_api_ready(&client).await;
    client.sign_up_until_accepted(1).await;

    let lock = lock_table(&infrastructure.pool, "operation_steps").await;
    processes.start(1);
    wait_until("the worker is writing its journal", async || count_lock_waiters(&infrastructure.pool).await > 0).await;
    processes.signal(1, Signal::SIGTERM);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(processes.take_exit_status(1).is_none(), "the worker stopped before its write");
    lock
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signup_in_progress_gets_a_response_before_the_api_stops() {
    let (infrastructure, mut processes) = infrastructure(0).await;
    processes.start(0);
    let client = ApiClient::new(&processes.api_url, &infrastructure.issuer);
    wait_until_api_ready(&client).await;

    let lock = lock_table(&infrastructure.pool, "tenants").await;
    let signup = tokio::spawn({
        let client = client.clone();
        async move { client.sign_up_once(1).await }
    });
    wait_until("the signup is being written", async || count_lock_waiters(&infrastructure.pool).await > 0).await;
    processes.signal(0, Signal::SIGTERM);
    wait_until("the API accepts no more requests", async || !client.is_ready().await).await;
    assert!(client.sign_up_once(2).await.is_err(), "a request after the signal was not rejected");
    lock.rollback().await.unwrap();

    assert_eq!(signup.await.unwrap().unwrap(), 202);
    assert_eq!(exit_code(&mut processes, 0, TIMEOUT).await, Some(0));
    let complete = "select count(*) from tenants join environments on tenant_id = tenants.id
        join operations on environment_id = environments.id join events on operation_id = operations.id";
    assert_eq!(count(&infrastructure.pool, complete).await, 1);
    assert_eq!(count(&infrastructure.pool, "select count(*) from tenants").await, 1);

    // A caller without a response repeats its request; the repeated request has no second effect.
    processes.start(0);
    for number in [1, 2] {
        client.sign_up_until_accepted(number).await;
    }
    assert_eq!(count(&infrastructure.pool, "select count(*) from tenants").await, 2);
    drop(processes);
    infrastructure.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_worker_releases_its_operations() {
    let (infrastructure, mut processes) = infrastructure(2).await;
    let lock = stop_during_write(&infrastructure, &mut processes).await;
    lock.rollback().await.unwrap();
    assert_eq!(exit_code(&mut processes, 1, TIMEOUT).await, Some(0));

    let free = "select count(*) from operations where lease_until is null and state in ('pending', 'running')";
    assert_eq!(count(&infrastructure.pool, free).await, 1, "the operation was not released");
    let start = Instant::now();
    processes.start(2);
    let done = "select count(*) from operations where state = 'succeeded'";
    wait_until("another worker finishes the operation", async || count(&infrastructure.pool, done).await == 1).await;
    assert!(start.elapsed() < TIMEOUT, "it took {:?}", start.elapsed());
    let ours =
        infrastructure.world.accounts().into_iter().filter(|account| account.email.starts_with("aws+env_")).count();
    assert_eq!(ours, 1, "a second account was created");
    drop(processes);
    infrastructure.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_stops_a_process_immediately() {
    let (infrastructure, mut processes) = infrastructure(1).await;
    let lock = stop_during_write(&infrastructure, &mut processes).await;
    processes.signal(1, Signal::SIGINT);
    assert_eq!(exit_code(&mut processes, 1, Duration::from_secs(2)).await, Some(130));
    lock.rollback().await.unwrap();
    drop(processes);
    infrastructure.stop().await;
}
