//! Test with random faults in concurrent onboardings: for every seed, all tenants become ready.
//!
//! `FREEHOLD_SEEDS=1000 cargo test --workspace --test main -- random_faults` runs 1000 seeds; `FREEHOLD_SEED=17` runs
//! one seed and prints its faults.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::TimeDelta;
use freehold_sandbox::{Durations, Settings};
use freehold_tenancy::db::lifecycle::{self, RetryResult};
use freehold_tenancy::db::operations;
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::{Freehold, config_with_edge};
use freehold_tests::invariants::InvariantReport;
use freehold_tests::random_faults::RandomFaults;
use freehold_worker::Worker;
use futures::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Default number of seeds.
const DEFAULT_SEEDS: u64 = 40;

/// Number of tenants that sign up at the same time.
const TENANTS: usize = 5;

/// Number of seeds that run concurrently.
const CONCURRENCY: usize = 4;

/// Maximum real time for one seed, which usually takes one or two seconds. Contention for a throttled token bucket can
/// cause thousands of rounds.
const TIMEOUT: Duration = Duration::from_mins(15);

/// Maximum number of manual retries per seed.
const MAX_RETRIES: usize = 8;

/// Maximum simulated time of a run; longer than the deadline of any step.
const MAX_SIMULATED_TIME: TimeDelta = TimeDelta::hours(30);

/// Home regions and tiers of the tenants. One of the regions requires an opt-in.
const HOME_REGIONS_AND_TIERS: [(&str, &str); 4] = [
    ("eu-central-1", "standard"),
    ("us-east-1", "enterprise"),
    ("eu-central-2", "standard"),
    ("eu-west-1", "standard"),
];

/// Future that polls a worker at most `polls` times and then ends. This simulates a crash of the worker at any point,
/// for example within a transaction or an AWS call.
struct CrashingWorker<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
    polls: u32,
}

impl<T> Future for CrashingWorker<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.future.as_mut().poll(context).map(Some)
    }
}

/// Installation with the random faults of a seed.
struct FaultyInstallation {
    freehold: Freehold,
    tenants: Vec<Tenant>,
    rng: StdRng,
    workers: [Arc<Worker>; 2],
    /// Number of worker crashes that are still to be injected.
    remaining_crashes: u32,
}

impl FaultyInstallation {
    async fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        // With some seeds, all work in AWS takes as long as in the real AWS.
        let durations = if seed.is_multiple_of(10) { Durations::default() } else { Durations::instant() };
        let settings = Settings { seed, durations, ..Settings::instant() };
        let freehold = Freehold::with(settings, &config_with_edge()).await;
        RandomFaults::from_seed(seed).apply(&freehold.world, &freehold.faulty_client);
        let mut tenants = Vec::new();
        for number in 0..TENANTS {
            let (region, tier) = HOME_REGIONS_AND_TIERS[rng.random_range(0..HOME_REGIONS_AND_TIERS.len())];
            let company = format!("Example {number}");
            // With some seeds, the first tenant has a replica and a front door.
            let tenant = if number == 0 && seed.is_multiple_of(4) {
                freehold.sign_up_with_front_door(&company, "eu-central-1", &["eu-west-1"]).await
            } else {
                freehold.sign_up(&company, region, tier).await
            };
            tenants.push(tenant);
        }
        let workers = [freehold.worker("worker-1"), freehold.worker("worker-2")];
        let remaining_crashes = rng.random_range(0..=3);
        Self { freehold, tenants, rng, workers, remaining_crashes }
    }

    /// Runs both workers and replaces crashed workers. Advances the clock, by at most [`MAX_SIMULATED_TIME`], until no
    /// work is scheduled.
    async fn run_until_idle(&mut self) {
        let until = self.freehold.clock.now() + MAX_SIMULATED_TIME;
        while let Some(next) = self.run_round().await
            && next <= until
        {}
    }

    /// Runs all due work with both workers, then advances the clock to the next wake-up. Returns the time of that
    /// wake-up, or `None` if no wake-up is scheduled.
    async fn run_round(&mut self) -> Option<chrono::DateTime<chrono::Utc>> {
        let [one, other] = [0, 1].map(|index| {
            let crashes = self.remaining_crashes > 0 && self.rng.random_bool(0.05);
            self.remaining_crashes -= u32::from(crashes);
            let worker = Arc::clone(&self.workers[index]);
            let polls = if crashes { self.rng.random_range(1..60) } else { u32::MAX };
            CrashingWorker { future: Box::pin(async move { worker.drain().await }), polls }
        });
        let (clock, client) = (&self.freehold.clock, &self.freehold.faulty_client);
        let mut both = Box::pin(async { tokio::join!(one, other) });
        let (one, other) = loop {
            tokio::select! {
                result = &mut both => break result,
                // A delayed call blocks its worker until the clock advances.
                () = tokio::time::sleep(Duration::from_millis(4)) => {
                    if let Some(until) = client.next_delayed_call() {
                        clock.advance_to(until.min(clock.now() + TimeDelta::seconds(10)));
                    }
                }
            }
        };
        drop(both);
        for (index, result) in [one, other].into_iter().enumerate() {
            match result {
                // If the lease of the worker has expired in the meantime, another worker continues the operation.
                Some(_) => {}
                None => self.workers[index] = self.freehold.worker("another"),
            }
        }
        let next = operations::next_wake(self.freehold.pool()).await.expect("an answer")?;
        clock.advance_to(next);
        Some(next)
    }

    /// Returns the operations that have not succeeded.
    async fn unfinished_operations(&self) -> Vec<freehold_tenancy::operation::Operation> {
        let mut unfinished = Vec::new();
        for tenant in &self.tenants {
            let operation = self.freehold.operation_of(tenant).await;
            if operation.state != OperationState::Succeeded {
                unfinished.push(operation);
            }
        }
        unfinished
    }

    async fn report(&self) -> InvariantReport {
        InvariantReport::check(&self.freehold.world, self.freehold.pool(), &self.freehold.config).await
    }
}

