//! Stacks: scenarios 32 to 42.

use std::collections::BTreeMap;

use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::cloud::{Cloud, NewStack, Role, StackStatus, Tags};

use super::{LONG, attention, calls, error, is_ready, meanwhile, onboard, our_tags, region, retry, target};

const TEMPLATE: &str = include_str!("../../../stacks/tenant.yaml");
const STACK: &str = "freehold-tenant";

/// The tenant's own stack, where a fault shall not hit the baseline.
fn on_create(fault: Fault) -> Rule {
    Rule::on("cloudformation", "CreateStack", fault).containing("TIER: !Ref Tier")
}

/// The stack as Freehold asks for it, by another token.
fn stack(freehold: &Freehold, tenant: &Tenant, tier: &str, tags: Tags) -> NewStack {
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
        parameters,
        tags,
        token: format!("by-hand-{tier}"),
    }
}

async fn create(freehold: &Freehold, tenant: &Tenant, stack: &NewStack) {
    let home = region("eu-central-1");
    freehold.aws(None).create_stack(&target(freehold, tenant), Role::Access, home, stack).await.expect("accepted");
}

/// A tenant whose stack somebody makes by hand at the very moment at which Freehold asks for it.
async fn beaten_to_it(freehold: &Freehold, tier: &str, tags: fn(&Freehold, &Tenant) -> Tags) -> Tenant {
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let call = ("cloudformation", "CreateStack", "TIER: !Ref Tier");
    meanwhile(freehold, &freehold.worker("worker-1"), call, async {
        create(freehold, &tenant, &stack(freehold, &tenant, tier, tags(freehold, &tenant))).await;
    })
    .await;
    tenant
}

fn states(freehold: &Freehold) -> Vec<&'static str> {
    freehold.world.stacks().into_iter().filter(|stack| stack.name == STACK).map(|stack| stack.status).collect()
}

#[tokio::test]
async fn a_stack_that_a_policy_denies_is_told_at_once() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let reason = "Resource handler returned message: \"User is not authorized to perform: lambda:CreateFunction with an \
                  explicit deny in a service control policy\"";
    freehold.world.inject(Rule::on("cloudformation", "AWS::Lambda::Function", Fault::failed(reason)));
    let (tenant, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "stack_denied_by_policy");
    assert!(message.contains("Function") && message.contains("lambda:CreateFunction"), "{message}");
    assert_eq!(states(&freehold).len(), 1, "tried again in vain");
    freehold.world.clear_faults();
    is_ready(&retry(&freehold, &tenant).await);
}

#[tokio::test]
async fn a_stack_that_is_there_already_is_taken_and_brought_up_to_date() {
    let freehold = Freehold::instant().await;
    let tenant = beaten_to_it(&freehold, "enterprise", our_tags).await;
    is_ready(&(freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await));
    assert_eq!(states(&freehold), ["UPDATE_COMPLETE"], "it was of another tier");
}

#[tokio::test]
async fn a_stack_that_is_there_already_and_needs_no_update_is_taken_as_it_is() {
    let freehold = Freehold::instant().await;
    let tenant = beaten_to_it(&freehold, "standard", our_tags).await;
    is_ready(&(freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await));
    assert_eq!(states(&freehold), ["CREATE_COMPLETE"]);
    assert_eq!(calls(&freehold, "cloudformation:UpdateStack"), (1, 1), "no updates are to be performed");
}

#[tokio::test]
async fn somebody_elses_stack_of_the_same_name_is_left_alone() {
    let freehold = Freehold::instant().await;
    let tenant = beaten_to_it(&freehold, "standard", |_, _| Tags::new()).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(attention(&operation).0, "stack_name_taken");
    assert_eq!(states(&freehold), ["CREATE_COMPLETE"]);
}

#[tokio::test]
async fn a_token_that_was_used_for_what_is_gone_is_followed_by_another() {
    let freehold = Freehold::instant().await;
    freehold.wire.inject(
        WireRule::on("cloudformation", "CreateStack", WireEffect::ResetAfterCall).containing("TIER: !Ref Tier").nth(1),
    );
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let worker = freehold.worker("worker-1");
    while freehold.wire.hits().is_empty() {
        freehold.step(&worker).await.expect("it goes on");
    }
    // The answer was lost, and before anybody has looked, somebody deletes what came of it.
    let (target, home) = (target(&freehold, &tenant), region("eu-central-1"));
    freehold.aws(None).delete_stack(&target, Role::Access, home, STACK).await.expect("deleted");
    freehold.settle(&worker, LONG).await;
    is_ready(&(freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await));
    let mut states = states(&freehold);
    states.sort_unstable();
    assert_eq!(states, ["CREATE_COMPLETE", "DELETE_COMPLETE"]);
    let calls = freehold.world.calls();
    assert!(calls.recent().any(|call| call.error.as_deref() == Some("TokenAlreadyExistsException")));
}

