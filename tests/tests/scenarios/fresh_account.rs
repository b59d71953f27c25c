//! Tests of new accounts, and of accounts that are closed during an onboarding: scenarios 22 to 25 and 46.

use freehold_sandbox::Settings;
use freehold_sandbox::faults::Rule;
use freehold_sandbox::settings::{DurationDistribution, Durations};
use freehold_tenancy::db::events;
use freehold_tenancy::event::EventType;
use freehold_tenancy::step::StepState;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::{CONFIG, Freehold};

use super::{MAX_SIMULATED_TIME, assert_ready, attention, calls, error, onboard, target};

/// Returns settings in which new accounts refuse calls for three minutes. `odd_refusals` is the share of refused calls
/// with an error code other than AccessDenied.
fn slow_new_accounts(odd_refusals: f64) -> Settings {
    let durations = Durations { settle: DurationDistribution::constant(180.0), ..Durations::default() };
    Settings { odd_refusals, durations, ..Settings::default() }
}

#[tokio::test]
async fn onboarding_waits_until_the_role_of_a_new_account_can_be_assumed() {
    let freehold = Freehold::with(slow_new_accounts(0.0), CONFIG).await;
    let outcome = onboard(&freehold).await;
    assert_ready(&outcome);
    let refusals: Vec<_> = error_codes(&freehold, "sts:AssumeRole");
    assert!(!refusals.is_empty() && refusals.iter().all(|code| code == "AccessDenied"), "{refusals:?}");
}

#[tokio::test]
async fn every_error_code_of_a_new_account_is_retried() {
    let freehold = Freehold::with(slow_new_accounts(1.0), CONFIG).await;
    for number in 0..6 {
        freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await;
    }
    let outcome = onboard(&freehold).await;
    assert_ready(&outcome);
    for tenant in freehold.tenants().await {
        assert_ready(&(tenant.clone(), freehold.operation_of(&tenant).await));
    }
    let mut codes = error_codes(&freehold, "sts:AssumeRole");
    codes.sort();
    codes.dedup();
    for expected in ["InvalidClientTokenId", "RegionDisabledException"] {
        assert!(codes.iter().any(|code| code == expected), "{expected} is not among {codes:?}");
    }
}

#[tokio::test]
async fn onboarding_waits_for_a_missing_service_subscription() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let fault = error("SubscriptionRequiredException", "The AWS Access Key Id needs a subscription for the service");
    freehold.world.inject(Rule::on("cloudformation", "DescribeStacks", fault).times(3));
    let outcome = onboard(&freehold).await;
    assert_ready(&outcome);
    assert_eq!(freehold.world.fault_hits().len(), 3);
    let refusals = error_codes(&freehold, "cloudformation:DescribeStacks");
    assert!(refusals.iter().any(|code| code == "OptInRequired"), "{refusals:?}");
}

#[tokio::test]
async fn a_session_that_expires_during_a_wait_is_renewed() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let fault = error("ExpiredToken", "The security token included in the request is expired");
    freehold.world.inject(Rule::on("cloudformation", "DescribeStacks", fault.clone()).skip(3).times(1));
    freehold
        .world
        .inject(Rule::on("ssoadmin", "CreateAccountAssignment", error("ExpiredTokenException", "expired")).nth(1));
    let outcome = onboard(&freehold).await;
    assert_ready(&outcome);
    assert_eq!(freehold.world.fault_hits().len(), 2);
}

/// Returns the error codes of all failed calls of an AWS operation.
fn error_codes(freehold: &Freehold, operation: &str) -> Vec<String> {
    let calls = freehold.world.calls();
    calls.recent().filter(|call| call.operation == operation).filter_map(|call| call.error.clone()).collect()
}

async fn is_step_done(freehold: &Freehold, tenant: &Tenant, step: &str) -> bool {
    let operation = freehold.operation_of(tenant).await;
    operation.steps.iter().any(|entry| entry.name == step && entry.state == StepState::Done)
}

#[tokio::test]
async fn an_account_that_is_closed_during_onboarding_is_reported() {
    for step in ["await-account", "place-account", "reach-account", "install-baseline"] {
        let freehold = Freehold::with(Settings { throttling: false, ..Settings::default() }, CONFIG).await;
        let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
        let worker = freehold.worker("worker-1");
        while !is_step_done(&freehold, &tenant, step).await {
            freehold.run_due_and_advance(&worker).await.expect("a wake-up");
        }
        freehold.aws(None).close_account(&target(&freehold, &tenant)).await.expect("a closure");
        let closed_at = freehold.clock.now();
        let another = freehold.sign_up("Another", "eu-central-1", "standard").await;
        freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
        let operation = freehold.operation_of(&tenant).await;
        let (code, message) = attention(&operation);
        assert_eq!(code, "account_not_active", "closed after {step}: {message}");
        assert!(message.contains("CLOSED"), "{message}");
        let events = events::after(freehold.pool(), operation.id, 0, 1000).await.expect("events");
        let attention =
            events.iter().find(|event| event.event_type == EventType::OperationNeedsAttention).expect("an event");
        let after = attention.occurred_at - closed_at;
        assert!(after < chrono::TimeDelta::minutes(10), "closed after {step}, reported {after} later");
        assert_ready(&(freehold.reload_tenant(&another).await, freehold.operation_of(&another).await));
        assert!(calls(&freehold, "organizations:DescribeAccount").0 < 5, "the account state is read too often");
    }
}
