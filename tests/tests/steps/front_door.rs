//! Tests of front doors: they follow the regions of their environment, survive the loss of the home region, are closed
//! in quarantine, and are deleted before the functions behind them.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudformation::types::Parameter;
use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, OutageForm, Rule};
use freehold_sandbox::world::StackView;
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::db::environment_stacks;
use freehold_tenancy::db::lifecycle::{self, ChangeRegionsResult, RegionChange};
use freehold_tenancy::environment::{Environment, EnvironmentState};
use freehold_tenancy::front_door::{FrontDoor, FrontDoorState};
use freehold_tenancy::operation::{Initiator, OperationState};
use freehold_tenancy::tenant::Tenant;
use freehold_tenancy::{Region, step::StepName};
use freehold_tests::fixture::{Freehold, config_with_edge};
use freehold_worker::Worker;
use freehold_worker::cloud::{CheckRequest, Role, Target};
use freehold_worker::reconcile::RepairMode;

use super::change_regions::let_replicas_leave;
use super::offboarding::{MAX_SIMULATED_TIME, offboard, requester};
use super::reconcile::administrator::Administrator;
use super::reconcile::compare;
use super::replicas::{AN_HOUR, environment, latest_operation, tenant_stacks};
use super::suspension;

const STACK: &str = "freehold-front-door";
const TEMPLATE: &str = include_str!("../../../stacks/tenant.yaml");

pub(super) async fn installation() -> Freehold {
    Freehold::with(Settings::instant(), &config_with_edge()).await
}

/// Creates a tenant that is ready in eu-central-1, with a ready replica in eu-west-1 and a front door.
async fn create_ready_tenant(freehold: &Freehold) -> (Tenant, Arc<Worker>) {
    let tenant = freehold.sign_up_with_front_door("Example", "eu-central-1", &["eu-west-1"]).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let found = environment(freehold, &tenant).await;
    assert_eq!(found.state, EnvironmentState::Ready, "{:#?}", latest_operation(freehold, &tenant).await);
    assert_eq!(state(&found), Some(FrontDoorState::Deployed), "{:#?}", latest_operation(freehold, &tenant).await);
    (freehold.reload_tenant(&tenant).await, worker)
}

pub(super) fn state(environment: &Environment) -> Option<FrontDoorState> {
    environment.front_door.as_ref().map(|front_door| front_door.state)
}

pub(super) fn front_door(environment: &Environment) -> &FrontDoor {
    environment.front_door.as_ref().expect("a front door")
}

/// Returns the stack of the front door in the simulated organisation, or `None` if it is deleted.
fn stack(freehold: &Freehold) -> Option<StackView> {
    freehold.world.stacks().into_iter().find(|stack| stack.name == STACK && stack.status != "DELETE_COMPLETE")
}

/// Returns the value of a parameter of a stack of the environment.
pub(super) async fn parameter(
    freehold: &Freehold,
    environment: &Environment,
    (region, stack, name): (&str, &str, &str),
) -> String {
    let account = environment.aws_account_id.clone().expect("an account");
    let target = Target::new(account, environment.id, &freehold.config.organization).expect("a target");
    let region = region.parse().expect("a region");
    let found = freehold.aws(None).stack(&target, Role::Access, region, stack).await.expect("a response");
    found.expect("the stack").parameters[name].clone()
}

/// Returns the region that answers a viewer of the front door, or the code of CloudFront's error.
pub(super) async fn answer(freehold: &Freehold, environment: &Environment) -> Result<String, String> {
    let url = front_door(environment).url.as_deref().expect("a URL");
    let response = freehold.aws(None).call_front_door(url, &CheckRequest::get("/")).await;
    let response = response.map_err(|error| error.code)?;
    let body: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    Ok(body["region"].as_str().expect("a region").to_owned())
}

/// Requests these replicas and a front door, or none, for the tenant's only environment.
pub(crate) async fn change(
    freehold: &Freehold,
    tenant: &Tenant,
    replicas: &[&str],
    front_door: bool,
) -> ChangeRegionsResult {
    let replica_regions: Vec<Region> = replicas.iter().map(|region| region.parse().expect("a region")).collect();
    let now = freehold.clock.now();
    let change = RegionChange {
        tenant: tenant.id,
        environment: &tenant.environments[0].name,
        known_regions: None,
        replica_regions: &replica_regions,
        known_front_door: None,
        front_door,
        leaving_at: now + TimeDelta::days(7),
        requested_by: &requester("ann"),
    };
    lifecycle::change_regions(freehold.pool(), &change, now).await.expect("an answer")
}

