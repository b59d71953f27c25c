//! Tests of account requests: scenarios 2 to 15 and 21.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_sandbox::settings::{DurationDistribution, Durations};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::world_snapshot::account_requests;
use freehold_worker::cloud::{NewAccount, Tags};

use super::{
    MAX_SIMULATED_TIME, account_request, assert_ready, attention, calls, error, onboard, retry, run_during_call, target,
};

/// Returns settings in which an account creation takes the given number of seconds and all other work finishes
/// immediately.
fn slow_creations(seconds: f64) -> Settings {
    let durations = Durations { create_account: DurationDistribution::constant(seconds), ..Durations::instant() };
    Settings { durations, ..Settings::instant() }
}

#[tokio::test]
async fn a_duplicated_request_creates_one_account() {
    let freehold = Freehold::with(slow_creations(60.0), CONFIG).await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    // The test sends the first request, and the worker sends the second.
    freehold.aws(None).create_account(&account_request(&freehold, &tenant)).await.expect("a request");
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    let outcome = (freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await);
    assert_ready(&outcome);
    let failed = freehold.world.create_requests()[1].state.clone();
    assert!(format!("{failed:?}").contains("CONCURRENT_ACCOUNT_MODIFICATION"), "{failed:?}");
    assert_eq!(account_requests(&freehold.world), 2, "number of requests");
    assert_eq!(freehold.world.accounts().len(), 3, "the management account, Freehold's account and the tenant's");
}

#[tokio::test]
async fn a_closed_account_with_the_email_address_is_not_adopted() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let aws = freehold.aws(None);
    aws.create_account(&account_request(&freehold, &tenant)).await.expect("a request");
    aws.close_account(&target(&freehold, &tenant)).await.expect("a closure");
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    let operation = freehold.operation_of(&tenant).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "account_email_taken");
    assert!(message.contains("not active"), "{message}");
    assert_eq!(freehold.reload_tenant(&tenant).await.environments[0].aws_account_id, None);
}

#[tokio::test]
async fn onboarding_waits_for_slots_that_another_actor_uses() {
    let freehold = Freehold::with(slow_creations(600.0), CONFIG).await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let aws = freehold.administrator().await;
    let take_all_slots = async {
        for number in 0..5 {
            let name = format!("another-{number}");
            let account = NewAccount { email: format!("{name}@example.com"), name, tags: Tags::new() };
            aws.create_account(&account).await.expect("a request");
        }
    };
    // The slots are occupied after Freehold's last poll, while its CreateAccount call is in progress.
    let call = ("organizations", "CreateAccount", "freehold:tenant");
    run_during_call(&freehold, &freehold.worker("worker-1"), call, take_all_slots).await;
    assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
    let (attempts, refused) = calls(&freehold, "organizations:CreateAccount");
    assert!(refused > 0, "no request was refused");
    assert_eq!(attempts - refused, 5 + 1);
    assert!(attempts <= 5 + 1 + 12, "{attempts} requests in ten minutes");
}

#[tokio::test]
async fn heavy_throttling_is_retried_until_it_ends() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.world.inject(Rule::on("organizations", "*", Fault::Throttle).times(40));
    let outcome = onboard(&freehold).await;
    assert_ready(&outcome);
    assert_eq!(freehold.world.fault_hits().len(), 40);
    assert_eq!(account_requests(&freehold.world), 1);
}

#[tokio::test]
async fn conflicts_are_retried_and_never_create_a_second_account() {
    for call in ["CreateAccount", "MoveAccount"] {
        let freehold = Freehold::instant().await;
        let conflict = "The request failed because it conflicts with another attempt to modify the same entity.";
        let fault = error("ConcurrentModificationException", conflict);
        // The number of failures exceeds the limit for failures of unknown cause.
        freehold.world.inject(Rule::on("organizations", call, fault).times(15));
        let outcome = onboard(&freehold).await;
        assert_ready(&outcome);
        assert_eq!(freehold.world.fault_hits().len(), 15, "{call}");
        assert_eq!(account_requests(&freehold.world), 1, "{call}");
    }
}

#[tokio::test]
async fn an_account_created_by_a_failed_request_is_adopted() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.aws(None).create_account(&account_request(&freehold, &tenant)).await.expect("a request");
    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::failed("INTERNAL_FAILURE")).nth(1));
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
    assert_eq!(account_requests(&freehold.world), 2, "the account was requested again");
}

