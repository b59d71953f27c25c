//! Tests of stacks: scenarios 32 to 42.

use std::collections::BTreeMap;

use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_tenancy::config::Capability;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::cloud::{NewStack, Role, StackStatus, Tags};

use super::{
    MAX_SIMULATED_TIME, assert_ready, attention, calls, error, freehold_tags, onboard, region, retry, run_during_call,
    target,
};

const TEMPLATE: &str = include_str!("../../../stacks/tenant.yaml");
const STACK: &str = "freehold-tenant";

/// Returns a rule that injects a fault when the tenant's stack is created, but not when the baseline stack is created.
pub(crate) fn on_stack_creation(fault: Fault) -> Rule {
    Rule::on("cloudformation", "CreateStack", fault).containing("TIER: !Ref Tier")
}

/// Returns the stack that Freehold would create for the tenant, but with this tier, these tags and a different request
/// token.
pub(crate) fn stack(freehold: &Freehold, tenant: &Tenant, tier: &str, tags: Tags) -> NewStack {
    let environment = &tenant.environments[0];
    let account = target(freehold, tenant);
    let parameters = BTreeMap::from([
        ("TenantId".to_owned(), tenant.id.to_string()),
        ("EnvironmentId".to_owned(), environment.id.to_string()),
        ("EnvironmentName".to_owned(), environment.name.to_string()),
        ("Tier".to_owned(), tier.to_owned()),
        ("HomeRegion".to_owned(), environment.home_region.to_string()),
        ("VerifyRoleArn".to_owned(), format!("arn:aws:iam::{}:role/freehold-verify", account.id())),
    ]);
    NewStack {
        name: STACK.to_owned(),
        template: TEMPLATE.to_owned(),
        template_url: None,
        capabilities: vec![Capability::NamedIam],
        parameters,
        tags,
        token: format!("by-hand-{tier}"),
    }
}

pub(crate) async fn create(freehold: &Freehold, tenant: &Tenant, stack: &NewStack) {
    let home = region("eu-central-1");
    freehold.aws(None).create_stack(&target(freehold, tenant), Role::Access, home, stack).await.expect("a request");
}

/// Onboards a tenant; another actor creates the tenant's stack while Freehold's CreateStack call is in progress.
async fn onboard_with_existing_stack(freehold: &Freehold, tier: &str, tags: fn(&Freehold, &Tenant) -> Tags) -> Tenant {
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let call = ("cloudformation", "CreateStack", "TIER: !Ref Tier");
    run_during_call(freehold, &freehold.worker("worker-1"), call, async {
        create(freehold, &tenant, &stack(freehold, &tenant, tier, tags(freehold, &tenant))).await;
    })
    .await;
    tenant
}

fn stack_states(freehold: &Freehold) -> Vec<&'static str> {
    freehold.world.stacks().into_iter().filter(|stack| stack.name == STACK).map(|stack| stack.status).collect()
}

#[tokio::test]
async fn a_stack_denied_by_a_policy_needs_attention_immediately() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let reason = "Resource handler returned message: \"User is not authorized to perform: lambda:CreateFunction with \
                  an explicit deny in a service control policy\"";
    freehold.world.inject(Rule::on("cloudformation", "AWS::Lambda::Function", Fault::failed(reason)));
    let (tenant, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "stack_denied_by_policy");
    assert!(message.contains("Function") && message.contains("lambda:CreateFunction"), "{message}");
    assert_eq!(stack_states(&freehold).len(), 1, "the stack was created again");
    freehold.world.clear_faults();
    assert_ready(&retry(&freehold, &tenant).await);
}

#[tokio::test]
async fn an_existing_stack_with_freehold_tags_is_adopted_and_updated() {
    let freehold = Freehold::instant().await;
    let tenant = onboard_with_existing_stack(&freehold, "enterprise", freehold_tags).await;
    assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
    assert_eq!(stack_states(&freehold), ["UPDATE_COMPLETE"], "the stack was updated to the tier");
}

#[tokio::test]
async fn an_existing_stack_that_is_up_to_date_is_adopted() {
    let freehold = Freehold::instant().await;
    let tenant = onboard_with_existing_stack(&freehold, "standard", freehold_tags).await;
    assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
    assert_eq!(stack_states(&freehold), ["CREATE_COMPLETE"]);
    assert_eq!(calls(&freehold, "cloudformation:UpdateStack"), (1, 1), "(calls, refusals)");
}

#[tokio::test]
async fn an_external_stack_of_the_same_name_is_not_changed() {
    let freehold = Freehold::instant().await;
    let tenant = onboard_with_existing_stack(&freehold, "standard", |_, _| Tags::new()).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(attention(&operation).0, "stack_name_taken");
    assert_eq!(stack_states(&freehold), ["CREATE_COMPLETE"]);
}

