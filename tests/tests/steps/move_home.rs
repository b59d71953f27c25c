//! Tests of moving the home of an environment to a replica, also while the old home is down.

use std::sync::Arc;
use std::time::Duration;

use freehold_sandbox::Settings;
use freehold_sandbox::faults::OutageForm;
use freehold_tenancy::Region;
use freehold_tenancy::db::lifecycle::{self, LifecycleResult, MoveHomeResult};
use freehold_tenancy::environment::{Environment, EnvironmentState};
use freehold_tenancy::front_door::FrontDoorState;
use freehold_tenancy::operation::{Initiator, OperationKind, OperationState};
use freehold_tenancy::replica::ReplicaState;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::{Freehold, config_with_edge};
use freehold_tests::step_faults::{PlannedFault, StepFault, assert_same_result};
use freehold_tests::world_snapshot;
use freehold_worker::Worker;
use freehold_worker::moving_home::MOVE_HOME_STEPS;
use freehold_worker::reconcile::RepairMode;

use super::change_regions::change;
use super::front_door::{answer, front_door, parameter};
use super::offboarding::{account, requester};
use super::reconcile::compare;
use super::replicas::{AN_HOUR, environment, latest_operation, run_with_other_workers, states};

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

/// Creates a tenant that is ready in eu-central-1, with a ready replica in eu-west-1 and a front door.
async fn create_ready_tenant(freehold: &Freehold) -> (Tenant, Arc<Worker>) {
    let tenant = freehold.sign_up_with_front_door("Example", "eu-central-1", &["eu-west-1"]).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let found = environment(freehold, &tenant).await;
    assert_eq!((found.state, front_door(&found).state), (EnvironmentState::Ready, FrontDoorState::Deployed));
    (freehold.reload_tenant(&tenant).await, worker)
}

async fn installation() -> Freehold {
    Freehold::with(Settings::instant(), &config_with_edge()).await
}

pub(super) async fn move_home(freehold: &Freehold, tenant: &Tenant, to: &str) -> MoveHomeResult {
    let name = &tenant.environments[0].name;
    let (by, now) = (requester("ann"), freehold.clock.now());
    lifecycle::move_home(freehold.pool(), tenant.id, name, region(to), &by, now).await.expect("an answer")
}

/// Asserts that the home is in eu-west-1, for Freehold, for viewers, and in the parameters of both stacks.
async fn assert_moved(freehold: &Freehold, moved: &Environment) {
    assert_eq!(moved.home_region, region("eu-west-1"));
    assert_eq!(states(moved), [("eu-central-1", ReplicaState::Ready)]);
    let regions = moved.regions("FunctionUrl");
    assert!(regions[0].url.as_deref().is_some_and(|url| url.contains("eu-west-1")), "{regions:#?}");
    assert!(regions[1].url.as_deref().is_some_and(|url| url.contains("eu-central-1")), "{regions:#?}");
    assert_eq!(front_door(moved).state, FrontDoorState::Deployed);
    assert_eq!(front_door(moved).failover_region, Some(region("eu-central-1")));
    assert_eq!(answer(freehold, moved).await.as_deref(), Ok("eu-west-1"));
    for place in [("eu-central-1", "freehold-tenant", "HomeRegion"), ("eu-west-1", "freehold-tenant", "HomeRegion")] {
        assert_eq!(parameter(freehold, moved, place).await, "eu-west-1", "{place:?}");
    }
    freehold.clock.advance(Duration::from_hours(1));
    let report = compare(freehold, RepairMode::Off).await;
    assert_eq!(report.findings.len(), 0, "{:#?}", report.findings);
}

#[tokio::test]
async fn a_replica_becomes_the_home_and_the_old_home_a_replica() {
    let freehold = installation().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let url = tenant.environments[0].url("FunctionUrl");
    assert_eq!(move_home(&freehold, &tenant, "eu-central-1").await, MoveHomeResult::IsHome);
    assert_eq!(move_home(&freehold, &tenant, "eu-north-1").await, MoveHomeResult::NotAReplica);
    let MoveHomeResult::Started { operation, from } = move_home(&freehold, &tenant, "eu-west-1").await else {
        panic!("no operation was started");
    };
    assert_eq!(from, region("eu-central-1"));
    assert_eq!(
        move_home(&freehold, &tenant, "eu-west-1").await,
        MoveHomeResult::AlreadyOpen { operation, from: region("eu-central-1") }
    );
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let finished = latest_operation(&freehold, &tenant).await;
    assert_eq!((finished.kind, finished.state), (OperationKind::MoveHome, OperationState::Succeeded), "{finished:#?}");
    let moved = environment(&freehold, &tenant).await;
    assert_eq!((moved.state, moved.ready_at), (EnvironmentState::Ready, tenant.environments[0].ready_at));
    assert_eq!(moved.url("FunctionUrl"), url);
    let tags = account(&freehold, &tenant).tags;
    assert_eq!(tags.get("freehold:home-region").map(String::as_str), Some("eu-west-1"));
    assert_eq!(tags.get("freehold:replica-regions").map(String::as_str), Some("eu-central-1"));
    assert_moved(&freehold, &moved).await;

    // The way back.
    assert!(matches!(move_home(&freehold, &tenant, "eu-central-1").await, MoveHomeResult::Started { .. }));
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let back = environment(&freehold, &tenant).await;
    assert_eq!((back.home_region, states(&back)), (region("eu-central-1"), vec![("eu-west-1", ReplicaState::Ready)]));
    assert_eq!(answer(&freehold, &back).await.as_deref(), Ok("eu-central-1"));
}

