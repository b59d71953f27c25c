//! Freehold as processes that are killed: an API and some workers beside a real PostgreSQL and a simulated AWS, blows by
//! the seed, and what must hold when all has come to rest.
//!
//! The clock runs fast so that minutes of AWS pass in seconds. A claim holds for [`LEASE`] seconds and not for the usual
//! 25: those outlast AWS's slowest calls, which a simulated AWS does not have, and every kill would cost a run as long.

mod fault_schedule;
mod infrastructure;
mod processes;
mod api_client;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use freehold_sandbox::Settings;
use freehold_tenancy::OperationId;
use freehold_tenancy::db::PgPool;
use uuid::Uuid;

pub use fault_schedule::Kill;
pub use infrastructure::{Infrastructure, Stop};
pub use processes::{Process, Processes};
pub use api_client::{ApiClient, ISSUER};

use crate::invariants::InvariantReport;

/// Simulated seconds a second.
const SPEED: f64 = 60.0;

/// How long a claim holds, in real seconds.
const LEASE: f64 = 5.0;

/// How long it may take after the last blow until nothing is under way any more, in real time.
const REST: Duration = Duration::from_mins(15);

/// How long the API may take to answer again, in real time.
const BACK: Duration = Duration::from_mins(1);

/// How often a person tries again what needs attention.
const RETRIES: usize = 6;

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program that is killed.
    pub program: PathBuf,
    /// What decides about every blow.
    pub seed: u64,
    /// How many processes are killed.
    pub kills: usize,
    /// How many workers there are.
    pub workers: usize,
    /// How many customers sign up meanwhile.
    pub signups: usize,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Kills of the API and of workers.
    pub kills: (usize, usize),
    /// Times that connections were cut, and how many those were.
    pub cuts: (usize, u64),
    /// Restarts of PostgreSQL.
    pub restarts: usize,
    /// Processes that ended by themselves and were started again.
    pub ended: usize,
    /// Requests of the signup flow that had to be repeated.
    pub repeated: usize,
    /// Operations that a person had to try again.
    pub retried: usize,
    /// How long the blows took, and how long it then took to come to rest.
    pub took: (Duration, Duration),
    /// What was found before anybody tried anything again, and in the end.
    pub verdicts: (InvariantReport, InvariantReport),
    /// What does not hold, one sentence each.
    pub violations: Vec<String>,
}

/// Carries out a run; `tell` hears how it goes.
pub async fn run(plan: &Plan, tell: impl Fn(&str)) -> Report {
    let mut stage = Infrastructure::set(Settings { seed: plan.seed, ..Settings::default() }, SPEED).await;
    let mut processes = Processes::new(&plan.program, &stage, plan.workers, Some(LEASE));
    for place in 0..=plan.workers {
        processes.start(place);
    }
    let caller = ApiClient::new(&processes.api_url, &stage.issuer);
    wait_until_ready(&caller).await;
    tell("everything runs");

    let begun = Instant::now();
    let blows = fault_schedule::schedule(plan.seed, plan.kills, plan.workers);
    let flow = tokio::spawn(flow(caller.clone(), plan.signups, blows.iter().map(|(pause, _)| *pause).sum()));
    let mut report = Report::default();
    let mut gone: Vec<(Instant, usize)> = Vec::new();
    for (pause, blow) in blows {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            revive(&mut processes, &mut gone);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        match blow {
            Kill::Kill { place, gone: duration } => {
                // Who is gone already is started first: a kill hits somebody.
                processes.start(place);
                gone.retain(|(_, other)| *other != place);
                processes.kill(place);
                gone.push((Instant::now() + duration, place));
                let count = if place == 0 { &mut report.kills.0 } else { &mut report.kills.1 };
                *count += 1;
                let killed = report.kills.0 + report.kills.1;
                if killed.is_multiple_of(10) {
                    let tenants = caller.tenants().len();
                    tell(&format!("{killed} killed, {tenants} signups accepted"));
                }
            }
            Kill::DropConnections => {
                report.cuts.0 += 1;
                report.cuts.1 += stage.cut_connections().await;
            }
            Kill::Restart(stop) => {
                report.restarts += 1;
                stage.restart_database(stop).await;
            }
        }
    }
    report.took.0 = begun.elapsed();
    tell("the last blow has fallen");

    let resting = Instant::now();
    gone.extend((0..=plan.workers).map(|place| (Instant::now(), place)));
    let rest = async {
        flow.await.expect("the signup flow");
        wait_until_ready(&caller).await;
        rests(&stage.pool).await;
    };
    let mut rest = Box::pin(tokio::time::timeout(REST, rest));
    let rested = loop {
        tokio::select! {
            rested = &mut rest => break rested,
            () = tokio::time::sleep(Duration::from_millis(50)) => revive(&mut processes, &mut gone),
        }
    };
    drop(rest);
    if rested.is_err() {
        report.violations.push(format!("it has not come to rest within {REST:?}"));
    }
    report.took.1 = resting.elapsed();
    report.verdicts.0 = InvariantReport::check(&stage.world, &stage.pool, &stage.config).await;
    report.retried = retry_all(&caller, &stage.pool).await;
    report.verdicts.1 = InvariantReport::check(&stage.world, &stage.pool, &stage.config).await;

    report.repeated = caller.repeated();
    report.ended = processes.ended;
    report.violations.extend(caller.wrong_answers());
    report.violations.extend(lost(&caller, plan.signups, &stage.pool).await);
    report.violations.append(&mut report.verdicts.0.violations);
    report.violations.append(&mut report.verdicts.1.violations);
    let (ready, asked) = (report.verdicts.1.ready, report.verdicts.1.environments);
    if ready != asked {
        report.violations.push(format!("{ready} of {asked} environments became ready in the end"));
    }
    if !report.violations.is_empty() {
        tell(&format!("the logs are in {}", stage.keep().display()));
    }
    drop(processes);
    stage.end().await;
    report
}

