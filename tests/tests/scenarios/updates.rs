//! Tests of updates to a release: scenarios 60 to 64 and 71.

use std::time::Duration;

use aws_sdk_cloudformation::types::{ChangeSetType, Parameter};
use chrono::TimeDelta;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_tenancy::ReleaseId;
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::operation::{Operation, OperationState};
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::Freehold;
use freehold_worker::cloud::Role;

use super::{MAX_SIMULATED_TIME, assert_ready, attention, calls, region, retry, run_during_call, target};
use crate::releases::{
    TEMPLATE, content, create_approved, create_ready_tenant, environment, releases_of, request, update,
};
use crate::steps::reconcile::account;
use crate::steps::reconcile::administrator::Administrator;

const HOME: &str = "eu-central-1";
const STACK: &str = "freehold-tenant";

/// Returns the template of the tenant's stack in AWS.
async fn template_in_aws(freehold: &Freehold, tenant: &Tenant) -> String {
    let target = target(freehold, tenant);
    let template = freehold.aws(None).template_of_stack(&target, Role::Access, region(HOME), STACK).await;
    template.expect("a template")
}

/// Asserts that the environment has the release, in AWS and on record, and that its operation has succeeded.
async fn assert_updated(freehold: &Freehold, tenant: &Tenant, release: ReleaseId, days: u32) {
    let operation = latest_operation(freehold, tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    assert_eq!(releases_of(&environment(freehold, tenant).await)[0].1, Some(release));
    assert_eq!(template_in_aws(freehold, tenant).await, content(days).template.expect("a template"));
}

async fn latest_operation(freehold: &Freehold, tenant: &Tenant) -> Operation {
    freehold.operation_of(&freehold.reload_tenant(tenant).await).await
}

/// Returns whether AWS has answered a call with this error code.
fn was_answered(freehold: &Freehold, call: &str, code: &str) -> bool {
    freehold.world.calls().recent().any(|one| one.operation == call && one.error.as_deref() == Some(code))
}

#[tokio::test]
async fn a_release_without_changes_is_recorded_without_an_update() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let release = create_approved(&freehold, &worker, &content(30)).await;
    let operation = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    assert_eq!(releases_of(&environment(&freehold, &tenant).await)[0].1, Some(release));
    assert_eq!(calls(&freehold, "cloudformation:ExecuteChangeSet"), (0, 0));
    let state = freehold.world.state();
    let stacks = state.accounts.values().flat_map(|one| one.regions.values()).flat_map(|one| one.stacks.iter());
    assert!(stacks.filter(|stack| stack.name == STACK).all(|stack| stack.change_sets.is_empty()), "one is left");
}

#[tokio::test]
async fn a_change_set_that_became_obsolete_is_replaced() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let release = create_approved(&freehold, &worker, &content(60)).await;
    request(&freehold, &tenant, release).await;
    Box::pin(run_during_call(&freehold, &worker, ("cloudformation", "ExecuteChangeSet", ""), async {
        let tier = Parameter::builder().parameter_key("Tier").parameter_value("gold").build();
        Administrator::of(&freehold).set_parameter(&account(&tenant), HOME, STACK, tier).await;
    }))
    .await;
    assert!(was_answered(&freehold, "cloudformation:ExecuteChangeSet", "InvalidChangeSetStatus"));
    assert_updated(&freehold, &tenant, release, 60).await;
}

#[tokio::test]
async fn a_change_set_that_another_execution_deletes_is_replaced() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let release = create_approved(&freehold, &worker, &content(60)).await;
    request(&freehold, &tenant, release).await;
    Box::pin(run_during_call(&freehold, &worker, ("cloudformation", "ExecuteChangeSet", ""), async {
        let other = content(90).template.expect("a template");
        Administrator::of(&freehold).replace_template(&account(&tenant), HOME, STACK, &other).await;
    }))
    .await;
    assert!(was_answered(&freehold, "cloudformation:ExecuteChangeSet", "ChangeSetNotFound"));
    assert_updated(&freehold, &tenant, release, 60).await;
}