#[tokio::test]
async fn a_creation_that_could_not_even_be_taken_back_is_deleted_and_made_anew() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold
        .world
        .inject(Rule::on("cloudformation", "AWS::Lambda::Function", Fault::failed("Internal Failure")).nth(1));
    let fault = Fault::failed("The role is in use");
    freehold.world.inject(Rule::on("cloudformation", "Delete AWS::IAM::Role", fault).nth(1));
    let ended = onboard(&freehold).await;
    is_ready(&ended);
    assert_eq!(freehold.world.fault_hits().len(), 2);
}

#[tokio::test]
async fn an_update_that_could_not_be_taken_back_is_told_and_goes_on_when_it_is_tried_again() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let call = ("cloudformation", "CreateStack", "TIER: !Ref Tier");
    meanwhile(&freehold, &freehold.worker("worker-1"), call, async {
        let tags = our_tags(&freehold, &tenant);
        create(&freehold, &tenant, &stack(&freehold, &tenant, "standard", tags.clone())).await;
        for what in ["AWS::Lambda::Function", "Restore AWS::Lambda::Function"] {
            freehold.world.inject(Rule::on("cloudformation", what, Fault::failed("Internal Failure")));
        }
        let update = stack(&freehold, &tenant, "enterprise", tags);
        let (target, home) = (target(&freehold, &tenant), region("eu-central-1"));
        assert!(freehold.aws(None).update_stack(&target, Role::Access, home, &update).await.expect("accepted"));
    })
    .await;
    assert_eq!(states(&freehold), ["UPDATE_ROLLBACK_FAILED"]);
    let operation = freehold.operation_of(&tenant).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "stack_update_stuck");
    assert!(message.contains("Function"), "{message}");
    freehold.world.clear_faults();
    is_ready(&retry(&freehold, &tenant).await);
    assert_eq!(calls(&freehold, "cloudformation:ContinueUpdateRollback"), (1, 0));
}

#[tokio::test]
async fn what_cannot_be_deleted_is_told_and_left_behind_when_it_is_tried_again() {
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
    assert_eq!(states(&freehold), ["DELETE_FAILED"]);
    let (tenant, _) = retry(&freehold, &tenant).await;
    let account = target(&freehold, &tenant);
    let gone = freehold.world.stacks().into_iter().find(|stack| stack.name == STACK).expect("the first").id;
    let state = freehold.aws(None).stack(&account, Role::Access, region("eu-central-1"), &gone).await;
    assert_eq!(state.expect("an answer").expect("it is known by its id").status, StackStatus::Deleted);
}

#[tokio::test]
async fn a_stack_that_somebody_has_protected_is_told_as_protected() {
    let freehold = Freehold::instant().await;
    freehold.world.inject(on_create(Fault::failed("Internal Failure")).nth(1));
    let protected = "Stack [freehold-tenant] cannot be deleted while TerminationProtection is enabled";
    freehold.world.inject(Rule::on("cloudformation", "DeleteStack", error("ValidationError", protected)));
    let (tenant, operation) = onboard(&freehold).await;
    assert_eq!(attention(&operation).0, "stack_protected");
    freehold.world.clear_faults();
    is_ready(&retry(&freehold, &tenant).await);
}

#[tokio::test]
async fn a_template_that_aws_does_not_take_is_told_by_what_is_wrong_with_it() {
    for (aws, message, expected) in [
        (
            "InsufficientCapabilitiesException",
            "Requires capabilities : [CAPABILITY_AUTO_EXPAND]",
            "stack_needs_capabilities",
        ),
        ("LimitExceededException", "Limit for stack has been exceeded", "aws_quota_reached"),
        ("ValidationError", "Template format error: unsupported structure.", "stack_rejected"),
    ] {
        let freehold = Freehold::instant().await;
        freehold.world.inject(on_create(error(aws, message)).nth(1));
        let (tenant, operation) = onboard(&freehold).await;
        let (code, message) = attention(&operation);
        assert_eq!(code, expected);
        assert!(message.contains(message), "{message}");
        assert_eq!(freehold.world.fault_hits().len(), 1, "asked again by itself");
        is_ready(&retry(&freehold, &tenant).await);
    }
}

#[tokio::test]
async fn throttling_inside_an_account_is_sat_out() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.world.inject(Rule::on("cloudformation", "*", Fault::Throttle).times(20));
    let ended = onboard(&freehold).await;
    is_ready(&ended);
    assert_eq!(freehold.world.fault_hits().len(), 20);
}

#[tokio::test]
async fn a_template_that_reserves_concurrency_is_told_why_a_new_account_refuses_it() {
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
    assert_eq!(states(&freehold).len(), 1, "tried again in vain");
}