#[tokio::test]
async fn the_home_moves_while_the_old_one_is_down() {
    let freehold = installation().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    freehold.world.stop_region(region("eu-central-1"), OutageForm::Refused);
    assert!(matches!(move_home(&freehold, &tenant, "eu-west-1").await, MoveHomeResult::Started { .. }));
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let finished = latest_operation(&freehold, &tenant).await;
    assert_eq!(finished.state, OperationState::Succeeded, "{finished:#?}");
    let moved = environment(&freehold, &tenant).await;
    assert_eq!(moved.home_region, region("eu-west-1"));
    assert_eq!(moved.state, EnvironmentState::Degraded);
    assert_eq!(states(&moved), [("eu-central-1", ReplicaState::Unreachable)]);
    assert!(moved.replicas[0].message.as_deref().is_some_and(|text| text.contains("change-regions")), "{moved:#?}");
    assert_eq!(answer(&freehold, &moved).await.as_deref(), Ok("eu-west-1"));

    freehold.world.end_outages();
    freehold.clock.advance(Duration::from_hours(1));
    let report = compare(&freehold, RepairMode::Off).await;
    let found: Vec<_> = report.findings.iter().map(|one| (one.finding.kind.as_str(), &one.finding.message)).collect();
    let [("stack_drifted", message)] = found[..] else { panic!("{found:?}") };
    assert!(message.contains("the home has moved to eu-west-1"), "{message}");
    // A request for the same regions verifies the old home.
    change(&freehold, &tenant, &["eu-central-1"]).await;
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let repaired = environment(&freehold, &tenant).await;
    assert_eq!(repaired.state, EnvironmentState::Ready, "{:#?}", latest_operation(&freehold, &tenant).await);
    assert_moved(&freehold, &repaired).await;
}

#[tokio::test]
async fn a_move_can_be_canceled_before_and_after_the_home_has_moved() {
    let freehold = installation().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let cancel = async || {
        let id = latest_operation(&freehold, &tenant).await.id;
        let (by, now) = (requester("ann"), freehold.clock.now());
        let canceled = lifecycle::cancel(freehold.pool(), id, &by, Initiator::Operator, now).await;
        assert_eq!(canceled.expect("an answer"), LifecycleResult::Started(vec![]));
    };
    move_home(&freehold, &tenant, "eu-west-1").await;
    cancel().await;
    let kept = environment(&freehold, &tenant).await;
    assert_eq!((kept.state, kept.home_region), (EnvironmentState::Ready, region("eu-central-1")));
    assert_eq!(front_door(&kept).state, FrontDoorState::Deployed);

    move_home(&freehold, &tenant, "eu-west-1").await;
    while environment(&freehold, &tenant).await.home_region == region("eu-central-1") {
        freehold.run_due_and_advance(&worker).await.expect("a wake-up");
    }
    if latest_operation(&freehold, &tenant).await.state == OperationState::Running {
        cancel().await;
    }
    // Another move brings the home back, and everything else with it.
    freehold.run_until_idle(&worker, AN_HOUR).await;
    move_home(&freehold, &tenant, "eu-central-1").await;
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let back = environment(&freehold, &tenant).await;
    assert_eq!((back.state, back.home_region), (EnvironmentState::Ready, region("eu-central-1")));
    assert_eq!(front_door(&back).state, FrontDoorState::Deployed);
    assert_eq!(answer(&freehold, &back).await.as_deref(), Ok("eu-central-1"));
}

#[tokio::test]
async fn the_home_moves_only_to_a_ready_replica() {
    let freehold = installation().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    change(&freehold, &tenant, &[]).await;
    let leaving = MoveHomeResult::ReplicaNotReady(ReplicaState::Leaving);
    assert_eq!(move_home(&freehold, &tenant, "eu-west-1").await, leaving);
    change(&freehold, &tenant, &["eu-west-1"]).await;
    assert!(matches!(move_home(&freehold, &tenant, "eu-west-1").await, MoveHomeResult::Busy { .. }));
    freehold.run_until_idle(&worker, AN_HOUR).await;
    super::suspension::suspend(&freehold, &tenant).await;
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let suspended = MoveHomeResult::NotReady(EnvironmentState::Suspended);
    assert_eq!(move_home(&freehold, &tenant, "eu-west-1").await, suspended);
}

/// Moves the home with a fault at a call. Returns a description of the world and of the environment.
async fn walk(fault: Option<PlannedFault>) -> (Vec<String>, bool) {
    let freehold = installation().await;
    let tenant = freehold.sign_up_with_front_door("Example", "eu-central-1", &["eu-west-1"]).await;
    run_with_other_workers(&freehold).await;
    freehold.step_faults.plan_fault(fault);
    move_home(&freehold, &tenant, "eu-west-1").await;
    run_with_other_workers(&freehold).await;
    let operation = latest_operation(&freehold, &tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{fault:?}: {operation:#?}");
    let moved = environment(&freehold, &tenant).await;
    let mut found = world_snapshot::describe(&freehold.world);
    found.push(format!("{} {} {:?}", moved.home_region, front_door(&moved).state, states(&moved)));
    (found, freehold.step_faults.was_injected())
}

#[tokio::test]
async fn a_fault_at_any_call_of_a_move_gives_the_same_result() {
    let calls = assert_same_result(MOVE_HOME_STEPS.iter(), &StepFault::ALL, walk).await;
    assert!(calls > MOVE_HOME_STEPS.len(), "only {calls} calls were tried");
}