/// Runs the test with a seed. Returns a description of the failure, or `None` on success.
async fn run_seed(seed: u64) -> Option<String> {
    let mut installation = FaultyInstallation::new(seed).await;
    installation.run_until_idle().await;
    let report = installation.report().await;
    if !report.violations.is_empty() {
        let unfinished = installation.unfinished_operations().await;
        return Some(format!("with faults:\n{}\n{unfinished:#?}", report.violations.join("\n")));
    }

    // After the faults are removed, all operations that need attention are retried manually.
    installation.freehold.world.clear_faults();
    installation.freehold.faulty_client.clear();
    installation.freehold.world.complete_stuck_work();
    for _ in 0..MAX_RETRIES {
        let unfinished = installation.unfinished_operations().await;
        if unfinished.is_empty() {
            break;
        }
        for operation in unfinished {
            let now = installation.freehold.clock.now();
            let retried = lifecycle::retry(installation.freehold.pool(), operation.id, "support", now).await;
            assert!(!matches!(retried.expect("an answer"), RetryResult::NotFound));
        }
        installation.run_until_idle().await;
    }
    let (report, unfinished) = (installation.report().await, installation.unfinished_operations().await);
    if !report.violations.is_empty() {
        return Some(format!("after the faults:\n{}\n{unfinished:#?}", report.violations.join("\n")));
    }
    let tenants = installation.tenants.len();
    (report.ready != tenants).then(|| format!("{} of {tenants} became ready: {unfinished:#?}", report.ready))
}

fn read_variable(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_signup_becomes_ready_in_spite_of_random_faults() {
    let seeds: Vec<u64> = match read_variable("FREEHOLD_SEED") {
        Some(seed) => vec![seed],
        None => (0..read_variable("FREEHOLD_SEEDS").unwrap_or(DEFAULT_SEEDS)).collect(),
    };
    // Each seed runs in a separate task, so that a panic is reported like any other failure.
    let runs = stream::iter(seeds).map(|seed| async move {
        let result = tokio::spawn(tokio::time::timeout(TIMEOUT, run_seed(seed))).await;
        let why = match result {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Some(format!("did not finish within {TIMEOUT:?}")),
            Err(panic) => Some(panic.to_string()),
        }?;
        Some(format!(
            "seed {seed}: {why}\nFaults:\n{}Repeat with:\n  FREEHOLD_SEED={seed} cargo test --workspace --test main -- random_faults",
            RandomFaults::from_seed(seed)
        ))
    });
    let bad: Vec<String> = runs.buffer_unordered(CONCURRENCY).filter_map(|result| async { result }).collect().await;
    assert!(bad.is_empty(), "{} seeds failed:\n\n{}", bad.len(), bad.join("\n\n"));
}