#[tokio::test]
async fn the_token_of_a_deleted_stack_is_replaced() {
    let freehold = Freehold::instant().await;
    freehold.faulty_client.inject(
        WireRule::on("cloudformation", "CreateStack", WireEffect::ResetAfterCall).containing("TIER: !Ref Tier").nth(1),
    );
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let worker = freehold.worker("worker-1");
    while freehold.faulty_client.hits().is_empty() {
        freehold.run_due_and_advance(&worker).await.expect("a wake-up");
    }
    // The response of CreateStack is lost, and the new stack is deleted before Freehold's next poll.
    let (target, home) = (target(&freehold, &tenant), region("eu-central-1"));
    freehold.aws(None).delete_stack(&target, Role::Access, home, STACK).await.expect("a deletion");
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
    let mut states = stack_states(&freehold);
    states.sort_unstable();
    assert_eq!(states, ["CREATE_COMPLETE", "DELETE_COMPLETE"]);
    let calls = freehold.world.calls();
    assert!(calls.recent().any(|call| call.error.as_deref() == Some("TokenAlreadyExistsException")));
}

#[tokio::test]
async fn a_stack_with_a_failed_rollback_is_deleted_and_created_again() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold
        .world
        .inject(Rule::on("cloudformation", "AWS::Lambda::Function", Fault::failed("Internal Failure")).nth(1));
    let fault = Fault::failed("The role is in use");
    freehold.world.inject(Rule::on("cloudformation", "Delete AWS::IAM::Role", fault).nth(1));
    let outcome = onboard(&freehold).await;
    assert_ready(&outcome);
    assert_eq!(freehold.world.fault_hits().len(), 2);
}

#[tokio::test]
async fn a_retry_continues_a_failed_update_rollback() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let call = ("cloudformation", "CreateStack", "TIER: !Ref Tier");
    run_during_call(&freehold, &freehold.worker("worker-1"), call, async {
        let tags = freehold_tags(&freehold, &tenant);
        create(&freehold, &tenant, &stack(&freehold, &tenant, "standard", tags.clone())).await;
        for action in ["AWS::Lambda::Function", "Restore AWS::Lambda::Function"] {
            freehold.world.inject(Rule::on("cloudformation", action, Fault::failed("Internal Failure")));
        }
        let update = stack(&freehold, &tenant, "enterprise", tags);
        let (target, home) = (target(&freehold, &tenant), region("eu-central-1"));
        assert!(freehold.aws(None).update_stack(&target, Role::Access, home, &update).await.expect("a request"));
    })
    .await;
    assert_eq!(stack_states(&freehold), ["UPDATE_ROLLBACK_FAILED"]);
    let operation = freehold.operation_of(&tenant).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "stack_update_stuck");
    assert!(message.contains("Function"), "{message}");
    freehold.world.clear_faults();
    assert_ready(&retry(&freehold, &tenant).await);
    assert_eq!(calls(&freehold, "cloudformation:ContinueUpdateRollback"), (1, 0));
}

#[tokio::test]
async fn a_retry_keeps_resources_that_cannot_be_deleted() {
    let freehold = Freehold::instant().await;
    freehold
        .world
        .inject(Rule::on("cloudformation", "AWS::Lambda::Function", Fault::failed("Internal Failure")).nth(1));
    let fault = Fault::failed("The log group is in use");
    freehold.world.inject(Rule::on("cloudformation", "Delete AWS::Logs::LogGroup", fault).times(2));
    let (tenant, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "stack_not_deleted");
    assert!(message.contains("Logs"), "{message}");
    assert_eq!(stack_states(&freehold), ["DELETE_FAILED"]);
    let (tenant, _) = retry(&freehold, &tenant).await;
    let account = target(&freehold, &tenant);
    let first_stack = freehold.world.stacks().into_iter().find(|stack| stack.name == STACK).expect("the first").id;
    let state = freehold.aws(None).stack(&account, Role::Access, region("eu-central-1"), &first_stack).await;
    assert_eq!(state.expect("an answer").expect("a deleted stack").status, StackStatus::Deleted);
}

#[tokio::test]
async fn a_protected_stack_has_its_own_attention_code() {
    let freehold = Freehold::instant().await;
    freehold.world.inject(on_stack_creation(Fault::failed("Internal Failure")).nth(1));
    let protected = "Stack [freehold-tenant] cannot be deleted while TerminationProtection is enabled";
    freehold.world.inject(Rule::on("cloudformation", "DeleteStack", error("ValidationError", protected)));
    let (tenant, operation) = onboard(&freehold).await;
    assert_eq!(attention(&operation).0, "stack_protected");
    freehold.world.clear_faults();
    assert_ready(&retry(&freehold, &tenant).await);
}