/// Starts what has been gone long enough, and at once what has ended by itself.
fn revive(processes: &mut Processes, gone: &mut Vec<(Instant, usize)>) {
    let now = Instant::now();
    gone.extend(processes.reap().into_iter().map(|place| (now + Duration::from_millis(200), place)));
    gone.retain(|(at, place)| {
        if *at <= now {
            processes.start(*place);
        }
        *at > now
    });
}

/// Signs up so many customers, spread over so much time, each of whom insists.
async fn flow(caller: ApiClient, signups: usize, over: Duration) {
    let mut insisting = tokio::task::JoinSet::new();
    for number in 0..signups {
        let caller = caller.clone();
        insisting.spawn(async move { caller.sign_up(number).await });
        tokio::time::sleep(over / u32::try_from(signups.max(1)).unwrap_or(u32::MAX)).await;
    }
    while insisting.join_next().await.is_some() {}
}

/// Returns when the API says that it can serve requests.
pub async fn wait_until_ready(caller: &ApiClient) {
    let ready = async {
        while !caller.is_ready().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(BACK, ready).await.expect("an API that is ready");
}

/// Returns when no operation is under way.
async fn rests(pool: &PgPool) {
    let open = "select count(*) from operations where state in ('pending', 'running')";
    loop {
        let open: Result<i64, _> = sqlx::query_scalar(open).fetch_one(pool).await;
        if open.is_ok_and(|open| open == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Has everything tried again that needs a person, until nothing does; answers how many operations that were.
async fn retry_all(caller: &ApiClient, pool: &PgPool) -> usize {
    let mut retried = std::collections::BTreeSet::new();
    for _ in 0..RETRIES {
        let parked = "select id from operations where state = 'needs_attention'";
        let parked: Vec<Uuid> = sqlx::query_scalar(parked).fetch_all(pool).await.expect("the operations");
        if parked.is_empty() {
            break;
        }
        for id in parked {
            caller.retry(&OperationId::from(id).to_string()).await;
            retried.insert(id);
        }
        _ = tokio::time::timeout(REST, rests(pool)).await;
    }
    retried.len()
}

/// Signups that were accepted and are not there, and tenants that nobody signed up.
async fn lost(caller: &ApiClient, signups: usize, pool: &PgPool) -> Vec<String> {
    let accepted = caller.tenants();
    let known: Vec<(Uuid, String)> =
        sqlx::query_as("select id, external_id from tenants").fetch_all(pool).await.expect("the tenants");
    let mut lost = Vec::new();
    if accepted.len() != signups {
        lost.push(format!("{} of {signups} signups were accepted", accepted.len()));
    }
    if known.len() != accepted.len() {
        lost.push(format!("{} signups were accepted, and there are {} tenants", accepted.len(), known.len()));
    }
    for (key, id) in &accepted {
        let there = known
            .iter()
            .any(|(known, external)| external == key && freehold_tenancy::TenantId::from(*known).to_string() == *id);
        if !there {
            lost.push(format!("the signup {key} was accepted as {id} and is lost"));
        }
    }
    lost
}
