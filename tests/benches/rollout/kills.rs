//! Benchmark of crashes: worker processes are killed during a rollout, PostgreSQL is restarted, and answers of AWS are
//! lost.

mod checks;
mod resumption;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use freehold_sandbox::Settings;
use freehold_tenancy::db::lifecycle::{CreateRolloutResult, NewRollout, create_rollout};
use freehold_tenancy::db::{operations, releases, rollouts};
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::release::ReleaseSource;
use freehold_tenancy::rollout::{Rollout, RolloutPlan};
use freehold_tenancy::{ReleaseId, RolloutId};
use freehold_tests::crash::{Infrastructure, Processes, StopMode};
use freehold_tests::signup;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::task::JoinSet;

use crate::fleet::{person, release_content, update_durations};
use crate::lossy_proxy::LossyProxy;
use freehold_tests::benchmark_table::Table;

/// Simulated seconds per real second.
const CLOCK_SPEED: f64 = 10.0;

/// Number of workers.
const WORKERS: usize = 3;

/// Number of updates that run at the same time.
const MAX_CONCURRENT: usize = 20;

/// Each answer of AWS with a number that is a multiple of this number is lost.
const LOST_ANSWER_INTERVAL: u64 = 40;

/// Maximum real time from a kill until another worker has taken over, from the lease and the longest sleep of a worker.
const MAX_RESUMPTION_SECONDS: f64 = 35.0;

/// Maximum real time of each phase.
const PHASE_TIMEOUT: Duration = Duration::from_mins(20);

/// Limits of the configuration that would delay the onboarding of the fleet.
const CONFIG: &str = "requests_per_minute = 0\nsignups_per_day = 0

[quotas]
account_creations = 50
assignments = 50

[quotas.rates.\"organizations:CreateAccount\"]
per_second = 50.0
burst = 50
";

pub(crate) async fn measure(environments: usize, kills: usize, seed: u64, table: &mut Table) {
    let started = Instant::now();
    let settings = Settings { seed, durations: update_durations(), throttling: false, ..Settings::default() };
    let mut infrastructure = Infrastructure::start_with_api_config(settings, CLOCK_SPEED, CONFIG).await;
    let proxy = LossyProxy::start(&infrastructure.aws_url(), LOST_ANSWER_INTERVAL).await;
    let program = PathBuf::from(env!("CARGO_BIN_EXE_freehold-under-test"));
    let mut processes = Processes::new(&program, &infrastructure, WORKERS, None).with_aws_at(&proxy.url());
    // The process with index 0 is the API, which a rollout does not need.
    (1..=WORKERS).for_each(|index| processes.start(index));
    onboard(&infrastructure, environments).await;
    let release = create_release(&infrastructure).await;
    println!("        {environments} environments onboarded in {:.0} s", started.elapsed().as_secs_f64());

    let (start, lost_before) = (infrastructure.world.clock().now(), proxy.lost_answers());
    let id = create(&infrastructure, release).await;
    let mut resumptions = JoinSet::new();
    let faults =
        inject_faults(&mut infrastructure, &mut processes, id, environments, kills, seed, &mut resumptions).await;
    let rollout = wait_until_finished(&infrastructure, &mut processes, id).await;
    let resumptions: Vec<Duration> = resumptions.join_all().await;
    let slowest = resumptions.iter().max().copied().unwrap_or_default().as_secs_f64();
    let detail = format!(
        "{} kills, {} of them amid a claim; {} restarts of PostgreSQL, {} lost answers ({:.0} s of real time)",
        faults.kills,
        resumptions.len(),
        faults.restarts,
        proxy.lost_answers() - lost_before,
        started.elapsed().as_secs_f64()
    );
    let name = format!("kill -9 x{kills} amid a rollout to {environments}");
    table.at_most(&format!("{name}: slowest resumption"), slowest, MAX_RESUMPTION_SECONDS, "s", &detail);
    checks::check(&infrastructure, &rollout, environments, start, &name, table).await;
    drop(processes);
    infrastructure.stop().await;
}

/// Faults that were injected.
#[derive(Default)]
struct Faults {
    kills: usize,
    restarts: usize,
}

/// Kills workers in step with the progress of the rollout, so that all kills hit it.
async fn inject_faults(
    infrastructure: &mut Infrastructure,
    processes: &mut Processes,
    id: RolloutId,
    environments: usize,
    kills: usize,
    seed: u64,
    resumptions: &mut JoinSet<Duration>,
) -> Faults {
    let (mut rng, mut faults, started) = (StdRng::seed_from_u64(seed), Faults::default(), Instant::now());
    for kill in 0..kills {
        // The last kills come while the last updates run.
        let progress = i64::try_from(kill * environments / (kills + 1)).expect("few");
        while started_updates(infrastructure, id).await < progress && started.elapsed() < PHASE_TIMEOUT {
            restart(processes);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let usual = rng.random_range(1..=WORKERS);
        processes.start(usual);
        let index = resumption::kill_amid_claim(infrastructure, processes, usual, resumptions).await;
        faults.kills += 1;
        if kill % 8 == 3 {
            infrastructure.drop_connections().await;
        }
        if kill % 20 == 7 {
            let stop = if rng.random_bool(0.5) { StopMode::Fast } else { StopMode::Immediate };
            infrastructure.restart_database(stop).await;
            faults.restarts += 1;
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..=600))).await;
        processes.start(index);
    }
    faults
}