#[tokio::test]
async fn an_environment_answers_at_its_front_door_while_its_home_region_is_lost() {
    let freehold = installation().await;
    let (tenant, _) = create_ready_tenant(&freehold).await;
    let ready = &tenant.environments[0];
    let front = front_door(ready);
    assert_eq!(ready.url("FunctionUrl"), front.url);
    let domain = front.domain.as_deref().expect("a domain name");
    assert!(domain.ends_with(".cloudfront.net"), "{domain}");
    assert_eq!(front.failover_region.map(Region::as_str), Some("eu-west-1"));
    assert_eq!(stack(&freehold).map(|stack| stack.region).as_deref(), Some("us-east-1"));
    assert_eq!(answer(&freehold, ready).await.as_deref(), Ok("eu-central-1"));
    for form in [OutageForm::Refused, OutageForm::Unavailable] {
        // No worker runs, so the failover needs no change of the distribution.
        freehold.world.stop_region("eu-central-1".parse().expect("a region"), form);
        assert_eq!(answer(&freehold, ready).await.as_deref(), Ok("eu-west-1"), "{form}");
        freehold.world.end_outages();
    }
}

#[tokio::test]
async fn a_suspended_environment_does_not_answer_at_its_front_door() {
    let freehold = installation().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    suspension::suspend(&freehold, &tenant).await;
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let suspended = environment(&freehold, &tenant).await;
    assert_eq!(suspended.state, EnvironmentState::Suspended, "{:#?}", latest_operation(&freehold, &tenant).await);
    assert_eq!(state(&suspended), Some(FrontDoorState::Disabled));
    assert_eq!(answer(&freehold, &suspended).await.err().as_deref(), Some("HTTP 403"));
    assert_ne!(suspended.url("FunctionUrl"), front_door(&suspended).url);
    for place in [
        ("us-east-1", STACK, "Enabled"),
        ("eu-central-1", "freehold-tenant", "FrontDoor"),
        ("eu-west-1", "freehold-tenant", "FrontDoor"),
    ] {
        assert_eq!(parameter(&freehold, &suspended, place).await, "false", "{place:?}");
    }
    // The changes are Freehold's own.
    freehold.clock.advance(Duration::from_hours(1));
    let report = compare(&freehold, RepairMode::Off).await;
    assert_eq!(report.findings.len(), 0, "{:#?}", report.findings);

    suspension::resume(&freehold, &tenant).await;
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let resumed = environment(&freehold, &tenant).await;
    assert_eq!((resumed.state, state(&resumed)), (EnvironmentState::Ready, Some(FrontDoorState::Deployed)));
    assert_eq!(front_door(&resumed).url, front_door(&suspended).url);
    assert_eq!(answer(&freehold, &resumed).await.as_deref(), Ok("eu-central-1"));
    freehold.clock.advance(Duration::from_hours(1));
    assert_eq!(compare(&freehold, RepairMode::Off).await.findings.len(), 0);
}