#[tokio::test]
async fn the_execution_of_another_change_set_is_not_taken_for_the_own() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let release = create_approved(&freehold, &worker, &content(60)).await;
    request(&freehold, &tenant, release).await;
    // The worker dies between the intent and the call.
    let delay = WireEffect::Delay(Duration::from_hours(1));
    freehold.faulty_client.inject(WireRule::on("cloudformation", "ExecuteChangeSet", delay.clone()).nth(1));
    let is_delayed = async {
        while !freehold.faulty_client.hits().iter().any(|hit| hit.effect == delay) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = freehold.run_until_idle(&worker, MAX_SIMULATED_TIME) => panic!("the call was not delayed"),
        () = is_delayed => {}
    }
    let other = content(90).template.expect("a template");
    Administrator::of(&freehold).replace_template(&account(&tenant), HOME, STACK, &other).await;
    freehold.clock.advance(Duration::from_mins(1));
    freehold.run_until_idle(&freehold.worker("worker-2"), MAX_SIMULATED_TIME).await;
    assert_updated(&freehold, &tenant, release, 60).await;
}

#[tokio::test]
async fn changes_by_hand_that_never_end_fail_the_update() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let release = create_approved(&freehold, &worker, &content(60)).await;
    let gone = Fault::Error { status: 404, code: "ChangeSetNotFound".to_owned(), message: "It is gone".to_owned() };
    freehold.world.inject(Rule::on("cloudformation", "ExecuteChangeSet", gone));
    let operation = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(operation.state, OperationState::Failed, "{operation:#?}");
    let message = operation.failure.expect("a failure").message;
    assert!(message.contains("have made 5 change sets useless"), "{message}");
    assert_eq!(environment(&freehold, &tenant).await.state, EnvironmentState::Ready);
    assert_eq!(template_in_aws(&freehold, &tenant).await, TEMPLATE);
}

#[tokio::test]
async fn a_stack_in_review_blocks_its_name_until_it_is_deleted() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", HOME, "standard").await;
    let call = ("cloudformation", "CreateStack", "TIER: !Ref Tier");
    let mut blocked = String::new();
    Box::pin(run_during_call(&freehold, &freehold.worker("worker-1"), call, async {
        blocked = target(&freehold, &tenant).id().to_string();
        let template = r#"{"Resources": {"Logs": {"Type": "AWS::Logs::LogGroup"}}}"#;
        let client = Administrator::of(&freehold).cloudformation_in(&blocked, HOME).await;
        let create = client.create_change_set().change_set_type(ChangeSetType::Create).stack_name(STACK);
        let create = create.change_set_name("by-hand").template_body(template);
        create.send().await.expect("a change set");
    }))
    .await;
    let operation = freehold.operation_of(&tenant).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "stack_name_taken", "{message}");
    Administrator::of(&freehold).delete_stack(&blocked, STACK).await;
    assert_ready(&retry(&freehold, &tenant).await);
}

#[tokio::test]
async fn a_rollback_that_meets_a_change_by_hand_needs_a_person() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let before = releases_of(&environment(&freehold, &tenant).await);
    let release = create_approved(&freehold, &worker, &content(60)).await;
    for action in ["AWS::Logs::LogGroup", "Restore AWS::Logs::LogGroup"] {
        let fault = Fault::failed("The specified log group does not exist.");
        freehold.world.inject(Rule::on("cloudformation", action, fault));
    }
    let operation = update(&freehold, &worker, &tenant, release).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "stack_update_stuck");
    assert!(message.contains("Logs"), "{message}");
    assert_eq!(environment(&freehold, &tenant).await.state, EnvironmentState::Ready);

    // A person creates the log group again.
    freehold.world.clear_faults();
    freehold.clock.advance(TimeDelta::minutes(5).to_std().expect("a duration"));
    let (_, operation) = retry(&freehold, &freehold.reload_tenant(&tenant).await).await;
    assert_eq!(calls(&freehold, "cloudformation:ContinueUpdateRollback"), (1, 0));
    assert_eq!(operation.state, OperationState::Failed, "{operation:#?}");
    assert_eq!(releases_of(&environment(&freehold, &tenant).await), before);
    assert_eq!(template_in_aws(&freehold, &tenant).await, TEMPLATE);
    let updated = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(updated.state, OperationState::Succeeded, "{updated:#?}");
}