/// Starts the processes that have exited, for example because the database was down when they started.
fn restart(processes: &mut Processes) {
    processes.reap_exited();
    (1..=WORKERS).for_each(|index| processes.start(index));
}

async fn started_updates(infrastructure: &Infrastructure, id: RolloutId) -> i64 {
    let query = "select count(*) from rollout_members where rollout_id = $1 and started_at is not null";
    sqlx::query_scalar(query).bind(id.as_uuid()).fetch_one(&infrastructure.pool).await.unwrap_or(0)
}

async fn wait_until_finished(infrastructure: &Infrastructure, processes: &mut Processes, id: RolloutId) -> Rollout {
    let started = Instant::now();
    loop {
        restart(processes);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let Ok(Some(rollout)) = rollouts::find(&infrastructure.pool, id).await else { continue };
        // A halted rollout does not finish by itself.
        let is_over = rollout.finished_at.is_some() || !rollout.state.starts_updates();
        if is_over || started.elapsed() > PHASE_TIMEOUT {
            return rollout;
        }
    }
}

/// Onboards the environments with the running workers.
async fn onboard(infrastructure: &Infrastructure, environments: usize) {
    let clock = infrastructure.world.clock();
    for number in 1..=environments {
        let (id, company) = (u128::try_from(number).expect("a number"), format!("Example {number}"));
        let tenant = signup::new_tenant(&infrastructure.config, clock.now(), id, &company, "eu-central-1", "standard");
        signup::accept_signup(&infrastructure.pool, &infrastructure.config, &tenant).await;
    }
    let (started, expected) = (Instant::now(), i64::try_from(environments).expect("few"));
    loop {
        let states = operations::counts(&infrastructure.pool).await.expect("the operations");
        if states == [(OperationState::Succeeded, expected)] {
            return;
        }
        assert!(started.elapsed() < PHASE_TIMEOUT, "the onboardings have not finished: {states:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Registers a release, which the workers check, and approves it.
async fn create_release(infrastructure: &Infrastructure) -> ReleaseId {
    let (pool, clock, by) = (&infrastructure.pool, infrastructure.world.clock(), person("ann"));
    let content = release_content(1);
    let new = releases::NewRelease { source: ReleaseSource::Api, content: &content, notes: None, registered_by: &by };
    let id = releases::register(pool, &new, clock.now()).await.expect("a release");
    freehold_tenancy::db::notify::notify_now(pool).await.expect("a notification");
    let release = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let release = releases::find(pool, id).await.expect("the releases").expect("the release");
        if release.checked_at.is_some() {
            break release;
        }
    };
    let approved = releases::approve(pool, id, &release.sha256, &person("bob"), clock.now()).await;
    assert_eq!(approved.expect("an answer"), releases::ApproveResult::Approved, "{:?}", release.problems);
    id
}

/// Creates a rollout of two waves. It halts at the first failure, but runs many updates at the same time.
async fn create(infrastructure: &Infrastructure, release: ReleaseId) -> RolloutId {
    let wave = |percent: u32| {
        json!({
            "name": format!("to-{percent}"), "select": { "percent": percent }, "max_concurrent": MAX_CONCURRENT,
            "concurrency_mode": "soft", "bake_seconds": 60,
        })
    };
    let waves = [10, 100].map(wave);
    let plan: RolloutPlan = serde_json::from_value(json!({ "waves": waves })).expect("a plan");
    let by = person("ann");
    let new = NewRollout { release, plan_name: None, plan: &plan, by: &by, non_production: &[] };
    let now = infrastructure.world.clock().now();
    let id = match create_rollout(&infrastructure.pool, &new, now).await.expect("a result") {
        CreateRolloutResult::Created(id) => id,
        other => panic!("no rollout: {other:?}"),
    };
    freehold_tenancy::db::notify::notify_now(&infrastructure.pool).await.expect("a notification");
    id
}