#[tokio::test]
async fn a_front_door_is_restored_and_deleted_before_its_functions() {
    let freehold = installation().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    offboard(&freehold, &tenant, false).await;
    freehold.run_until_idle(&worker, AN_HOUR).await;
    assert_eq!(state(&environment(&freehold, &tenant).await), Some(FrontDoorState::Disabled));
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    let restored = lifecycle::restore(pool, tenant.id, None, &requester("ann"), Initiator::Operator, now).await;
    restored.expect("an answer");
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let restored = environment(&freehold, &tenant).await;
    assert_eq!((restored.state, state(&restored)), (EnvironmentState::Ready, Some(FrontDoorState::Deployed)));
    assert_eq!(answer(&freehold, &restored).await.as_deref(), Ok("eu-central-1"));

    offboard(&freehold, &tenant, false).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let operation = latest_operation(&freehold, &tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    assert!(stack(&freehold).is_none());
    assert_eq!(tenant_stacks(&freehold), [""; 0]);
    assert_eq!(environment_stacks::list(pool, tenant.environments[0].id).await.expect("the stacks"), []);
    assert_eq!(environment(&freehold, &tenant).await.front_door, None);
    let finished = |name: &str| operation.steps.iter().find(|step| step.name == name).and_then(|step| step.finished_at);
    assert!(finished("delete-front-door").is_some(), "{operation:#?}");
    assert!(finished("delete-front-door") <= finished("delete-replica-1"), "{operation:#?}");
    assert!(finished("delete-replica-1") <= finished("delete-stack"), "{operation:#?}");
}

#[tokio::test]
async fn a_front_door_is_added_to_an_environment_and_removed_again() {
    let freehold = installation().await;
    let tenant = freehold.sign_up_with_replicas("Example", "eu-central-1", &["eu-west-1"]).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let added = change(&freehold, &tenant, &["eu-west-1"], true).await;
    assert!(matches!(added, ChangeRegionsResult::Changed(Some(_))), "{added:?}");
    assert_eq!(state(&environment(&freehold, &tenant).await), Some(FrontDoorState::Creating));
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let operation = latest_operation(&freehold, &tenant).await;
    let steps: Vec<_> = operation.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(steps, ["upgrade-baseline", "front-door", "verify-front-door"], "{operation:#?}");
    let found = environment(&freehold, &tenant).await;
    assert_eq!((found.state, state(&found)), (EnvironmentState::Ready, Some(FrontDoorState::Deployed)));
    assert_eq!(answer(&freehold, &found).await.as_deref(), Ok("eu-central-1"));
    assert_eq!(change(&freehold, &tenant, &["eu-west-1"], true).await, ChangeRegionsResult::Unchanged);

    let (pool, now) = (freehold.pool(), freehold.clock.now());
    lifecycle::set_legal_hold(pool, tenant.id, Some("a lawsuit"), None, now).await.expect("an answer");
    let refused = change(&freehold, &tenant, &["eu-west-1"], false).await;
    assert_eq!(refused, ChangeRegionsResult::LegalHold("a lawsuit".to_owned()));
    lifecycle::set_legal_hold(pool, tenant.id, None, None, now).await.expect("an answer");

    let removed = change(&freehold, &tenant, &["eu-west-1"], false).await;
    assert!(matches!(removed, ChangeRegionsResult::Changed(Some(_))), "{removed:?}");
    assert_eq!(state(&environment(&freehold, &tenant).await), Some(FrontDoorState::Deleting));
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let operation = latest_operation(&freehold, &tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    let found = environment(&freehold, &tenant).await;
    assert_eq!((found.state, found.front_door.as_ref()), (EnvironmentState::Ready, None));
    assert!(stack(&freehold).is_none());
    assert_eq!(tenant_stacks(&freehold), ["eu-central-1", "eu-west-1"]);
    freehold.clock.advance(Duration::from_hours(1));
    assert_eq!(compare(&freehold, RepairMode::Off).await.findings.len(), 0);
}

#[tokio::test]
async fn a_front_door_follows_the_replicas() {
    let freehold = installation().await;
    let tenant = freehold.sign_up_with_front_door("Example", "eu-central-1", &[]).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let alone = environment(&freehold, &tenant).await;
    assert_eq!((state(&alone), front_door(&alone).failover_region), (Some(FrontDoorState::Deployed), None));

    change(&freehold, &tenant, &["eu-west-1"], true).await;
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let with_replica = environment(&freehold, &tenant).await;
    assert_eq!(front_door(&with_replica).failover_region.map(Region::as_str), Some("eu-west-1"));
    freehold.world.stop_region("eu-central-1".parse().expect("a region"), OutageForm::Refused);
    assert_eq!(answer(&freehold, &with_replica).await.as_deref(), Ok("eu-west-1"));
    freehold.world.end_outages();

    change(&freehold, &tenant, &[], true).await;
    let_replicas_leave(&freehold);
    assert_eq!(worker.open_due_removals().await.expect("a result"), 1);
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let operation = latest_operation(&freehold, &tenant).await;
    let steps: Vec<_> = operation.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(steps, ["front-door", "verify-front-door", "delete-replica-1"]);
    let left = environment(&freehold, &tenant).await;
    assert_eq!((state(&left), front_door(&left).failover_region), (Some(FrontDoorState::Deployed), None));
    assert_eq!(answer(&freehold, &left).await.as_deref(), Ok("eu-central-1"));
}

#[tokio::test]
async fn a_front_door_that_was_broken_by_hand_is_found_and_repaired() {
    let freehold = installation().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let account = tenant.environments[0].aws_account_id.as_ref().expect("an account").to_string();
    let administrator = Administrator::of(&freehold);
    let disabled = Parameter::builder().parameter_key("Enabled").parameter_value("false").build();
    administrator.set_parameter(&account, "us-east-1", STACK, disabled).await;
    freehold.clock.advance(Duration::from_hours(1));
    let report = compare(&freehold, RepairMode::Off).await;
    let found: Vec<_> = report.findings.iter().map(|one| (one.finding.kind.as_str(), &one.finding.message)).collect();
    let [("stack_drifted", message)] = found[..] else { panic!("{found:?}") };
    assert!(message.contains("its parameter Enabled is false"), "{message}");

    administrator.delete_stack_in(&account, "us-east-1", STACK).await;
    freehold.clock.advance(Duration::from_hours(1));
    let report = compare(&freehold, RepairMode::Off).await;
    let found: Vec<_> = report.findings.iter().map(|one| (one.finding.kind.as_str(), &one.finding.subject)).collect();
    assert_eq!(found, [("stack_missing", &format!("{account}/front-door/{STACK}"))]);
    let missing = environment(&freehold, &tenant).await;
    assert_eq!((missing.state, state(&missing)), (EnvironmentState::Degraded, Some(FrontDoorState::Failed)));
    assert_eq!(missing.url("FunctionUrl"), missing.regions("FunctionUrl")[0].url);

    compare(&freehold, RepairMode::All).await;
    freehold.run_until_idle(&worker, AN_HOUR).await;
    freehold.clock.advance(Duration::from_mins(10));
    assert_eq!(compare(&freehold, RepairMode::Off).await.findings.len(), 0);
    let repaired = environment(&freehold, &tenant).await;
    assert_eq!((repaired.state, state(&repaired)), (EnvironmentState::Ready, Some(FrontDoorState::Deployed)));
    assert_eq!(answer(&freehold, &repaired).await.as_deref(), Ok("eu-central-1"));
}

#[tokio::test]
async fn a_front_door_whose_function_refuses_it_is_not_deployed() {
    // One of the two permissions is missing.
    let declaration = "FrontDoorMayInvokeThroughUrl:\n    Type: AWS::Lambda::Permission\n    Condition: ";
    let (found, wanted) = (format!("{declaration}HasFrontDoor"), format!("{declaration}HomeRegionIsEmpty"));
    assert!(TEMPLATE.contains(&found));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), TEMPLATE.replace(&found, &wanted)).expect("a template");
    let config = format!("{}\n[stack]\ntemplate = {:?}", config_with_edge(), file.path());
    let freehold = Freehold::with(Settings::instant(), &config).await;
    let tenant = freehold.sign_up_with_front_door("Example", "eu-central-1", &[]).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, TimeDelta::minutes(30)).await;
    let waiting = environment(&freehold, &tenant).await;
    assert_eq!(state(&waiting), Some(FrontDoorState::Creating), "{:#?}", latest_operation(&freehold, &tenant).await);
    let operation = latest_operation(&freehold, &tenant).await;
    let step = operation.steps.iter().find(|step| step.name == StepName::VerifyFrontDoor).expect("the step");
    assert!(step.waits_for.as_deref().is_some_and(|text| text.contains("HTTP 403")), "{step:#?}");
    let late = step.attention.as_ref().expect("an attention");
    assert_eq!(late.code, AttentionCode::DeadlinePassed.as_str());
}

