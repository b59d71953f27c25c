//! Benchmark of the accuracy of the estimated ready time that a signup returns.

use std::collections::HashMap;

use freehold_sandbox::settings::{DurationDistribution, Durations, Settings};
use freehold_tenancy::db::{operations, queue};
use freehold_tenancy::{OperationId, db};

use crate::results::Results;
use crate::run::Run;

/// Number of simultaneous signups.
const TENANTS: usize = 200;

/// Number of signups that finish before the measured signups, in the runs with a history of durations.
const EARLIER_SIGNUPS: usize = 5;

pub(crate) async fn measure(seed: u64, results: &mut Results) {
    let default = Durations::default();
    let slow = Durations { create_account: DurationDistribution::with_median(120.0), ..default.clone() };
    for (name, durations, earlier_signups) in [
        ("estimate, no history", default.clone(), 0),
        ("estimate, with history", default, EARLIER_SIGNUPS),
        ("estimate, slow, with history", slow, EARLIER_SIGNUPS),
    ] {
        measure_accuracy(name, durations, earlier_signups, seed, results).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
async fn measure_accuracy(
    name: &'static str,
    durations: Durations,
    earlier_signups: usize,
    seed: u64,
    results: &mut Results,
) {
    let run = Run::new(Settings { seed, durations, ..Settings::default() }, 1).await;
    for number in 0..earlier_signups {
        run.sign_up(number).await;
    }
    run.run_until_idle(|_| {}).await;

    let signed_up = run.freehold.clock.now();
    let mut estimates = HashMap::new();
    for number in 0..TENANTS {
        let (_, operation) = run.sign_up(earlier_signups + number).await;
        estimates.insert(operation, estimate(&run, operation).await);
    }
    run.run_until_idle(|_| {}).await;
    run.print_duration(name);

    let mut accurate = 0;
    let mut errors = Vec::new();
    for environment in run.expect_ready_environments(earlier_signups + TENANTS).await {
        let Some(estimate) = estimates.get(&environment.operation_id) else { continue };
        let ready = environment.ready_at.expect("a time");
        let error = (*estimate - ready).as_seconds_f64() / (ready - signed_up).as_seconds_f64();
        accurate += usize::from(error.abs() <= 0.2);
        errors.push(error);
    }
    errors.sort_by(f64::total_cmp);
    let at = |index: usize| 100.0 * errors[index];
    let (last, middle) = (errors.len() - 1, errors.len() / 2);
    let detail = format!(" (errors {:+.0} % to {:+.0} %, median {:+.1} %)", at(0), at(last), at(middle));
    let share = 100.0 * accurate as f64 / TENANTS as f64;
    results.at_least(name, "estimates within 20 % of the real time, %", share, 90.0, &detail);
}

/// Returns the estimated ready time of the operation, calculated as in the API.
async fn estimate(run: &Run, id: OperationId) -> chrono::DateTime<chrono::Utc> {
    let freehold = &run.freehold;
    let operation = operations::get(freehold.pool(), id).await.expect("a result").expect("the operation");
    let queues: db::Result<_> = queue::of(freehold.pool(), &freehold.config, &[&operation], freehold.clock.now()).await;
    queues.expect("a result")[&id].estimated_ready_at.expect("an estimate")
}
