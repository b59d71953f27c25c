//! Tests of account requests: an account is requested once and found after a lost response, and external accounts are
//! never adopted.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_sandbox::settings::{DurationDistribution, Durations};
use freehold_tenancy::attention::Remedy;
use freehold_tenancy::db::lifecycle;
use freehold_tenancy::operation::{Operation, OperationState};
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::database::current_mappings;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::world_snapshot;
use freehold_worker::cloud::{NewAccount, Tags};

const MAX_SIMULATED_TIME: TimeDelta = TimeDelta::days(1);

async fn sign_up_and_settle(freehold: &Freehold) -> (Tenant, Operation) {
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    (freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await)
}

fn attention(operation: &Operation) -> (&str, &str) {
    let attention = operation.attention.as_ref().unwrap_or_else(|| panic!("{operation:#?} needs no attention"));
    let offered = |remedy| attention.remedies.contains(&remedy);
    assert!(offered(Remedy::Retry) && offered(Remedy::Cancel), "{attention:?}");
    (&attention.code, &attention.message)
}

/// Returns the account request that Freehold sends for the tenant's environment, but with these tags.
fn account_request(freehold: &Freehold, tenant: &Tenant, tags: Tags) -> NewAccount {
    let email = freehold.config.organization.account_email.address(tenant.environments[0].id);
    NewAccount { name: "External".to_owned(), email, tags }
}

fn freehold_tags(freehold: &Freehold, tenant: &Tenant) -> Tags {
    Tags::from([
        ("freehold:installation".to_owned(), freehold.installation.id.to_string()),
        ("freehold:tenant".to_owned(), tenant.id.to_string()),
        ("freehold:environment".to_owned(), tenant.environments[0].id.to_string()),
    ])
}

#[tokio::test]
async fn an_account_is_found_and_not_requested_again_after_a_lost_response() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.faulty_client.inject(WireRule::on("organizations", "CreateAccount", WireEffect::ResetAfterCall).nth(1));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(freehold.faulty_client.hits().len(), 1);
    assert_eq!(tenant.state(), TenantState::Ready, "{operation:#?}");
    assert_eq!(world_snapshot::account_requests(&freehold.world), 1);
}

#[tokio::test]
async fn an_account_is_requested_again_only_after_five_minutes_without_it() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.faulty_client.inject(WireRule::on("organizations", "CreateAccount", WireEffect::ResetBeforeCall).nth(1));
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let worker = freehold.worker("worker-1");
    while world_snapshot::account_requests(&freehold.world) == 0 {
        freehold.run_due_and_advance(&worker).await.expect("a wake-up");
    }
    let requested_at = freehold.world.create_requests()[0].requested_at;
    assert!(
        requested_at - tenant.created_at >= TimeDelta::minutes(5),
        "requested again after {}",
        requested_at - tenant.created_at
    );
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);
}

#[tokio::test]
async fn an_account_with_the_email_address_and_freehold_tags_is_adopted() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold
        .aws(None)
        .create_account(&account_request(&freehold, &tenant, freehold_tags(&freehold, &tenant)))
        .await
        .expect("a request");
    let account_id = freehold.world.accounts().last().expect("an account").id.clone();
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    let tenant = freehold.reload_tenant(&tenant).await;
    assert_eq!(tenant.state(), TenantState::Ready);
    assert_eq!(tenant.environments[0].aws_account_id.as_ref().expect("an account").as_str(), account_id);
}

