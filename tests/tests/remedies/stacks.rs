//! Cases of stacks that cannot be deployed, verified or deleted.

use std::fs;
use std::time::Duration;

use freehold_sandbox::Settings;
use freehold_sandbox::cloudformation::Status;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tests::fixture::{CONFIG, config_with_edge};
use freehold_worker::cloud::Role;
use serde_json::json;
use tempfile::NamedTempFile;

use super::scene::{Probe, Proof, Scene, slow_stacks};
use crate::scenarios::stacks::{create, on_stack_creation, stack};
use crate::scenarios::{freehold_tags, region, run_during_call, target};

const TEMPLATE: &str = include_str!("../../../stacks/tenant.yaml");
const STACK: &str = "freehold-tenant";

/// Onboards a tenant while `rule` is in effect. It ends before a retry.
async fn fault(probe: Probe, rule: Rule) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.inject(rule);
    scene.sign_up().await;
    scene.run().await;
    scene.attention().await;
    scene.clear_faults_before_retry();
    scene.apply().await
}

fn on_function(reason: &str) -> Rule {
    Rule::on("cloudformation", "AWS::Lambda::Function", Fault::failed(reason))
}

pub(super) async fn denied_resource(probe: Probe) -> Proof {
    fault(probe, on_function("not authorized to perform lambda:CreateFunction with an explicit deny")).await
}

pub(super) async fn failing_resource(probe: Probe) -> Proof {
    fault(probe, on_function("Internal Failure")).await
}

/// Another tenant has deployed the same template, so the refusal concerns one tenant.
pub(super) async fn missing_capability_of_one_tenant(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.onboard(json!({ "company_name": "First", "external_id": "first" })).await;
    let message = "Requires capabilities : [CAPABILITY_AUTO_EXPAND]";
    scene.inject(on_stack_creation(Fault::error("InsufficientCapabilitiesException", message)));
    scene.sign_up().await;
    scene.run().await;
    scene.attention().await;
    scene.clear_faults_before_retry();
    scene.apply().await
}

pub(super) async fn rejected_value(probe: Probe) -> Proof {
    let message = "Parameter 'Tier' must be one of AllowedValues";
    fault(probe, on_stack_creation(Fault::error("ValidationError", message))).await
}

/// Onboards a tenant with `TEMPLATE` in which `from` is replaced by `to`. The template is corrected before a retry,
/// and the worker is not restarted.
async fn template(probe: Probe, from: &str, to: &str) -> Proof {
    template_with_check(probe, from, to, "").await
}

/// Onboards a tenant like [`template`], with further lines of `[stack]`.
async fn template_with_check(probe: Probe, from: &str, to: &str, stack: &str) -> Proof {
    let broken = TEMPLATE.replace(from, to);
    assert_ne!(broken, TEMPLATE);
    let file = NamedTempFile::new().expect("a file");
    fs::write(file.path(), broken).expect("the template");
    // The sample uses Function URLs, which one region of the configuration lacks.
    let accepted = "accepted_resource_types = [\"AWS::Lambda::Url\"]";
    let config =
        format!("{CONFIG}\n[stack]\ntemplate = {:?}\n{accepted}\n{stack}\n", file.path().display().to_string());
    let mut scene = Scene::with(probe, Settings::instant(), &config).await;
    scene.sign_up().await;
    scene.run().await;
    scene.attention().await;
    if scene.is_retry() {
        fs::write(file.path(), TEMPLATE).expect("the corrected template");
        scene.freehold.clock.advance(Duration::from_secs(1));
    }
    scene.apply().await
}

pub(super) async fn template_with_another_environment(probe: Probe) -> Proof {
    template(probe, "ENVIRONMENT_ID: !Ref EnvironmentId", "ENVIRONMENT_ID: another").await
}

pub(super) async fn template_with_another_answer(probe: Probe) -> Proof {
    let check = "[stack.check.json]\n\"/environment\" = \"production\"";
    template_with_check(probe, "ENVIRONMENT: !Ref EnvironmentName", "ENVIRONMENT: staging", check).await
}

pub(super) async fn template_with_reserved_concurrency(probe: Probe) -> Proof {
    template(probe, "      Timeout: 10\n", "      Timeout: 10\n      ReservedConcurrentExecutions: 5\n").await
}

/// The output depends on a condition that is never met.
pub(super) async fn template_without_its_output(probe: Probe) -> Proof {
    template(probe, "  FunctionUrl:\n", "  FunctionUrl:\n    Condition: HomeRegionIsEmpty\n").await
}

