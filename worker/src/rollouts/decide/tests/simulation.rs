//! Runs random rollouts without a database, and checks the bounds of failures and durations.

use freehold_tenancy::rollout::{ConcurrencyMode, estimate};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const SEEDS: u64 = 300;
const UPDATE_SECONDS: u64 = 65;

/// Result of a simulated rollout.
struct SimulationResult {
    /// Numbers of failures by wave.
    failures: Vec<u32>,
    halted: bool,
    started_after_halt: u32,
    updated: usize,
    seconds: i64,
}

/// Runs a plan whose waves have `sizes` environments. `fails` returns whether the next update fails. Updates in
/// progress finish after a halt.
fn run(plan: &RolloutPlan, sizes: &[usize], mut fails: impl FnMut() -> bool) -> SimulationResult {
    let mut result = SimulationResult {
        failures: vec![0; sizes.len()],
        halted: false,
        started_after_halt: 0,
        updated: 0,
        seconds: 0,
    };
    let (mut now, mut wave, mut bake_until) = (noon(), 0, None);
    let mut waiting: Vec<u32> = sizes.iter().map(|size| u32::try_from(*size).expect("a size")).collect();
    let mut updating: Vec<(DateTime<Utc>, bool)> = Vec::new();
    loop {
        let progress = RolloutProgress {
            wave,
            has_next_wave: wave + 1 < sizes.len(),
            waiting: waiting[wave],
            startable: waiting[wave],
            updating: u32::try_from(updating.len()).expect("a number"),
            failed: result.failures[wave],
            started_at: Some(now),
            bake_until,
            ..RolloutProgress::default()
        };
        let decision = decide(plan, &progress, now);
        match decision {
            Decision::Begin { count } => {
                result.started_after_halt += if result.halted { count } else { 0 };
                assert!(count > 0 && count <= waiting[wave]);
                waiting[wave] -= count;
                let end = now + seconds(UPDATE_SECONDS);
                updating.extend((0..count).map(|_| (end, fails())));
            }
            Decision::Wait { until: None } => {}
            Decision::Halt { .. } => result.halted = true,
            Decision::Bake { until } if bake_until.is_none() => bake_until = Some(until),
            Decision::Bake { until } => now = until,
            Decision::NextWave => (wave, bake_until) = (wave + 1, None),
            Decision::Finish => break,
            other => panic!("{other:?} is not expected"),
        }
        if matches!(decision, Decision::Wait { .. } | Decision::Halt { .. }) {
            if updating.is_empty() {
                break;
            }
            // The next update ends.
            let (end, has_failed) = updating.remove(0);
            now = end;
            result.failures[wave] += u32::from(has_failed);
            result.updated += usize::from(!has_failed);
        }
    }
    result.seconds = (now - noon()).num_seconds();
    result
}

/// Returns a random plan with the sizes of its waves.
fn random_plan(random: &mut StdRng) -> (RolloutPlan, Vec<usize>) {
    let sizes: Vec<usize> = (0..random.random_range(1..5)).map(|_| random.random_range(1..200)).collect();
    let wave = |random: &mut StdRng| {
        json!({
            "max_concurrent": random.random_range(1..60),
            "max_failures": random.random_range(0..20),
            "concurrency_mode": if random.random_bool(0.5) { "strict" } else { "soft" },
            "bake_seconds": random.random_range(0..3) * 300,
        })
    };
    let waves: Vec<_> = sizes.iter().map(|_| wave(random)).collect();
    (plan(&waves), sizes)
}

#[test]
fn failures_stay_within_the_bound_and_nothing_starts_after_a_halt() {
    for seed in 0..SEEDS {
        let mut random = StdRng::seed_from_u64(seed);
        let (plan, sizes) = random_plan(&mut random);
        let share = [0.0, 0.05, 0.3, 1.0][random.random_range(0..4)];
        let result = run(&plan, &sizes, || random.random_bool(share));
        assert_eq!(result.started_after_halt, 0, "seed {seed}");
        for (wave, failures) in plan.waves.iter().zip(&result.failures) {
            let most = match wave.concurrency_mode {
                ConcurrencyMode::Strict => wave.max_failures + 1,
                ConcurrencyMode::Soft => wave.max_failures + wave.max_concurrent,
            };
            assert!(*failures <= most, "seed {seed}: {failures} failures, at most {most}");
        }
        let exceeded = plan.waves.iter().zip(&result.failures).any(|(wave, failures)| *failures > wave.max_failures);
        assert_eq!(result.halted, exceeded, "seed {seed}");
        let failed: u32 = result.failures.iter().sum();
        let ended = result.updated + usize::try_from(failed).expect("a number");
        assert!(result.halted || ended == sizes.iter().sum::<usize>(), "seed {seed}: {ended} updates");
    }
}

#[test]
fn a_rollout_without_failures_takes_as_long_as_estimated() {
    for seed in 0..SEEDS {
        let mut random = StdRng::seed_from_u64(seed);
        let (plan, sizes) = random_plan(&mut random);
        let result = run(&plan, &sizes, || false);
        let bound: u64 = estimate(&plan, &sizes, UPDATE_SECONDS).iter().map(|wave| wave.seconds).sum();
        let bound = i64::try_from(bound).expect("a duration");
        assert_eq!(result.updated, sizes.iter().sum::<usize>(), "seed {seed}");
        assert!(result.seconds * 100 <= bound * 105, "seed {seed}: {} s, bound {bound} s", result.seconds);
    }
}
