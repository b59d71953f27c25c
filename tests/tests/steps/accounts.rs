//! An account is asked for once, found again after anything, and never taken from somebody else.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_sandbox::settings::{Durations, Spread};
use freehold_tenancy::attention::Remedy;
use freehold_tenancy::db::lifecycle;
use freehold_tenancy::operation::{Operation, OperationState};
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::database::mapped_now;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::world_snapshot;
use freehold_worker::cloud::{Cloud, NewAccount, Tags};

const LONG: TimeDelta = TimeDelta::days(1);

async fn sign_up_and_settle(freehold: &Freehold) -> (Tenant, Operation) {
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.settle(&freehold.worker("worker-1"), LONG).await;
    (freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await)
}

fn asks(operation: &Operation) -> (&str, &str) {
    let attention = operation.attention.as_ref().unwrap_or_else(|| panic!("{operation:#?} needs no attention"));
    let offered = |remedy| attention.remedies.contains(&remedy);
    assert!(offered(Remedy::Retry) && offered(Remedy::Cancel), "{attention:?}");
    (&attention.code, &attention.message)
}

/// The account that the environment of `tenant` would ask for.
fn wanted(freehold: &Freehold, tenant: &Tenant, tags: Tags) -> NewAccount {
    let email = freehold.config.organization.account_email.address(tenant.environments[0].id);
    NewAccount { name: "Made before".to_owned(), email, tags }
}

fn our_tags(freehold: &Freehold, tenant: &Tenant) -> Tags {
    Tags::from([
        ("freehold:installation".to_owned(), freehold.installation.id.to_string()),
        ("freehold:tenant".to_owned(), tenant.id.to_string()),
        ("freehold:environment".to_owned(), tenant.environments[0].id.to_string()),
    ])
}

#[tokio::test]
async fn an_account_whose_answer_was_lost_is_found_and_not_asked_for_again() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.wire.inject(WireRule::on("organizations", "CreateAccount", WireEffect::ResetAfterCall).nth(1));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(freehold.wire.hits().len(), 1);
    assert_eq!(tenant.state(), TenantState::Ready, "{operation:#?}");
    assert_eq!(world_snapshot::accounts_asked_for(&freehold.world), 1);
}

#[tokio::test]
async fn an_account_that_was_never_asked_for_is_asked_for_again_only_after_five_minutes_of_certainty() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.wire.inject(WireRule::on("organizations", "CreateAccount", WireEffect::ResetBeforeCall).nth(1));
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let worker = freehold.worker("worker-1");
    while world_snapshot::accounts_asked_for(&freehold.world) == 0 {
        freehold.step(&worker).await.expect("the operation goes on");
    }
    let asked_at = freehold.world.create_requests()[0].requested_at;
    assert!(
        asked_at - tenant.created_at >= TimeDelta::minutes(5),
        "asked again after {}",
        asked_at - tenant.created_at
    );
    freehold.settle(&worker, LONG).await;
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Ready);
}

#[tokio::test]
async fn our_own_account_with_the_email_address_is_adopted() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.aws(None).create_account(&wanted(&freehold, &tenant, our_tags(&freehold, &tenant))).await.expect("made");
    let made = freehold.world.accounts().last().expect("an account").id.clone();
    freehold.settle(&freehold.worker("worker-1"), LONG).await;
    let tenant = freehold.tenant_now(&tenant).await;
    assert_eq!(tenant.state(), TenantState::Ready);
    assert_eq!(tenant.environments[0].aws_account_id.as_ref().expect("an account").as_str(), made);
}

