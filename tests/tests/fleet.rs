//! Fifty tenants at once: how much of their time is ours, and how many calls they cost.
//!
//! `cargo test -p freehold-tests --test main fleet -- --nocapture` prints the figures. The clock is simulated: what is
//! measured is how late things are noticed and begun, not how fast this machine is.

#![expect(clippy::cast_precision_loss, reason = "counts and seconds are small")]
#![expect(clippy::print_stdout, reason = "the figures are what this is for")]

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_sandbox::Settings;
use freehold_sandbox::world::Busy;
use freehold_tenancy::AwsAccountId;
use freehold_tenancy::environment::Environment;
use freehold_tenancy::operation::OperationState;
use freehold_tests::fixture::{CONFIG, Freehold};

/// How many sign up at the same moment.
const TENANTS: usize = 50;

/// CreateAccount: this many in progress at one time, one each so many seconds, this many at once.
const PLACES: usize = 5;
const SECONDS_EACH: f64 = 10.0;
const BURST: usize = 3;

/// The fewest calls that could onboard one tenant, by operation; what is not in it should not be called at all.
const FEWEST: &str = include_str!("../fewest_calls.toml");

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

    let busy = freehold.world.busy();
    let mut journeys = Vec::new();
    for tenant in freehold.tenants().await {
        let operation = freehold.operation_of(&tenant).await;
        assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
        journeys.push(Journey::new(&busy, &tenant.environments[0], start));
    }
    journeys.sort_by(|one, other| one.asked.total_cmp(&other.asked));
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
    let bound = bound(&journeys);
    println!(
        "the last account was asked for after {last:.0} s; with no time lost, after {bound:.0} s: {:.2}",
        last / bound
    );

    let fewest: BTreeMap<String, f64> = toml::from_str(FEWEST).expect("the table");
    let mut too_many = Vec::new();
    println!("{:<55}{:>8}{:>8}{:>7}", "calls per tenant", "made", "fewest", "ratio");
    for (operation, count) in freehold.world.calls().by_operation() {
        let made = per_tenant(count.calls - before.get(&operation).map_or(0, |count| count.calls));
        if made == 0.0 {
            continue;
        }
        let least = fewest.get(&operation).copied().unwrap_or(0.0);
        println!("{operation:<55}{made:>8.2}{least:>8.2}{:>7.2}", made / least);
        if made > 2.5 * least {
            too_many.push(operation);
        }
    }
    let throttled = freehold.world.calls().throttled() - throttled_before;
    println!("throttled calls: {throttled}");
    assert_eq!(throttled, 0);
    assert_eq!(too_many, [""; 0], "more than 2.5 times the fewest");
    assert!(mean(&shares) <= 0.10, "the mean overhead is {:.1} %", 100.0 * mean(&shares));
}

/// What the simulator did for one tenant, in seconds after the signup.
struct Journey {
    /// When its account was asked for, and when it existed.
    asked: f64,
    created: f64,
    /// When the tenant was ready.
    ready: f64,
    /// When the simulator was working on it.
    worked: Vec<(f64, f64)>,
}

impl Journey {
    fn new(busy: &[Busy], environment: &Environment, start: DateTime<Utc>) -> Self {
        let account = environment.aws_account_id.as_ref().map(AwsAccountId::as_str);
        let ready = environment.ready_at.expect("a time");
        let seconds = |at: DateTime<Utc>| (at.min(ready) - start).as_seconds_f64();
        let mine: Vec<_> = busy.iter().filter(|busy| busy.account_id.as_deref() == account).collect();
        let creation = mine.iter().find(|busy| busy.what == "create-account").expect("its creation");
        Self {
            asked: seconds(creation.from),
            created: seconds(creation.until),
            ready: seconds(ready),
            worked: mine.iter().map(|busy| (seconds(busy.from), seconds(busy.until))).collect(),
        }
    }
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

/// When the last account could have been asked for, had each been asked for the moment that the quota allowed it: the
/// same creations, replayed without losing time.
fn bound(journeys: &[Journey]) -> f64 {
    let mut ends: Vec<f64> = Vec::new();
    let (mut full_again, mut last) = (0.0_f64, 0.0_f64);
    for (place, journey) in journeys.iter().enumerate() {
        ends.sort_by(f64::total_cmp);
        let slot = if place < PLACES { 0.0 } else { ends[place - PLACES] };
        let token = full_again - (BURST as f64 - 1.0) * SECONDS_EACH;
        last = slot.max(token).max(last);
        full_again = full_again.max(last) + SECONDS_EACH;
        ends.push(last + journey.created - journey.asked);
    }
    last
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / TENANTS as f64
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn per_tenant(calls: u64) -> f64 {
    calls as f64 / TENANTS as f64
}