#[tokio::test]
async fn an_external_account_with_the_email_address_is_not_adopted() {
    for tags in [None, Some(Tags::new()), Some(Tags::from([("freehold:environment".to_owned(), "env_x".to_owned())]))] {
        let freehold = Freehold::instant().await;
        let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
        match tags {
            // An account outside the organisation.
            None => freehold.world.reserve_email(&account_request(&freehold, &tenant, Tags::new()).email),
            // An account of the organisation without the tags of this environment.
            Some(tags) => {
                let aws = freehold.administrator().await;
                aws.create_account(&account_request(&freehold, &tenant, tags)).await.expect("a request");
            }
        }
        freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
        let operation = freehold.operation_of(&tenant).await;
        assert_eq!(attention(&operation).0, "account_email_taken");
        assert_eq!(freehold.reload_tenant(&tenant).await.environments[0].aws_account_id, None);
        assert_eq!(current_mappings(freehold.pool()).await, []);
    }
}

#[tokio::test]
async fn internal_failures_are_retried_and_refused_creations_are_parked() {
    let freehold = Freehold::instant().await;
    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::failed("INTERNAL_FAILURE")).nth(1));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(tenant.state(), TenantState::Ready, "{operation:#?}");
    assert_eq!(world_snapshot::account_requests(&freehold.world), 2);

    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::failed("INVALID_PAYMENT_INSTRUMENT")));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(tenant.state(), TenantState::NeedsAttention);
    let (code, message) = attention(&operation);
    assert_eq!(code, "payment_instrument_needed");
    assert!(message.contains("INVALID_PAYMENT_INSTRUMENT"), "{message}");

    // A parked operation holds no slot. A retry sends a new account request and ignores the failure of the old request.
    assert_eq!(used_slots(&freehold).await, 0);
    freehold.world.clear_faults();
    retry(&freehold, &operation).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);
}

#[tokio::test]
async fn a_refused_account_creation_holds_no_slot() {
    let freehold = Freehold::instant().await;
    let fault = Fault::error("AccessDeniedException", "You don't have permissions to access this resource.");
    freehold.world.inject(Rule::on("organizations", "CreateAccount", fault));
    let (_, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(attention(&operation).0, "aws_access_denied");
    assert_eq!(used_slots(&freehold).await, 0);
}

#[tokio::test]
async fn a_failing_assignment_is_parked_and_can_be_retried() {
    let freehold = Freehold::instant().await;
    let fault = Fault::failed("Received a 403 status error: Access denied by IAM");
    freehold.world.inject(Rule::on("ssoadmin", "CreateAccountAssignment", fault));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "assignment_failed");
    assert!(message.contains("403"), "{message}");
    assert_eq!(used_slots(&freehold).await, 0);
    freehold.world.clear_faults();
    retry(&freehold, &operation).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);
}

#[tokio::test]
async fn a_late_account_creation_needs_attention_and_is_still_polled() {
    let freehold = Freehold::instant().await;
    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::Stuck).nth(1));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(attention(&operation).0, "deadline_passed");
    assert_eq!(tenant.state(), TenantState::NeedsAttention);
    assert!(operation.wake_at.is_some(), "polling has stopped");
    assert_eq!(used_slots(&freehold).await, 1, "the request still occupies a slot of AWS");
}

#[tokio::test]
async fn a_late_account_creation_that_finishes_needs_no_more_attention() {
    let settings = Settings {
        durations: Durations { create_account: DurationDistribution::constant(20.0 * 60.0), ..Durations::instant() },
        ..Settings::instant()
    };
    let freehold = Freehold::with(settings, CONFIG).await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let worker = freehold.worker("worker-1");
    while freehold.operation_of(&tenant).await.state != OperationState::NeedsAttention {
        freehold.run_due_and_advance(&worker).await.expect("a wake-up");
    }
    let late = freehold.clock.now() - tenant.created_at;
    assert!(late >= TimeDelta::minutes(15) && late < TimeDelta::minutes(20), "late after {late}");
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!((operation.state, operation.attention), (OperationState::Succeeded, None));
}