#[tokio::test]
async fn an_account_of_somebody_else_with_the_email_address_is_left_alone() {
    for tags in [None, Some(Tags::new()), Some(Tags::from([("freehold:environment".to_owned(), "env_x".to_owned())]))] {
        let freehold = Freehold::instant().await;
        let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
        match tags {
            // Outside the organisation.
            None => freehold.world.reserve_email(&wanted(&freehold, &tenant, Tags::new()).email),
            // Inside it, but not marked as this environment's.
            Some(tags) => {
                freehold.aws(None).create_account(&wanted(&freehold, &tenant, tags)).await.expect("made");
            }
        }
        freehold.settle(&freehold.worker("worker-1"), LONG).await;
        let operation = freehold.operation_of(&tenant).await;
        assert_eq!(asks(&operation).0, "account_email_taken");
        assert_eq!(freehold.tenant_now(&tenant).await.environments[0].aws_account_id, None);
        assert_eq!(mapped_now(freehold.pool()).await, []);
    }
}

#[tokio::test]
async fn a_creation_that_aws_failed_is_asked_for_again_and_one_that_it_refuses_is_parked() {
    let freehold = Freehold::instant().await;
    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::failed("INTERNAL_FAILURE")).nth(1));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(tenant.state(), TenantState::Ready, "{operation:#?}");
    assert_eq!(world_snapshot::accounts_asked_for(&freehold.world), 2);

    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::failed("INVALID_PAYMENT_INSTRUMENT")));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(tenant.state(), TenantState::NeedsAttention);
    let (code, message) = asks(&operation);
    assert_eq!(code, "payment_instrument_needed");
    assert!(message.contains("INVALID_PAYMENT_INSTRUMENT"), "{message}");

    // Parked, it holds no place; and tried again, it asks again instead of looking at the old failure.
    assert_eq!(places_taken(&freehold).await, 0);
    freehold.world.clear_faults();
    retry(&freehold, &operation).await;
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Ready);
}

#[tokio::test]
async fn a_creation_that_is_refused_holds_no_place() {
    let freehold = Freehold::instant().await;
    let fault = Fault::error("AccessDeniedException", "You don't have permissions to access this resource.");
    freehold.world.inject(Rule::on("organizations", "CreateAccount", fault));
    let (_, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(asks(&operation).0, "aws_access_denied");
    assert_eq!(places_taken(&freehold).await, 0);
}

#[tokio::test]
async fn an_assignment_that_keeps_failing_is_parked_and_goes_on_when_it_is_tried_again() {
    let freehold = Freehold::instant().await;
    let fault = Fault::failed("Received a 403 status error: Access denied by IAM");
    freehold.world.inject(Rule::on("ssoadmin", "CreateAccountAssignment", fault));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    let (code, message) = asks(&operation);
    assert_eq!(code, "assignment_failed");
    assert!(message.contains("403"), "{message}");
    assert_eq!(places_taken(&freehold).await, 0);
    freehold.world.clear_faults();
    retry(&freehold, &operation).await;
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Ready);
}

#[tokio::test]
async fn what_is_late_needs_a_person_and_goes_on_looking_all_the_same() {
    let freehold = Freehold::instant().await;
    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::Stuck).nth(1));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(asks(&operation).0, "deadline_passed");
    assert_eq!(tenant.state(), TenantState::NeedsAttention);
    assert!(operation.wake_at.is_some(), "it has stopped looking");
    assert_eq!(places_taken(&freehold).await, 1, "AWS still counts what is stuck");
}

#[tokio::test]
async fn what_was_late_needs_nobody_once_aws_comes_round() {
    let settings = Settings {
        durations: Durations { create_account: Spread::exactly(20.0 * 60.0), ..Durations::instant() },
        ..Settings::instant()
    };
    let freehold = Freehold::with(settings, CONFIG).await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let worker = freehold.worker("worker-1");
    while freehold.operation_of(&tenant).await.state != OperationState::NeedsAttention {
        freehold.step(&worker).await.expect("it goes on");
    }
    let late = freehold.clock.now() - tenant.created_at;
    assert!(late >= TimeDelta::minutes(15) && late < TimeDelta::minutes(20), "late after {late}");
    freehold.settle(&worker, LONG).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!((operation.state, operation.attention), (OperationState::Succeeded, None));
}