#[tokio::test]
async fn a_rejected_stack_is_reported_with_its_cause() {
    for (aws_code, aws_message, expected) in [
        ("LimitExceededException", "Limit for stack has been exceeded", "aws_quota_reached"),
        ("ValidationError", "Parameter 'Tier' must be one of AllowedValues", "stack_rejected"),
    ] {
        let freehold = Freehold::instant().await;
        freehold.world.inject(on_stack_creation(error(aws_code, aws_message)).nth(1));
        let (tenant, operation) = onboard(&freehold).await;
        let (code, message) = attention(&operation);
        assert_eq!(code, expected);
        assert!(message.contains(aws_message), "{message}");
        assert_eq!(freehold.world.fault_hits().len(), 1, "the SDK retried by itself");
        assert_ready(&retry(&freehold, &tenant).await);
    }
}

#[tokio::test]
async fn a_long_message_of_aws_keeps_its_reason_and_its_request_id() {
    let freehold = Freehold::instant().await;
    let reason = "failed to satisfy constraint: Member must have length less than or equal to 60";
    let message = format!("1 validation error detected: Value '{}' at 'parameters' {reason}", TEMPLATE.repeat(20));
    freehold.world.inject(on_stack_creation(error("ValidationError", &message)).nth(1));
    let (_, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "stack_rejected");
    assert!(message.ends_with(reason) && message.chars().count() <= 1_000, "{message}");
    assert!(message.contains("freehold-tenant in eu-central-1"), "{message}");
    assert!(message.contains("stack.parameters (AWS: parameters)"), "{message}");
    let request_id = operation.attention.as_ref().and_then(|attention| attention.aws_request_id.as_ref());
    let step = operation.steps.iter().find(|step| step.name == "deploy-stack").expect("the step");
    assert_eq!(step.last_error.as_deref(), Some(message));
    assert!(request_id.is_some() && step.last_error_aws_request_id.as_ref() == request_id, "{operation:#?}");
}

#[tokio::test]
async fn a_region_that_is_not_ready_is_shown_with_the_message_of_aws() {
    let freehold = Freehold::instant().await;
    let message = "The AWS Access Key Id needs a subscription for the service";
    freehold.world.inject(on_stack_creation(error("OptInRequired", message)));
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), chrono::TimeDelta::minutes(2)).await;
    let operation = freehold.operation_of(&tenant).await;
    let waits: Vec<_> = operation.steps.iter().filter_map(|step| step.waits_for.as_deref()).collect();
    assert!(waits.iter().any(|waits_for| waits_for.contains(message)), "{waits:?}");
}

#[tokio::test]
async fn throttling_inside_an_account_is_retried() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.world.inject(Rule::on("cloudformation", "*", Fault::Throttle).times(20));
    let outcome = onboard(&freehold).await;
    assert_ready(&outcome);
    assert_eq!(freehold.world.fault_hits().len(), 20);
}

#[tokio::test]
async fn a_template_gets_only_the_parameters_that_it_declares() {
    let (before, from) = TEMPLATE.split_once("  Tier:\n").expect("a parameter");
    let (_, after) = from.split_once("    Default: standard\n").expect("its default");
    let without_tier = format!("{before}{after}").replace("          TIER: !Ref Tier\n", "");
    assert!(!without_tier.contains("Tier"), "{without_tier}");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), without_tier).expect("the template");
    let config = format!("{CONFIG}\n[stack]\ntemplate = {:?}\n", file.path().display().to_string());
    let freehold = Freehold::with(Settings::instant(), &config).await;
    assert_ready(&onboard(&freehold).await);
}

#[tokio::test]
async fn reserved_concurrency_has_its_own_attention_code() {
    let reserving =
        TEMPLATE.replace("      Timeout: 10\n", "      Timeout: 10\n      ReservedConcurrentExecutions: 5\n");
    assert_ne!(reserving, TEMPLATE);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), reserving).expect("the template");
    let config = format!("{CONFIG}\n[stack]\ntemplate = {:?}\n", file.path().display().to_string());
    let freehold = Freehold::with(Settings::instant(), &config).await;
    let (_, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "stack_reserves_concurrency");
    assert!(message.contains("Function") && message.contains("ReservedConcurrentExecutions"), "{message}");
    assert_eq!(stack_states(&freehold).len(), 1, "the stack was created again");
}
