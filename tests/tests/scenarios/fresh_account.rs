//! Inside a fresh account, and inside one that somebody closes: scenarios 22 to 25 and 46.

use freehold_sandbox::Settings;
use freehold_sandbox::faults::Rule;
use freehold_sandbox::settings::{Durations, Spread};
use freehold_tenancy::db::events;
use freehold_tenancy::event::EventType;
use freehold_tenancy::step::StepState;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::cloud::Cloud;

use super::{LONG, attention, calls, error, is_ready, onboard, target};

/// Fresh accounts take no calls for some minutes, and this share of the refusals is not a plain AccessDenied.
fn slow_to_settle(odd_refusals: f64) -> Settings {
    let durations = Durations { settle: Spread::exactly(180.0), ..Durations::default() };
    Settings { odd_refusals, durations, ..Settings::default() }
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_yet_is_waited_for() {
    let freehold = Freehold::with(slow_to_settle(0.0), CONFIG).await;
    let ended = onboard(&freehold).await;
    is_ready(&ended);
    let refusals: Vec<_> = refused(&freehold, "sts:AssumeRole");
    assert!(!refusals.is_empty() && refusals.iter().all(|code| code == "AccessDenied"), "{refusals:?}");
}

#[tokio::test]
async fn a_fresh_account_may_refuse_with_any_of_its_words() {
    let freehold = Freehold::with(slow_to_settle(1.0), CONFIG).await;
    for number in 0..6 {
        freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await;
    }
    let ended = onboard(&freehold).await;
    is_ready(&ended);
    for tenant in freehold.tenants().await {
        is_ready(&(tenant.clone(), freehold.operation_of(&tenant).await));
    }
    let mut words = refused(&freehold, "sts:AssumeRole");
    words.sort();
    words.dedup();
    for word in ["InvalidClientTokenId", "RegionDisabledException"] {
        assert!(words.iter().any(|said| said == word), "{word} is not among {words:?}");
    }
}

#[tokio::test]
async fn a_service_that_a_fresh_account_has_not_subscribed_to_is_waited_for() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let fault = error("SubscriptionRequiredException", "The AWS Access Key Id needs a subscription for the service");
    freehold.world.inject(Rule::on("cloudformation", "DescribeStacks", fault).times(3));
    let ended = onboard(&freehold).await;
    is_ready(&ended);
    assert_eq!(freehold.world.fault_hits().len(), 3);
    let refusals = refused(&freehold, "cloudformation:DescribeStacks");
    assert!(refusals.iter().any(|code| code == "OptInRequired"), "{refusals:?}");
}

#[tokio::test]
async fn a_session_that_ends_while_a_stack_is_waited_for_is_opened_anew() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let fault = error("ExpiredToken", "The security token included in the request is expired");
    freehold.world.inject(Rule::on("cloudformation", "DescribeStacks", fault.clone()).skip(3).times(1));
    freehold
        .world
        .inject(Rule::on("ssoadmin", "CreateAccountAssignment", error("ExpiredTokenException", "expired")).nth(1));
    let ended = onboard(&freehold).await;
    is_ready(&ended);
    assert_eq!(freehold.world.fault_hits().len(), 2);
}

/// The codes with which a call was refused.
fn refused(freehold: &Freehold, operation: &str) -> Vec<String> {
    let calls = freehold.world.calls();
    calls.recent().filter(|call| call.operation == operation).filter_map(|call| call.error.clone()).collect()
}

async fn is_done(freehold: &Freehold, tenant: &Tenant, step: &str) -> bool {
    let operation = freehold.operation_of(tenant).await;
    operation.steps.iter().any(|entry| entry.name == step && entry.state == StepState::Done)
}

#[tokio::test]
async fn an_account_that_somebody_closes_midway_is_told_as_closed() {
    for step in ["await-account", "place-account", "reach-account", "install-baseline"] {
        let freehold = Freehold::with(Settings { throttling: false, ..Settings::default() }, CONFIG).await;
        let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
        let worker = freehold.worker("worker-1");
        while !is_done(&freehold, &tenant, step).await {
            freehold.step(&worker).await.expect("it goes on");
        }
        freehold.aws(None).close_account(&target(&freehold, &tenant)).await.expect("closed");
        let closed_at = freehold.clock.now();
        let another = freehold.sign_up("Another", "eu-central-1", "standard").await;
        freehold.settle(&worker, LONG).await;
        let operation = freehold.operation_of(&tenant).await;
        let (code, message) = attention(&operation);
        assert_eq!(code, "account_not_active", "closed after {step}: {message}");
        assert!(message.contains("CLOSED"), "{message}");
        let events = events::after(freehold.pool(), operation.id, 0, 1000).await.expect("events");
        let told = events.iter().find(|event| event.event_type == EventType::OperationNeedsAttention).expect("one");
        let after = told.occurred_at - closed_at;
        assert!(after < chrono::TimeDelta::minutes(10), "closed after {step}, told {after} later");
        is_ready(&(freehold.tenant_now(&another).await, freehold.operation_of(&another).await));
        assert!(
            calls(&freehold, "organizations:DescribeAccount").0 < 5,
            "AWS is asked for the account's state too often"
        );
    }
}
