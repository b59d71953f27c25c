//! Crash test: an API process and several workers, with a real PostgreSQL and a simulated AWS. Faults are injected at
//! random times that depend on the seed; when all operations have finished, the invariants are checked.
//!
//! The clock runs fast, so that work that takes minutes in AWS takes seconds. Other workers can claim the operations of
//! a killed worker only after its claims have expired. Therefore a claim is valid for 5 seconds instead of the default
//! of 25.

mod api_client;
mod fault_schedule;
mod infrastructure;
mod processes;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use freehold_sandbox::Settings;
use freehold_tenancy::OperationId;
use freehold_tenancy::db::PgPool;
use uuid::Uuid;

pub use api_client::{ApiClient, ISSUER};
pub use fault_schedule::ProcessFault;
pub use infrastructure::{Infrastructure, StopMode};
pub use processes::{Process, Processes};

use crate::invariants::InvariantReport;

/// Simulated seconds per real second.
const CLOCK_SPEED: f64 = 60.0;

/// Duration of a claim in real seconds.
const LEASE_SECONDS: f64 = 5.0;

/// Maximum real time from the last fault until all operations have finished.
const IDLE_TIMEOUT: Duration = Duration::from_mins(15);

/// Maximum real time until the API is ready after a start or restart.
const READY_TIMEOUT: Duration = Duration::from_mins(1);

/// Maximum number of manual retries per operation that needs attention.
const MAX_RETRIES: usize = 6;

#[derive(Debug, Clone)]
pub struct Plan {
    /// Program under test.
    pub program: PathBuf,
    /// Seed of the fault schedule and of the simulated AWS.
    pub seed: u64,
    /// Number of times that a process is killed.
    pub kills: usize,
    pub workers: usize,
    /// Number of signups while faults are injected.
    pub signups: usize,
}

#[derive(Debug, Default)]
pub struct Report {
    /// Number of kills of the API process, and number of kills of worker processes.
    pub kills: (usize, usize),
    /// Number of times that all database connections were dropped, and total number of dropped connections.
    pub dropped_connections: (usize, u64),
    pub restarts: usize,
    /// Number of processes that exited by themselves and were restarted.
    pub unexpected_exits: usize,
    /// Number of signup requests that were repeated.
    pub retried_requests: usize,
    /// Number of operations that were retried manually.
    pub retried_operations: usize,
    /// Duration of the fault phase, and of the recovery after it.
    pub durations: (Duration, Duration),
    /// Results of the invariant checks before and after the manual retries.
    pub invariants: (InvariantReport, InvariantReport),
    /// Failed checks, described in one sentence each.
    pub violations: Vec<String>,
}

/// Runs the crash test and reports its progress to `log`.
pub async fn run(plan: &Plan, log: impl Fn(&str)) -> Report {
    let mut infrastructure =
        Infrastructure::start(Settings { seed: plan.seed, ..Settings::default() }, CLOCK_SPEED).await;
    let mut processes = Processes::new(&plan.program, &infrastructure, plan.workers, Some(LEASE_SECONDS));
    for index in 0..=plan.workers {
        processes.start(index);
    }
    let client = ApiClient::new(&processes.api_url, &infrastructure.issuer);
    wait_until_ready(&client).await;
    log("all processes are ready");

    let started = Instant::now();
    let faults = fault_schedule::schedule(plan.seed, plan.kills, plan.workers);
    let signups = tokio::spawn(run_signups(client.clone(), plan.signups, faults.iter().map(|(pause, _)| *pause).sum()));
    let mut report = Report::default();
    let mut stopped: Vec<(Instant, usize)> = Vec::new();
    for (pause, fault) in faults {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            restart_due(&mut processes, &mut stopped);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        match fault {
            ProcessFault::Kill { index, downtime } => {
                // A stopped process is started first, so that each kill hits a running process.
                processes.start(index);
                stopped.retain(|(_, other)| *other != index);
                processes.kill(index);
                stopped.push((Instant::now() + downtime, index));
                let count = if index == 0 { &mut report.kills.0 } else { &mut report.kills.1 };
                *count += 1;
                let killed = report.kills.0 + report.kills.1;
                if killed.is_multiple_of(10) {
                    let tenants = client.accepted_signups().len();
                    log(&format!("{killed} processes killed, {tenants} signups accepted"));
                }
            }
            ProcessFault::DropConnections => {
                report.dropped_connections.0 += 1;
                report.dropped_connections.1 += infrastructure.drop_connections().await;
            }
            ProcessFault::RestartDatabase(stop) => {
                report.restarts += 1;
                infrastructure.restart_database(stop).await;
            }
        }
    }
    report.durations.0 = started.elapsed();
    log("the last fault was injected; waiting until all operations have finished");

    let recovery_started = Instant::now();
    stopped.extend((0..=plan.workers).map(|index| (Instant::now(), index)));
    let recovery = async {
        signups.await.expect("the signups");
        wait_until_ready(&client).await;
        wait_until_idle(&infrastructure.pool).await;
    };
    let mut recovery = Box::pin(tokio::time::timeout(IDLE_TIMEOUT, recovery));
    let recovered = loop {
        tokio::select! {
            recovered = &mut recovery => break recovered,
            () = tokio::time::sleep(Duration::from_millis(50)) => restart_due(&mut processes, &mut stopped),
        }
    };
    drop(recovery);
    if recovered.is_err() {
        report.violations.push(format!("operations were still open after {IDLE_TIMEOUT:?}"));
    }
    report.durations.1 = recovery_started.elapsed();
    report.invariants.0 =
        InvariantReport::check(&infrastructure.world, &infrastructure.pool, &infrastructure.config).await;
    report.retried_operations = retry_operations_needing_attention(&client, &infrastructure.pool).await;
    report.invariants.1 =
        InvariantReport::check(&infrastructure.world, &infrastructure.pool, &infrastructure.config).await;

    report.retried_requests = client.retried_requests();
    report.unexpected_exits = processes.unexpected_exits;
    report.violations.extend(client.unexpected_responses());
    report.violations.extend(check_signups(&client, plan.signups, &infrastructure.pool).await);
    report.violations.append(&mut report.invariants.0.violations);
    report.violations.append(&mut report.invariants.1.violations);
    let (ready, requested) = (report.invariants.1.ready, report.invariants.1.environments);
    if ready != requested {
        report.violations.push(format!("only {ready} of {requested} environments are ready after the retries"));
    }
    if !report.violations.is_empty() {
        log(&format!("the logs are kept in {}", infrastructure.keep_files().display()));
    }
    drop(processes);
    infrastructure.stop().await;
    report
}