#[tokio::test]
async fn a_retry_after_a_deadline_gets_a_new_deadline() {
    let freehold = Freehold::instant().await;
    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::Stuck).nth(1));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    let now = freehold.clock.now();
    lifecycle::retry(freehold.pool(), operation.id, "support", now).await.expect("an answer");
    let worker = freehold.worker("worker-2");
    while freehold.operation_of(&tenant).await.state != OperationState::NeedsAttention {
        freehold.run_due_and_advance(&worker).await.expect("a wake-up");
    }
    let elapsed = freehold.clock.now() - now;
    assert!(elapsed >= TimeDelta::minutes(15), "late again after {elapsed}");
}

/// Retries a parked operation and runs it until no work is scheduled.
async fn retry(freehold: &Freehold, operation: &Operation) {
    let retried = lifecycle::retry(freehold.pool(), operation.id, "support", freehold.clock.now()).await;
    assert_eq!(retried.expect("an answer"), lifecycle::RetryResult::Scheduled);
    freehold.run_until_idle(&freehold.worker("another"), MAX_SIMULATED_TIME).await;
}

/// Returns the number of slots that operations hold or are queued for.
async fn used_slots(freehold: &Freehold) -> i64 {
    sqlx::query_scalar("select count(*) from slots").fetch_one(freehold.pool()).await.expect("an answer")
}

#[tokio::test]
async fn a_parked_operation_continues_after_a_retry() {
    let freehold = Freehold::instant().await;
    freehold.world.inject(Rule::on("organizations", "MoveAccount", Fault::error("AccessDeniedException", "no")));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(attention(&operation).0, "aws_access_denied");
    assert_eq!(operation.wake_at, None, "a parked operation has no wake-up");

    freehold.world.clear_faults();
    let now = freehold.clock.now();
    assert_eq!(
        lifecycle::retry(freehold.pool(), operation.id, "support", now).await.expect("an answer"),
        lifecycle::RetryResult::Scheduled
    );
    freehold.run_until_idle(&freehold.worker("worker-2"), MAX_SIMULATED_TIME).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);
    assert_eq!(world_snapshot::account_requests(&freehold.world), 1);
}

#[tokio::test]
async fn a_failed_stack_is_created_again_and_reported_if_it_keeps_failing() {
    let freehold = Freehold::instant().await;
    let fault = Fault::failed("Resource handler returned message: Rate exceeded");
    freehold.world.inject(Rule::on("cloudformation", "CreateStack", fault.clone()).nth(1));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(freehold.world.fault_hits().len(), 1);
    assert_eq!(tenant.state(), TenantState::Ready, "{operation:#?}");

    freehold.world.inject(Rule::on("cloudformation", "CreateStack", fault));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!(tenant.state(), TenantState::NeedsAttention);
    let (code, message) = attention(&operation);
    assert_eq!(code, "stack_failed");
    assert!(message.contains("Rate exceeded"), "{message}");
}

#[tokio::test]
async fn a_stack_that_fails_after_a_lost_response_is_created_again() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.faulty_client.inject(WireRule::on("cloudformation", "CreateStack", WireEffect::ResetAfterCall).nth(1));
    freehold.world.inject(Rule::on("cloudformation", "CreateStack", Fault::failed("Internal Failure")).nth(1));
    let (tenant, operation) = sign_up_and_settle(&freehold).await;
    assert_eq!((freehold.faulty_client.hits().len(), freehold.world.fault_hits().len()), (1, 1));
    assert_eq!(tenant.state(), TenantState::Ready, "{operation:#?}");
}

#[tokio::test]
async fn no_account_is_moved_before_the_organisation_is_bootstrapped() {
    let more = "\n[[residencies]]\nname = \"jp\"\nregions = [\"ap-northeast-1\"]\n";
    let freehold = Freehold::instant().await.with_config(&format!("{CONFIG}{more}"));
    let tenant = freehold.sign_up("Example", "ap-northeast-1", "standard").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(operation.state, OperationState::NeedsAttention);
    let (code, message) = attention(&operation);
    assert_eq!(code, "residency_not_prepared");
    assert!(message.contains("freehold bootstrap"), "{message}");
}
