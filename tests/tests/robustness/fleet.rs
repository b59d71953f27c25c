//! Fifty tenants at once: overhead of Freehold in time, and number of AWS calls.
//!
//! `cargo test --workspace --test main -- fleet --nocapture` prints the figures. The clock is simulated: the test
//! measures
//! delays of polling and queueing, not the speed of the machine.

#![expect(clippy::cast_precision_loss, reason = "counts and seconds are small")]
#![expect(clippy::print_stdout, reason = "the figures are for manual runs")]

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_tenancy::operation::OperationState;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::fleet::{ACCOUNT_CREATION_SLOTS, MinimumCalls, TenantTimeline, ideal_timelines};

/// Tenants that sign up at the same time.
const TENANTS: usize = 50;

/// Rate limit of CreateAccount: seconds per token, and burst.
const SECONDS_EACH: f64 = 10.0;
const BURST: usize = 3;

#[tokio::test]
async fn fifty_tenants_cost_little_more_than_aws_needs() {
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
    let journeys = TenantTimeline::all(&freehold.world.busy(), &environments, start);
    let overheads = overheads(&journeys);
    let shares: Vec<f64> =
        overheads.iter().zip(&journeys).map(|(overhead, journey)| overhead / journey.ready).collect();
    println!(
        "overhead: mean {:.1} s ({:.1} %), maximum {:.1} s ({:.1} %)",
        mean(&overheads),
        100.0 * mean(&shares),
        maximum(&overheads),
        100.0 * maximum(&shares)
    );
    let last = journeys.last().expect("fifty").asked;
    let bound = ideal_timelines(&journeys).last().expect("fifty").asked;
    println!("the last account was requested after {last:.0} s; the lower bound is {bound:.0} s: {:.2}", last / bound);

    let calls = MinimumCalls::read().compare(&before, &freehold.world.calls().by_operation(), TENANTS, false);
    println!("{:<55}{:>8}{:>8}{:>7}", "calls per tenant", "made", "fewest", "ratio");
    for calls in &calls {
        println!("{:<55}{:>8.2}{:>8.2}{:>7.2}", calls.operation, calls.made, calls.fewest, calls.ratio());
    }
    let too_many: Vec<_> = calls.into_iter().filter(|calls| calls.ratio() > 2.0).collect();
    let throttled = freehold.world.calls().throttled() - throttled_before;
    println!("throttled calls: {throttled}");
    assert_eq!(throttled, 0);
    assert_eq!(too_many, [], "more than twice the fewest");
    assert!(mean(&shares) <= 0.10, "the mean overhead is {:.1} %", 100.0 * mean(&shares));
}

/// Returns the overhead of each tenant: the time from signup to ready, less the time in which the simulator worked on
/// it,
/// and less the time in which the quota of CreateAccount had fewer slots or tokens than tenants up to its queue
/// position.
/// `journeys` are in the order of the account requests.
fn overheads(journeys: &[TenantTimeline]) -> Vec<f64> {
    let tokens = tokens(journeys);
    (0..journeys.len())
        .map(|position| {
            let me = &journeys[position];
            let free_at = slot_available_at(journeys, &tokens, position);
            let queued_for = me.asked - free_at.min(me.asked);
            let mut worked = me.worked.clone();
            worked.sort_by(|one, other| one.0.total_cmp(&other.0));
            let (mut idle, mut busy_until) = (0.0, me.asked);
            for (from, until) in worked {
                idle += (from - busy_until).max(0.0);
                busy_until = until.max(busy_until);
            }
            queued_for + idle + (me.ready - busy_until).max(0.0)
        })
        .collect()
}

/// Returns the time at which the tenant at this position could have a slot, given the actual requests before it.
fn slot_available_at(journeys: &[TenantTimeline], tokens: &[f64], position: usize) -> f64 {
    let ahead = if position == 0 { 0.0 } else { journeys[position - 1].asked };
    let mut ends: Vec<f64> = journeys[..position].iter().map(|journey| journey.created).collect();
    ends.sort_by(f64::total_cmp);
    let slot = if position < ACCOUNT_CREATION_SLOTS { 0.0 } else { ends[position - ACCOUNT_CREATION_SLOTS] };
    slot.max(tokens[position]).max(ahead)
}

/// Returns the time at which each tenant had a token, given the times of the tokens before it.
fn tokens(journeys: &[TenantTimeline]) -> Vec<f64> {
    let mut full_again = 0.0_f64;
    let mut free = Vec::new();
    for journey in journeys {
        free.push((full_again - (BURST as f64 - 1.0) * SECONDS_EACH).max(0.0));
        full_again = full_again.max(journey.asked) + SECONDS_EACH;
    }
    free
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / TENANTS as f64
}

fn maximum(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}