#[tokio::test]
async fn who_is_tried_again_after_a_deadline_gets_as_long_once_more() {
    let freehold = Freehold::instant().await;
    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::Stuck).nth(1));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    let now = freehold.clock.now();
    lifecycle::retry(freehold.pool(), operation.id, "support", now).await.expect("an answer");
    let worker = freehold.worker("worker-2");
    while freehold.operation_of(&tenant).await.state != OperationState::NeedsAttention {
        freehold.step(&worker).await.expect("it goes on");
    }
    let elapsed = freehold.clock.now() - now;
    assert!(elapsed >= TimeDelta::minutes(15), "asked again after {elapsed}");
}

/// Tries a parked operation again and lets it go on.
async fn retry(freehold: &Freehold, operation: &Operation) {
    let retried = lifecycle::retry(freehold.pool(), operation.id, "support", freehold.clock.now()).await;
    assert_eq!(retried.expect("an answer"), lifecycle::RetryResult::Yes);
    freehold.settle(&freehold.worker("another"), LONG).await;
}

/// How many places under AWS's quotas are taken or waited for.
async fn places_taken(freehold: &Freehold) -> i64 {
    sqlx::query_scalar("select count(*) from slots").fetch_one(freehold.pool()).await.expect("an answer")
}

#[tokio::test]
async fn a_parked_operation_goes_on_when_a_person_has_removed_the_cause() {
    let freehold = Freehold::instant().await;
    freehold.world.inject(Rule::on("organizations", "MoveAccount", Fault::error("AccessDeniedException", "no")));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(asks(&operation).0, "aws_access_denied");
    assert_eq!(operation.wake_at, None, "it sleeps until a person wakes it");

    freehold.world.clear_faults();
    let now = freehold.clock.now();
    assert_eq!(
        lifecycle::retry(freehold.pool(), operation.id, "support", now).await.expect("an answer"),
        lifecycle::RetryResult::Yes
    );
    freehold.settle(&freehold.worker("worker-2"), LONG).await;
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Ready);
    assert_eq!(world_snapshot::accounts_asked_for(&freehold.world), 1);
}

#[tokio::test]
async fn a_stack_that_fails_once_is_made_anew_and_one_that_keeps_failing_says_why() {
    let freehold = Freehold::instant().await;
    let fault = Fault::failed("Resource handler returned message: Rate exceeded");
    freehold.world.inject(Rule::on("cloudformation", "CreateStack", fault.clone()).nth(1));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(freehold.world.fault_hits().len(), 1);
    assert_eq!(tenant.state(), TenantState::Ready, "{operation:#?}");

    freehold.world.inject(Rule::on("cloudformation", "CreateStack", fault));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(tenant.state(), TenantState::NeedsAttention);
    let (code, message) = asks(&operation);
    assert_eq!(code, "stack_failed");
    assert!(message.contains("Rate exceeded"), "{message}");
}

#[tokio::test]
async fn a_stack_whose_answer_was_lost_and_which_then_failed_is_made_anew() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.wire.inject(WireRule::on("cloudformation", "CreateStack", WireEffect::ResetAfterCall).nth(1));
    freehold.world.inject(Rule::on("cloudformation", "CreateStack", Fault::failed("Internal Failure")).nth(1));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!((freehold.wire.hits().len(), freehold.world.fault_hits().len()), (1, 1));
    assert_eq!(tenant.state(), TenantState::Ready, "{operation:#?}");
}

#[tokio::test]
async fn without_a_bootstrapped_organisation_no_account_is_placed_anywhere() {
    let more = "\n[[residencies]]\nname = \"jp\"\nregions = [\"ap-northeast-1\"]\n";
    let freehold = Freehold::instant().await.declaring(&format!("{CONFIG}{more}"));
    let tenant = freehold.sign_up("Example", "ap-northeast-1", "standard").await;
    freehold.settle(&freehold.worker("worker-1"), LONG).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(operation.state, OperationState::NeedsAttention);
    let (code, message) = asks(&operation);
    assert_eq!(code, "residency_not_prepared");
    assert!(message.contains("freehold bootstrap"), "{message}");
}