/// Restarts the processes whose downtime is over, and schedules a restart of the processes that exited by themselves.
fn restart_due(processes: &mut Processes, stopped: &mut Vec<(Instant, usize)>) {
    let now = Instant::now();
    stopped.extend(processes.reap_exited().into_iter().map(|index| (now + Duration::from_millis(200), index)));
    stopped.retain(|(at, index)| {
        if *at <= now {
            processes.start(*index);
        }
        *at > now
    });
}

/// Signs up tenants at equal intervals within the duration `over`. Repeats each signup until the API accepts it.
async fn run_signups(client: ApiClient, signups: usize, over: Duration) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..signups {
        let client = client.clone();
        tasks.spawn(async move { client.sign_up_until_accepted(number).await });
        tokio::time::sleep(over / u32::try_from(signups.max(1)).unwrap_or(u32::MAX)).await;
    }
    while tasks.join_next().await.is_some() {}
}

/// Waits until the API reports that it is ready.
pub async fn wait_until_ready(client: &ApiClient) {
    let ready = async {
        while !client.is_ready().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(READY_TIMEOUT, ready).await.expect("a ready API");
}

/// Waits until no operation is pending or running.
async fn wait_until_idle(pool: &PgPool) {
    let open = "select count(*) from operations where state in ('pending', 'running')";
    loop {
        let open: Result<i64, _> = sqlx::query_scalar(open).fetch_one(pool).await;
        if open.is_ok_and(|open| open == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Retries the operations that need attention, each at most [`MAX_RETRIES`] times; returns the number of retried
/// operations.
async fn retry_operations_needing_attention(client: &ApiClient, pool: &PgPool) -> usize {
    let mut retried_operations = std::collections::BTreeSet::new();
    for _ in 0..MAX_RETRIES {
        let parked = "select id from operations where state = 'needs_attention'";
        let parked: Vec<Uuid> = sqlx::query_scalar(parked).fetch_all(pool).await.expect("the operations");
        if parked.is_empty() {
            break;
        }
        for id in parked {
            client.retry(&OperationId::from(id).to_string()).await;
            retried_operations.insert(id);
        }
        _ = tokio::time::timeout(IDLE_TIMEOUT, wait_until_idle(pool)).await;
    }
    retried_operations.len()
}

/// Compares the accepted signups with the tenants in the database; returns a description of each difference.
async fn check_signups(client: &ApiClient, signups: usize, pool: &PgPool) -> Vec<String> {
    let accepted = client.accepted_signups();
    let known: Vec<(Uuid, String)> =
        sqlx::query_as("select id, external_id from tenants").fetch_all(pool).await.expect("the tenants");
    let mut problems = Vec::new();
    if accepted.len() != signups {
        problems.push(format!("{} of {signups} signups were accepted", accepted.len()));
    }
    if known.len() != accepted.len() {
        problems.push(format!("{} signups were accepted, but there are {} tenants", accepted.len(), known.len()));
    }
    for (key, id) in &accepted {
        let found = known
            .iter()
            .any(|(known, external)| external == key && freehold_tenancy::TenantId::from(*known).to_string() == *id);
        if !found {
            problems.push(format!("the signup {key} was accepted as {id} but is missing"));
        }
    }
    problems
}
