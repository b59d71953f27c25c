//! Fifty tenants at once: how much of their time is ours, and how many calls they cost.
//!
//! `cargo test --workspace --test main -- fleet --nocapture` prints the figures. The clock is simulated: what is
//! measured is how late things are noticed and begun, not how fast this machine is.

#![expect(clippy::cast_precision_loss, reason = "counts and seconds are small")]
#![expect(clippy::print_stdout, reason = "the figures are what this is for")]

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_tenancy::operation::OperationState;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::fleet::{Fewest, Journey, PLACES, soonest};

/// How many sign up at the same moment.
const TENANTS: usize = 50;

/// CreateAccount: one each so many seconds, this many at once.
const SECONDS_EACH: f64 = 10.0;
const BURST: usize = 3;

#[tokio::test]
async fn fifty_tenants_cost_little_time_and_few_calls_beyond_what_aws_needs() {
    // Every duration is drawn from a log-normal distribution with a CV of 0.3; AWS's rates and quotas hold.
    let freehold = Freehold::with(Settings { seed: 7, ..Settings::default() }, CONFIG).await;
    let (before, throttled_before) = (freehold.world.calls().by_operation(), freehold.world.calls().throttled());
    let worker = freehold.worker("worker-1");
    let start = freehold.clock.now();
    for number in 0..TENANTS {
        freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await;
    }
    freehold.settle(&worker, TimeDelta::hours(6)).await;

    let mut environments = Vec::new();
    for tenant in freehold.tenants().await {
        let operation = freehold.operation_of(&tenant).await;
        assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
        environments.extend(tenant.environments);
    }
    let journeys = Journey::all(&freehold.world.busy(), &environments, start);
    let overheads = overheads(&journeys);
    let shares: Vec<f64> =
        overheads.iter().zip(&journeys).map(|(overhead, journey)| overhead / journey.ready).collect();
    println!(
        "overhead: mean {:.1} s ({:.1} %), most {:.1} s ({:.1} %)",
        mean(&overheads),
        100.0 * mean(&shares),
        most(&overheads),
        100.0 * most(&shares)
    );
    let last = journeys.last().expect("fifty").asked;
    let bound = soonest(&journeys).last().expect("fifty").asked;
    println!(
        "the last account was asked for after {last:.0} s; with no time lost, after {bound:.0} s: {:.2}",
        last / bound
    );

    let calls = Fewest::read().compare(&before, &freehold.world.calls().by_operation(), TENANTS, false);
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

/// Each tenant's time from signup to ready, less the time in which the simulator was working on it, less the time in
/// which the quota of CreateAccount had no room for it: fewer places or tokens than there were tenants up to and
/// including it in line. `journeys` are in the order in which the accounts were asked for.
fn overheads(journeys: &[Journey]) -> Vec<f64> {
    let tokens = tokens(journeys);
    (0..journeys.len())
        .map(|place| {
            let me = &journeys[place];
            let free_at = room(journeys, &tokens, place);
            let in_line = me.asked - free_at.min(me.asked);
            let mut worked = me.worked.clone();
            worked.sort_by(|one, other| one.0.total_cmp(&other.0));
            let (mut idle, mut seen) = (0.0, me.asked);
            for (from, until) in worked {
                idle += (from - seen).max(0.0);
                seen = until.max(seen);
            }
            in_line + idle + (me.ready - seen).max(0.0)
        })
        .collect()
}

/// When there was room for the tenant at this place, given what had really been asked for before it.
fn room(journeys: &[Journey], tokens: &[f64], place: usize) -> f64 {
    let ahead = if place == 0 { 0.0 } else { journeys[place - 1].asked };
    let mut ends: Vec<f64> = journeys[..place].iter().map(|journey| journey.created).collect();
    ends.sort_by(f64::total_cmp);
    let slot = if place < PLACES { 0.0 } else { ends[place - PLACES] };
    slot.max(tokens[place]).max(ahead)
}

/// When there was a token for each, given when those before it were taken.
fn tokens(journeys: &[Journey]) -> Vec<f64> {
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

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}
