//! Test with fifty simultaneous signups: duration of the onboardings compared with the ideal duration, and number of
//! AWS calls.
//!
//! `cargo test --workspace --test main -- fleet --nocapture` prints the figures. The clock is simulated: the test
//! measures delays of polling and queueing, not the speed of the machine.

#![expect(clippy::cast_precision_loss, reason = "counts and seconds are small")]
#![expect(clippy::print_stdout, reason = "the figures are for manual runs")]

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_tenancy::operation::OperationState;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::fleet::{ACCOUNT_CREATION_SLOTS, MinimumCalls, TenantTimeline, ideal_timelines};

/// Number of tenants that sign up at the same time.
const TENANTS: usize = 50;

/// Seconds after which the token bucket of CreateAccount gets another token.
const SECONDS_PER_TOKEN: f64 = 10.0;
const BURST: usize = 3;

#[tokio::test]
async fn fifty_tenants_are_onboarded_with_little_overhead() {
    // Every duration is drawn from a log-normal distribution with a CV of 0.3; AWS's rate limits and quotas apply.
    let freehold = Freehold::with(Settings { seed: 7, ..Settings::default() }, CONFIG).await;
    let (before, throttled_before) = (freehold.world.calls().by_operation(), freehold.world.calls().throttled());
    let worker = freehold.worker("worker-1");
    let start = freehold.clock.now();
    for number in 0..TENANTS {
        freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await;
    }
    freehold.run_until_idle(&worker, TimeDelta::hours(6)).await;

    let mut environments = Vec::new();
    for tenant in freehold.tenants().await {
        let operation = freehold.operation_of(&tenant).await;
        assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
        environments.extend(tenant.environments);
    }
    let timelines = TenantTimeline::all(&freehold.world.busy(), &environments, start);
    let overheads = overheads(&timelines);
    let shares: Vec<f64> =
        overheads.iter().zip(&timelines).map(|(overhead, timeline)| overhead / timeline.ready).collect();
    println!(
        "overhead: mean {:.1} s ({:.1} %), maximum {:.1} s ({:.1} %)",
        mean(&overheads),
        100.0 * mean(&shares),
        maximum(&overheads),
        100.0 * maximum(&shares)
    );
    let last = timelines.last().expect("fifty").requested;
    let bound = ideal_timelines(&timelines).last().expect("fifty").requested;
    println!("the last account was requested after {last:.0} s; the lower bound is {bound:.0} s: {:.2}", last / bound);

    let calls = MinimumCalls::load().compare(&before, &freehold.world.calls().by_operation(), TENANTS, false);
    println!("{:<55}{:>8}{:>8}{:>7}", "calls per tenant", "actual", "minimum", "ratio");
    for calls in &calls {
        println!("{:<55}{:>8.2}{:>8.2}{:>7.2}", calls.operation, calls.actual, calls.minimum, calls.ratio());
    }
    let too_many: Vec<_> = calls.into_iter().filter(|calls| calls.ratio() > 2.0).collect();
    let throttled = freehold.world.calls().throttled() - throttled_before;
    println!("throttled calls: {throttled}");
    assert_eq!(throttled, 0);
    assert_eq!(too_many, [], "more than twice the minimum");
    assert!(mean(&shares) <= 0.10, "the mean overhead is {:.1} %", 100.0 * mean(&shares));
}

/// Returns the overhead of each tenant: the time from signup to ready, minus the time in which the simulator worked for
/// the tenant, and minus the time in which no slot or token of CreateAccount was available for the tenant. `timelines`
/// must be in the order of the account requests.
fn overheads(timelines: &[TenantTimeline]) -> Vec<f64> {
    let tokens = token_times(timelines);
    (0..timelines.len())
        .map(|position| {
            let tenant = &timelines[position];
            let free_at = slot_available_at(timelines, &tokens, position);
            let queued_for = tenant.requested - free_at.min(tenant.requested);
            let mut worked = tenant.busy_periods.clone();
            worked.sort_by(|one, other| one.0.total_cmp(&other.0));
            let (mut idle, mut busy_until) = (0.0, tenant.requested);
            for (from, until) in worked {
                idle += (from - busy_until).max(0.0);
                busy_until = until.max(busy_until);
            }
            queued_for + idle + (tenant.ready - busy_until).max(0.0)
        })
        .collect()
}

/// Returns the earliest time at which the tenant at this queue position could get a slot, given the actual requests of
/// the tenants before it.
fn slot_available_at(timelines: &[TenantTimeline], tokens: &[f64], position: usize) -> f64 {
    let ahead = if position == 0 { 0.0 } else { timelines[position - 1].requested };
    let mut ends: Vec<f64> = timelines[..position].iter().map(|timeline| timeline.created).collect();
    ends.sort_by(f64::total_cmp);
    let slot = if position < ACCOUNT_CREATION_SLOTS { 0.0 } else { ends[position - ACCOUNT_CREATION_SLOTS] };
    slot.max(tokens[position]).max(ahead)
}

/// Returns, for each tenant, the earliest time at which a token of CreateAccount was available.
fn token_times(timelines: &[TenantTimeline]) -> Vec<f64> {
    let mut full_again = 0.0_f64;
    let mut token_times = Vec::new();
    for timeline in timelines {
        token_times.push((full_again - (BURST as f64 - 1.0) * SECONDS_PER_TOKEN).max(0.0));
        full_again = full_again.max(timeline.requested) + SECONDS_PER_TOKEN;
    }
    token_times
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / TENANTS as f64
}

fn maximum(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}
