//! Whether a signup is told the truth about when it will be ready.

use std::collections::HashMap;

use freehold_sandbox::settings::{Durations, Settings, Spread};
use freehold_tenancy::db::{operations, queue};
use freehold_tenancy::{OperationId, db};

use crate::results::Results;
use crate::run::Run;

/// How many sign up at the same moment.
const TENANTS: usize = 200;

/// How many were signed up before, where there is a history.
const BEFORE: usize = 5;

pub(crate) async fn measure(seed: u64, results: &mut Results) {
    let usual = Durations::default();
    let slow = Durations { create_account: Spread::around(120.0), ..usual.clone() };
    for (name, durations, before) in [
        ("estimate, first ever", usual.clone(), 0),
        ("estimate, with history", usual, BEFORE),
        ("estimate, slow, with history", slow, BEFORE),
    ] {
        foretell(name, durations, before, seed, results).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
async fn foretell(name: &'static str, durations: Durations, before: usize, seed: u64, results: &mut Results) {
    let run = Run::new(Settings { seed, durations, ..Settings::default() }, 1).await;
    for number in 0..before {
        run.sign_up(number).await;
    }
    run.run_until_idle(|_| {}).await;

    let signed_up = run.freehold.clock.now();
    let mut foretold = HashMap::new();
    for number in 0..TENANTS {
        let (_, operation) = run.sign_up(before + number).await;
        foretold.insert(operation, estimate(&run, operation).await);
    }
    run.run_until_idle(|_| {}).await;
    run.took(name);

    let mut right = 0;
    let mut errors = Vec::new();
    for environment in run.ready(before + TENANTS).await {
        let Some(foretold) = foretold.get(&environment.operation_id) else { continue };
        let ready = environment.ready_at.expect("a time");
        let error = (*foretold - ready).as_seconds_f64() / (ready - signed_up).as_seconds_f64();
        right += usize::from(error.abs() <= 0.2);
        errors.push(error);
    }
    errors.sort_by(f64::total_cmp);
    let at = |place: usize| 100.0 * errors[place];
    let (most, middle) = (errors.len() - 1, errors.len() / 2);
    let detail = format!(" (off by {:+.0} % … {:+.0} %, median {:+.1} %)", at(0), at(most), at(middle));
    let share = 100.0 * right as f64 / TENANTS as f64;
    results.at_least(name, "estimates at signup within 20 %, %", share, 90.0, &detail);
}

/// What the API says at this moment.
async fn estimate(run: &Run, id: OperationId) -> chrono::DateTime<chrono::Utc> {
    let freehold = &run.freehold;
    let operation = operations::get(freehold.pool(), id).await.expect("an answer").expect("the operation");
    let queues: db::Result<_> = queue::of(freehold.pool(), &freehold.config, &[&operation], freehold.clock.now()).await;
    queues.expect("an answer")[&id].estimated_ready_at
}