pub(super) async fn front_door_that_the_residency_forbids(probe: Probe) -> Proof {
    let config = config_with_edge();
    let mut scene = Scene::with(probe, slow_stacks(), &config).await;
    scene.freehold.bootstrap().await;
    scene.sign_up_with(json!({ "front_door": true })).await;
    scene.run_until("verify").await;
    scene.restart_worker(CONFIG);
    scene.run().await;
    let message = scene.attention().await;
    assert!(message.contains("edge = false"), "{message}");
    if scene.is_retry() {
        scene.restart_worker(&config);
    }
    scene.apply().await
}

pub(super) async fn stack_in_an_unknown_state(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.sign_up().await;
    let world = scene.freehold.world.clone();
    let call = ("cloudformation", "DescribeStacks", STACK);
    run_during_call(&scene.freehold, &scene.worker, call, async {
        let regions = &mut world.state();
        let stacks = regions.accounts.values_mut().flat_map(|account| account.regions.values_mut());
        for stack in stacks.flat_map(|region| region.stacks.iter_mut()).filter(|stack| stack.name == STACK) {
            stack.status = Status::UpdateFailed;
        }
    })
    .await;
    scene.attention().await;
    if scene.is_retry() {
        scene.admin().delete_stack(&scene.account().await, STACK).await;
    }
    scene.apply().await
}

pub(super) async fn external_stack_of_the_same_name(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.sign_up().await;
    let call = ("cloudformation", "CreateStack", "TIER: !Ref Tier");
    Box::pin(run_during_call(&scene.freehold, &scene.worker, call, async {
        scene.admin().create_stack(&scene.account().await, STACK).await;
    }))
    .await;
    scene.attention().await;
    if scene.is_retry() {
        scene.admin().delete_stack(&scene.account().await, STACK).await;
    }
    scene.apply().await
}

pub(super) async fn failed_rollback_of_an_update(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.sign_up().await;
    let tenant = scene.tenant().await;
    let call = ("cloudformation", "CreateStack", "TIER: !Ref Tier");
    run_during_call(&scene.freehold, &scene.worker, call, async {
        let (freehold, tags) = (&scene.freehold, freehold_tags(&scene.freehold, &tenant));
        create(freehold, &tenant, &stack(freehold, &tenant, "standard", tags.clone())).await;
        for action in ["AWS::Lambda::Function", "Restore AWS::Lambda::Function"] {
            scene.inject(Rule::on("cloudformation", action, Fault::failed("Internal Failure")));
        }
        let (update, target) = (stack(freehold, &tenant, "enterprise", tags), target(freehold, &tenant));
        let updated = freehold.aws(None).update_stack(&target, Role::Access, region("eu-central-1"), &update).await;
        assert!(updated.expect("a request"));
    })
    .await;
    scene.attention().await;
    scene.clear_faults_before_retry();
    scene.apply().await
}

pub(super) async fn protected_stack_of_an_onboarding(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.inject(on_function("Internal Failure").nth(1));
    scene.sign_up().await;
    Box::pin(run_during_call(&scene.freehold, &scene.worker, ("cloudformation", "DeleteStack", ""), async {
        scene.admin().protect_stack(&scene.account().await, STACK, true).await;
    }))
    .await;
    scene.attention().await;
    // Neither a retry nor a cancellation deletes a protected stack.
    scene.admin().protect_stack(&scene.account().await, STACK, false).await;
    scene.apply().await
}

pub(super) async fn stack_that_cannot_be_deleted(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.onboard(json!({})).await;
    let message = "Stack [freehold-tenant] cannot be deleted while in status UPDATE_COMPLETE_CLEANUP_IN_PROGRESS";
    let refusal = Fault::Error { status: 400, code: "ValidationError".into(), message: message.into() };
    scene.inject(Rule::on("cloudformation", "DeleteStack", refusal));
    scene.offboard().await;
    scene.attention().await;
    scene.clear_faults_before_retry();
    scene.apply().await
}

/// A retry retains the resource, so no other action is needed.
pub(super) async fn resource_that_cannot_be_deleted(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.onboard(json!({})).await;
    scene.inject(Rule::on("cloudformation", "Delete AWS::Logs::LogGroup", Fault::failed("The log group is in use")));
    scene.offboard().await;
    scene.attention().await;
    scene.apply().await
}