#[tokio::test]
async fn each_failure_that_a_person_must_fix_has_its_own_attention_code() {
    for (reason, expected) in [
        ("INVALID_EMAIL", "account_email_invalid"),
        ("INVALID_ADDRESS", "organization_address_invalid"),
        ("MISSING_PAYMENT_INSTRUMENT", "payment_instrument_needed"),
        ("INVALID_PAYMENT_INSTRUMENT", "payment_instrument_needed"),
        ("PENDING_BUSINESS_VALIDATION", "business_validation_needed"),
        ("INVALID_IDENTITY_FOR_BUSINESS_VALIDATION", "business_validation_needed"),
    ] {
        let freehold = Freehold::instant().await;
        freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::failed(reason)).nth(1));
        let (tenant, operation) = onboard(&freehold).await;
        let (code, message) = attention(&operation);
        assert_eq!(code, expected);
        assert!(message.contains(reason), "{message}");
        assert_ready(&retry(&freehold, &tenant).await);
        assert_eq!(account_requests(&freehold.world), 2);
    }
}

#[tokio::test]
async fn a_hanging_account_creation_needs_attention_and_is_not_repeated() {
    let freehold = Freehold::instant().await;
    let signed_up = freehold.clock.now();
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let own_id = tenant.environments[0].id.to_string();
    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::Stuck).containing(&own_id));
    let another = freehold.sign_up("Another", "us-east-1", "standard").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::hours(2)).await;
    let operation = freehold.operation_of(&tenant).await;
    assert!(!attention(&operation).0.is_empty());
    assert_eq!(account_requests(&freehold.world), 2, "one request per tenant");
    // The other tenant is not affected.
    let ready_at = freehold.reload_tenant(&another).await.environments[0].ready_at.expect("the other is ready");
    assert!(ready_at - signed_up < TimeDelta::minutes(5), "ready after {}", ready_at - signed_up);
}

#[tokio::test]
async fn the_account_of_an_expired_creation_request_is_found() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let unknown = "You specified a create account request that doesn't exist.";
    let fault = error("CreateAccountStatusNotFoundException", unknown);
    freehold.world.inject(Rule::on("organizations", "DescribeCreateAccountStatus", fault));
    let outcome = onboard(&freehold).await;
    assert_ready(&outcome);
    assert_ne!(freehold.world.fault_hits().len(), 0);
    assert_eq!(account_requests(&freehold.world), 1);
}

#[tokio::test]
async fn an_unknown_failure_is_reported_with_the_message_of_aws() {
    let freehold = Freehold::instant().await;
    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::failed("A_REASON_OF_NEXT_YEAR")).nth(1));
    let (tenant, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "account_creation_failed");
    assert!(message.contains("A_REASON_OF_NEXT_YEAR"), "{message}");
    assert_ready(&retry(&freehold, &tenant).await);
}

#[tokio::test]
async fn empty_pages_do_not_end_a_list() {
    let freehold = Freehold::instant().await;
    let lists = [
        "ListAccounts",
        "ListCreateAccountStatus",
        "ListTagsForResource",
        "ListParents",
        "ListRoots",
        "ListOrganizationalUnitsForParent",
        "ListPoliciesForTarget",
        "ListInstances",
        "ListPermissionSets",
        "ListAccountAssignments",
    ];
    // A failed creation whose account exists, and a lost response, make the worker read every list.
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.aws(None).create_account(&account_request(&freehold, &tenant)).await.expect("a request");
    freehold.faulty_client.inject(WireRule::on("organizations", "CreateAccount", WireEffect::ResetAfterCall).nth(1));
    for list in lists {
        freehold.world.inject(Rule::on("*", list, Fault::EmptyPage).nth(1));
    }
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
    let mut hit: Vec<_> = freehold.world.fault_hits().into_iter().map(|hit| hit.operation).collect();
    hit.sort();
    let named = |list: &str| hit.iter().any(|operation| operation.ends_with(&format!(":{list}")));
    let unread: Vec<_> = lists.into_iter().filter(|list| !named(list)).collect();
    assert_eq!(unread, [""; 0], "lists without a call");
}

#[tokio::test]
async fn a_tag_policy_violation_has_its_own_attention_code() {
    let freehold = Freehold::instant().await;
    let fault =
        error("ConstraintViolationException", "TAG_POLICY_VIOLATION: the tags do not comply with the tag policy.");
    freehold.world.inject(Rule::on("organizations", "CreateAccount", fault).nth(1));
    let (tenant, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "tag_policy_violated");
    assert!(message.contains("start with freehold:"), "{message}");
    assert_ready(&retry(&freehold, &tenant).await);
}
