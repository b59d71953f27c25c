//! Bad luck in many onboardings at once: every seed comes to the same end.
//!
//! `FREEHOLD_SEEDS=1000 cargo test --workspace --test main -- random_faults` tries as many seeds; `FREEHOLD_SEED=17` tries that
//! one alone, and tells what it brings.

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
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::invariants::InvariantReport;
use freehold_tests::random_faults::RandomFaults;
use freehold_worker::Worker;
use futures::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How many seeds are tried where nobody says how many.
const SEEDS: u64 = 200;

/// Customers that sign up at once.
const TENANTS: usize = 5;

/// Seeds at a time.
const AT_ONCE: usize = 4;

/// How long one seed may take in real time; mostly it is a second or two. Where several steps contend for a bucket that a
/// throttle has slowed down, it can be thousands of rounds.
const PATIENCE: Duration = Duration::from_mins(15);

/// How often a person tries again before it counts as hopeless.
const RETRIES: usize = 8;

/// Longer than any deadline that a step has.
const LONG: TimeDelta = TimeDelta::hours(30);

/// Home regions and tiers, one of which has to be opted in to.
const HOMES: [(&str, &str); 4] = [
    ("eu-central-1", "standard"),
    ("us-east-1", "enterprise"),
    ("eu-central-2", "standard"),
    ("eu-west-1", "standard"),
];

/// A worker that dies after so many polls of what it does: anywhere, amid a transaction or a call.
struct Mortal<'a, T> {
    life: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
    polls: u32,
}

impl<T> Future for Mortal<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.life.as_mut().poll(context).map(Some)
    }
}

/// A Freehold under a seed.
struct Unlucky {
    freehold: Freehold,
    tenants: Vec<Tenant>,
    dice: StdRng,
    workers: [Arc<Worker>; 2],
    /// How many more workers die.
    deaths: u32,
}

impl Unlucky {
    async fn new(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        // Now and then everything takes its time.
        let durations = if seed.is_multiple_of(10) { Durations::default() } else { Durations::instant() };
        let settings = Settings { seed, durations, ..Settings::instant() };
        let freehold = Freehold::with(settings, CONFIG).await;
        RandomFaults::of(seed).apply(&freehold.world, &freehold.wire);
        let mut tenants = Vec::new();
        for number in 0..TENANTS {
            let (region, tier) = HOMES[dice.random_range(0..HOMES.len())];
            tenants.push(freehold.sign_up(&format!("Example {number}"), region, tier).await);
        }
        let workers = [freehold.worker("worker-1"), freehold.worker("worker-2")];
        let deaths = dice.random_range(0..=3);
        Self { freehold, tenants, dice, workers, deaths }
    }

    /// Lets both workers work, die and be replaced, and time pass, until nothing is due any more or `LONG` is over.
    async fn settle(&mut self) {
        let until = self.freehold.clock.now() + LONG;
        while let Some(next) = self.round().await
            && next <= until
        {}
    }

    /// Both workers do what is due, side by side; then the clock moves to what is next.
    async fn round(&mut self) -> Option<chrono::DateTime<chrono::Utc>> {
        let [one, other] = [0, 1].map(|place| {
            let dies = self.deaths > 0 && self.dice.random_bool(0.05);
            self.deaths -= u32::from(dies);
            let worker = Arc::clone(&self.workers[place]);
            let polls = if dies { self.dice.random_range(1..60) } else { u32::MAX };
            Mortal { life: Box::pin(async move { worker.drain().await }), polls }
        });
        let (clock, wire) = (&self.freehold.clock, &self.freehold.wire);
        let mut both = Box::pin(async { tokio::join!(one, other) });
        let (one, other) = loop {
            tokio::select! {
                ended = &mut both => break ended,
                // A call that is held up holds up its worker: time has to pass meanwhile.
                () = tokio::time::sleep(Duration::from_millis(4)) => {
                    if let Some(until) = wire.next_delayed_call() {
                        clock.advance_to(until.min(clock.now() + TimeDelta::seconds(10)));
                    }
                }
            }
        };
        drop(both);
        for (place, ended) in [one, other].into_iter().enumerate() {
            match ended {
                // Who was thought dead meanwhile leaves the operation to whoever has it.
                Some(_) => {}
                None => self.workers[place] = self.freehold.worker("another"),
            }
        }
        let next = operations::next_wake(self.freehold.pool()).await.expect("an answer")?;
        clock.advance_to(next);
        Some(next)
    }

    /// The operations that are not ready yet.
    async fn unfinished(&self) -> Vec<freehold_tenancy::operation::Operation> {
        let mut unfinished = Vec::new();
        for tenant in &self.tenants {
            let operation = self.freehold.operation_of(tenant).await;
            if operation.state != OperationState::Succeeded {
                unfinished.push(operation);
            }
        }
        unfinished
    }

    async fn verdict(&self) -> InvariantReport {
        InvariantReport::of(&self.freehold.world, self.freehold.pool(), &self.freehold.config).await
    }
}

/// What goes wrong with a seed after all, if anything.
async fn ends_badly(seed: u64) -> Option<String> {
    let mut unlucky = Unlucky::new(seed).await;
    unlucky.settle().await;
    let verdict = unlucky.verdict().await;
    if !verdict.violations.is_empty() {
        let left = unlucky.unfinished().await;
        return Some(format!("amid the bad luck:\n{}\n{left:#?}", verdict.violations.join("\n")));
    }

    // The bad luck is over, and somebody looks after what needs attention.
    unlucky.freehold.world.clear_faults();
    unlucky.freehold.wire.clear();
    unlucky.freehold.world.unstick_all();
    for _ in 0..RETRIES {
        let unfinished = unlucky.unfinished().await;
        if unfinished.is_empty() {
            break;
        }
        for operation in unfinished {
            let now = unlucky.freehold.clock.now();
            let retried = lifecycle::retry(unlucky.freehold.pool(), operation.id, "support", now).await;
            assert!(!matches!(retried.expect("an answer"), RetryResult::Unknown));
        }
        unlucky.settle().await;
    }
    let (verdict, left) = (unlucky.verdict().await, unlucky.unfinished().await);
    if !verdict.violations.is_empty() {
        return Some(format!("after the bad luck:\n{}\n{left:#?}", verdict.violations.join("\n")));
    }
    let tenants = unlucky.tenants.len();
    (verdict.ready != tenants).then(|| format!("{} of {tenants} became ready: {left:#?}", verdict.ready))
}

fn said(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_every_signup_becomes_ready_in_the_end() {
    let seeds: Vec<u64> = match said("FREEHOLD_SEED") {
        Some(seed) => vec![seed],
        None => (0..said("FREEHOLD_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    // Each seed runs as a task of its own, so that one which panics is told of like any other.
    let runs = stream::iter(seeds).map(|seed| async move {
        let ended = tokio::spawn(tokio::time::timeout(PATIENCE, ends_badly(seed))).await;
        let why = match ended {
            Ok(Ok(ended)) => ended,
            Ok(Err(_)) => Some(format!("does not come to an end within {PATIENCE:?}")),
            Err(panic) => Some(panic.to_string()),
        }?;
        Some(format!(
            "seed {seed} {why}\nIt brought:\n{}Try it again:\n  FREEHOLD_SEED={seed} cargo test --workspace --test main -- random_faults",
            RandomFaults::of(seed)
        ))
    });
    let bad: Vec<String> = runs.buffer_unordered(AT_ONCE).filter_map(|ended| async { ended }).collect().await;
    assert!(bad.is_empty(), "{} seeds end badly:\n\n{}", bad.len(), bad.join("\n\n"));
}