#[tokio::test]
async fn a_distribution_that_does_not_stabilize_is_created_again() {
    let freehold = installation().await;
    let reason = "Resource handler returned message: Exceeded attempts to wait (HandlerErrorCode: NotStabilized)";
    let fault = Rule::on("cloudformation", "AWS::CloudFront::Distribution", Fault::failed(reason));
    freehold.world.inject(fault.times(1));
    let (tenant, _) = create_ready_tenant(&freehold).await;
    assert_eq!(answer(&freehold, &tenant.environments[0]).await.as_deref(), Ok("eu-central-1"));
    let operation = latest_operation(&freehold, &tenant).await;
    let step = operation.steps.iter().find(|step| step.name == StepName::FrontDoor).expect("the step");
    assert_eq!(step.facts["try"], 2, "{step:#?}");
}

#[tokio::test]
async fn a_distribution_that_is_not_disabled_yet_is_deleted_later() {
    let freehold = installation().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let reason = "Resource handler returned message: The distribution you are trying to delete has not been disabled. \
                  (HandlerErrorCode: InvalidRequest, DistributionNotDisabled)";
    freehold.world.inject(Rule::on("cloudformation", "DeleteStack", Fault::failed(reason)).times(1));
    change(&freehold, &tenant, &["eu-west-1"], false).await;
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let operation = latest_operation(&freehold, &tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    assert!(stack(&freehold).is_none());
    let found = environment(&freehold, &tenant).await;
    assert_eq!((found.state, found.front_door.as_ref()), (EnvironmentState::Ready, None));
}

#[tokio::test]
async fn a_replica_without_a_function_url_is_left_out() {
    let regions = "regions = [\"eu-central-1\", \"eu-west-1\"]";
    let config = config_with_edge().replace("regions = [\"eu-central-2\"]", "regions = [\"eu-south-1\"]");
    let config = config.replace(regions, "regions = [\"eu-central-1\", \"eu-west-1\", \"eu-central-2\"]");
    let freehold = Freehold::with(Settings::instant(), &config).await;
    let tenant = freehold.sign_up_with_front_door("Example", "eu-central-1", &["eu-central-2", "eu-west-1"]).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, TimeDelta::days(1)).await;
    let found = environment(&freehold, &tenant).await;
    assert_eq!(state(&found), Some(FrontDoorState::Deployed), "{:#?}", latest_operation(&freehold, &tenant).await);
    assert!(front_door(&found).failover_region.is_none_or(|region| region.as_str() == "eu-west-1"));
    assert_eq!(answer(&freehold, &found).await.as_deref(), Ok("eu-central-1"));
}
