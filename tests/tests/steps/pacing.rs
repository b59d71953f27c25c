//! Tests of the spacing of account requests, whose calls reach AWS late or are throttled.

use std::sync::Arc;
use std::time::Duration;

use freehold_sandbox::Settings;
use freehold_sandbox::faults::{WireEffect, WireRule};
use freehold_sandbox::settings::{DurationDistribution, Durations};
use freehold_tenancy::db::operations;
use freehold_tenancy::operation::OperationState;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::Worker;
use futures::future::join_all;

/// Starts an installation whose account creations end at once, so that only their rate is limited, with `count`
/// signups.
async fn sign_up(count: usize) -> Freehold {
    let durations = Durations { create_account: DurationDistribution::constant(2.0), ..Durations::default() };
    let freehold = Freehold::with(Settings { durations, ..Settings::default() }, CONFIG).await;
    for number in 0..count {
        freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await;
    }
    freehold
}

/// Runs the workers until all operations have succeeded. The clock also advances while a call is on its way to AWS.
async fn run_until_ready(freehold: &Freehold, workers: &[Arc<Worker>]) {
    loop {
        let mut drained = Box::pin(join_all(workers.iter().map(|worker| worker.drain())));
        loop {
            tokio::select! {
                results = &mut drained => {
                    for result in results {
                        result.expect("finished work");
                    }
                    break;
                }
                () = tokio::time::sleep(Duration::from_millis(4)) => {
                    if let Some(until) = freehold.faulty_client.next_delayed_call() {
                        freehold.clock.advance_to(until);
                    }
                }
            }
        }
        drop(drained);
        let Some(next) = operations::next_wake(freehold.pool()).await.expect("an answer") else { break };
        freehold.clock.advance_to(next);
    }
    for tenant in freehold.tenants().await {
        assert_eq!(freehold.operation_of(&tenant).await.state, OperationState::Succeeded);
    }
}

/// Returns the times, in seconds after the first one, at which AWS accepted the account requests.
fn request_times(freehold: &Freehold) -> Vec<f64> {
    let requests = freehold.world.create_requests();
    let first = requests[0].requested_at;
    requests.iter().map(|request| (request.requested_at - first).as_seconds_f64()).collect()
}

fn delay_nth(freehold: &Freehold, nth: u64, milliseconds: u64) {
    let delay = WireEffect::Delay(Duration::from_millis(milliseconds));
    freehold.faulty_client.inject(WireRule::on("organizations", "CreateAccount", delay).nth(nth));
}

#[tokio::test]
async fn a_burst_that_reaches_aws_late_is_not_throttled() {
    let freehold = sign_up(8).await;
    for (nth, milliseconds) in [(1, 2000), (2, 1500), (3, 1000), (4, 100), (5, 1900)] {
        delay_nth(&freehold, nth, milliseconds);
    }
    run_until_ready(&freehold, &[freehold.worker("worker-1"), freehold.worker("worker-2")]).await;
    let calls = freehold.world.calls().of("organizations:CreateAccount");
    assert_eq!((calls.calls, calls.throttled), (8, 0), "calls and throttled calls");
    let times = request_times(&freehold);
    assert!(times[7] < 53.0, "the delays add up: {times:?}");
}

#[tokio::test]
async fn a_lone_throttled_account_request_costs_one_interval() {
    let freehold = sign_up(8).await;
    freehold.faulty_client.inject(WireRule::on("organizations", "CreateAccount", WireEffect::Throttle).nth(4));
    run_until_ready(&freehold, &[freehold.worker("worker-1")]).await;
    let times = request_times(&freehold);
    // An operation waits for two seconds while another one reads the usage of the quota.
    assert!(times[2] <= 2.0, "{times:?}");
    for (request, expected) in [(3, 20.0), (4, 30.0), (5, 40.0), (6, 50.0), (7, 60.0)] {
        assert!((times[request] - expected).abs() < 1.0, "request {request} at {} s: {times:?}", times[request]);
    }
}
