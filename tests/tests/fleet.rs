//! Fifty tenants at once: how much of their time is ours, and how many calls they cost.
//!
//! `cargo test -p freehold-tests --test main fleet -- --nocapture` prints the figures.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_sandbox::Settings;
use freehold_sandbox::world::{Busy, CallRecord};
use freehold_tenancy::operation::OperationState;
use freehold_tests::fixture::{CONFIG, Freehold};

/// How many sign up at the same moment.
const TENANTS: usize = 50;

/// The fewest calls that could onboard one tenant, by operation; what is not in it should not be called at all.
const FEWEST: &str = include_str!("../fewest_calls.toml");

/// A span of time.
type Span = (DateTime<Utc>, DateTime<Utc>);

#[tokio::test]
async fn fifty_tenants_cost_little_time_and_few_calls_beyond_what_aws_needs() {
    // Every duration is drawn from a log-normal distribution with a CV of 0.3; AWS's rates and quotas hold.
    let freehold = Freehold::with(Settings { seed: 7, ..Settings::default() }, CONFIG).await;
    let before = freehold.world.calls().by_operation();
    let worker = freehold.worker("worker-1");
    let mut tenants = Vec::new();
    for number in 0..TENANTS {
        tenants.push(freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await);
    }
    freehold.settle(&worker, TimeDelta::hours(6)).await;

    if let Ok(number) = std::env::var("SHOW") {
        let tenant = &tenants[number.parse::<usize>().unwrap()];
        let id = tenant.environments[0].operation_id;
        for e in freehold_tenancy::db::events::after(freehold.pool(), id, 0, 1000).await.unwrap() {
            println!("{} {} {}", (e.occurred_at - tenant.created_at).as_seconds_f64(), e.event_type, e.data);
        }
        let now = freehold.tenant_now(tenant).await;
        let account = now.environments[0].aws_account_id.clone().unwrap();
        for b in freehold.world.busy().iter().filter(|b| b.account_id.as_deref() == Some(account.as_str())) {
            println!("{} {:.1} {:.1}", b.what, (b.from - tenant.created_at).as_seconds_f64(), (b.until - tenant.created_at).as_seconds_f64());
        }
        for c in freehold.world.calls().recent().filter(|c| c.operation.contains("CreateAccount") && !c.operation.contains("Status") && !c.operation.contains("Assign")) { println!("create at {:.1}", (c.at - tenant.created_at).as_seconds_f64()); }
        for b in freehold.world.busy().iter().filter(|b| b.what == "create-account") { println!("creation {:.1}..{:.1}", (b.from - tenant.created_at).as_seconds_f64(), (b.until - tenant.created_at).as_seconds_f64()); }
        for c in freehold.world.calls().recent().filter(|c| c.throttled()) { println!("{c:?}"); }
    }
    let busy = freehold.world.busy();
    let calls: Vec<CallRecord> = freehold.world.calls().recent().cloned().collect();
    let full = quota_full(&busy, &calls);
    let mut shares = Vec::new();
    let mut seconds = Vec::new();
    let mut last = freehold.clock.now();
    for tenant in &tenants {
        let operation = freehold.operation_of(tenant).await;
        assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
        let now = freehold.tenant_now(tenant).await;
        let environment = &now.environments[0];
        let account = environment.aws_account_id.as_ref().expect("an account").as_str();
        let email = freehold.config.organization.account_email.address(environment.id);
        let ready = environment.ready_at.expect("a time");
        last = ready;
        let mine = busy.iter().filter(|busy| {
            busy.account_id.as_deref() == Some(account) || busy.email.as_deref() == Some(email.as_str())
        });
        let mine: Vec<Span> = mine.map(|busy| (busy.from, busy.until)).collect();
        // While the quota was full, before its own creation began, nobody could have done anything for it.
        let begun = mine.iter().map(|span| span.0).min().unwrap_or(ready);
        let waited = full.iter().map(|span| (span.0, span.1.min(begun)));
        let aws = covered(mine.iter().copied().chain(waited), (now.created_at, ready));
        let whole = ready - now.created_at;
        if std::env::var("SHOW").is_ok() {
            let line = covered(full.iter().copied(), (now.created_at, begun));
            println!("line {:.1} of {:.1}, own {:.1}", (begun - now.created_at - line).as_seconds_f64(), (begun - now.created_at).as_seconds_f64(),
                (ready - begun - covered(busy.iter().filter(|b| b.account_id.as_deref() == Some(account) || b.email.as_deref() == Some(email.as_str())).map(|b| (b.from, b.until)), (begun, ready))).as_seconds_f64());
        }
        seconds.push((whole - aws).as_seconds_f64());
        shares.push((whole - aws).as_seconds_f64() / whole.as_seconds_f64());
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / TENANTS as f64;
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    println!(
        "overhead: mean {:.1} % ({:.1} s), most {:.1} % ({:.1} s); the last was ready after {} s",
        100.0 * mean(&shares),
        mean(&seconds),
        100.0 * most(&shares),
        most(&seconds),
        (last - tenants[0].created_at).num_seconds()
    );

    let fewest: BTreeMap<String, f64> = toml::from_str(FEWEST).expect("the table");
    let mut too_many = Vec::new();
    println!("{:<55}{:>8}{:>8}{:>7}", "calls per tenant", "made", "fewest", "ratio");
    for (operation, count) in freehold.world.calls().by_operation() {
        let made = (count.calls - before.get(&operation).map_or(0, |count| count.calls)) as f64 / TENANTS as f64;
        if made == 0.0 {
            continue;
        }
        let least = fewest.get(&operation).copied().unwrap_or(0.0);
        println!("{operation:<55}{made:>8.2}{least:>8.2}{:>7.2}", made / least);
        if made > 2.5 * least {
            too_many.push(operation);
        }
    }
    let throttled = freehold.world.calls().throttled();
    println!("throttled calls: {throttled}");
    assert_eq!(throttled, 0);
    assert_eq!(too_many, [""; 0], "more than 2.5 times the fewest");
    assert!(mean(&shares) <= 0.10, "the mean overhead is {:.1} %", 100.0 * mean(&shares));
}

/// When no creation could have been begun: five were in progress, or the bucket of CreateAccount (one each ten seconds,
/// three at once) was empty.
fn quota_full(busy: &[Busy], calls: &[CallRecord]) -> Vec<Span> {
    let mut full = Vec::new();
    let creations: Vec<Span> =
        busy.iter().filter(|busy| busy.what == "create-account").map(|busy| (busy.from, busy.until)).collect();
    let mut edges: Vec<DateTime<Utc>> = creations.iter().flat_map(|span| [span.0, span.1]).collect();
    edges.sort();
    for pair in edges.windows(2) {
        let under_way = creations.iter().filter(|span| span.0 <= pair[0] && span.1 >= pair[1]).count();
        if under_way >= 5 {
            full.push((pair[0], pair[1]));
        }
    }
    let mut full_again: Option<DateTime<Utc>> = None;
    for call in calls.iter().filter(|call| call.operation == "organizations:CreateAccount") {
        let next = full_again.map_or(call.at, |at| at.max(call.at)) + TimeDelta::seconds(10);
        full_again = Some(next);
        let free = next - TimeDelta::seconds(20);
        if free > call.at {
            full.push((call.at, free));
        }
    }
    full
}

/// How much of `within` the spans cover together.
fn covered(spans: impl Iterator<Item = Span>, within: Span) -> TimeDelta {
    let mut spans: Vec<Span> =
        spans.map(|span| (span.0.max(within.0), span.1.min(within.1))).filter(|span| span.0 < span.1).collect();
    spans.sort();
    let mut total = TimeDelta::zero();
    let mut seen = within.0;
    for (from, until) in spans {
        total += (until - from.max(seen)).max(TimeDelta::zero());
        seen = seen.max(until);
    }
    total
}
