//! A fault at each call of each step of a front door: the result is the same as without it.

use std::time::Duration;

use freehold_tenancy::operation::OperationState;
use freehold_tenancy::step::StepName;
use freehold_tests::step_faults::{self, PlannedFault, StepFault};
use freehold_tests::world_snapshot;
use freehold_worker::changing_regions::{CHANGE_REGIONS_STEPS, REMOVE_REGIONS_STEPS};
use freehold_worker::offboarding::OFFBOARD_STEPS;
use freehold_worker::onboarding::ONBOARD_STEPS;
use freehold_worker::reconcile::RepairMode;
use freehold_worker::restoring::RESTORE_STEPS;
use freehold_worker::step::Step;
use freehold_worker::suspending::SUSPEND_STEPS;

use super::change_regions::let_replicas_leave;
use super::front_door::{change, installation, state};
use super::offboarding::offboard;
use super::reconcile::compare;
use super::replicas::{environment, latest_operation, run_with_other_workers};
use super::suspension;

/// Workflow of a walk over the steps of a front door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    Onboard,
    Suspend,
    Resume,
    Offboard,
    Add,
    Remove,
    RemoveRegion,
}

impl Walk {
    /// Returns the faults to inject. All workflows together inject each fault at each step.
    fn faults(self) -> &'static [StepFault] {
        match self {
            Self::Add | Self::Remove => &StepFault::ALL,
            Self::Suspend => &[StepFault::ResetAfterCall, StepFault::CrashBeforeCall],
            _ => &[StepFault::CrashAfterCall],
        }
    }

    fn steps(self) -> impl Iterator<Item = &'static Step> + Clone {
        let list = match self {
            Self::Onboard => ONBOARD_STEPS,
            Self::Suspend => SUSPEND_STEPS,
            Self::Resume => RESTORE_STEPS,
            Self::Offboard => OFFBOARD_STEPS,
            Self::Add | Self::Remove => CHANGE_REGIONS_STEPS,
            Self::RemoveRegion => REMOVE_REGIONS_STEPS,
        };
        let is_run = move |step: &&Step| match step.name {
            StepName::FrontDoor | StepName::VerifyFrontDoor => self != Self::Remove,
            StepName::CloseFrontDoor | StepName::DeleteFrontDoor => self != Self::Add,
            name => name.front_door().is_some(),
        };
        list.iter().filter(is_run)
    }
}

/// Runs a workflow on an environment with a replica and a front door, with a fault in its last operation. Returns a
/// description of the world, and the states of the environment and its front door.
async fn walk(walk: Walk, fault: Option<PlannedFault>) -> (Vec<String>, bool) {
    let freehold = installation().await;
    let plan = || freehold.step_faults.plan_fault(fault);
    if walk == Walk::Onboard {
        plan();
    }
    let tenant = if walk == Walk::Add {
        freehold.sign_up_with_replicas("Example", "eu-central-1", &["eu-west-1"]).await
    } else {
        freehold.sign_up_with_front_door("Example", "eu-central-1", &["eu-west-1"]).await
    };
    run_with_other_workers(&freehold).await;
    match walk {
        Walk::Onboard => {}
        Walk::Suspend => {
            plan();
            suspension::suspend(&freehold, &tenant).await;
        }
        Walk::Resume => {
            suspension::suspend(&freehold, &tenant).await;
            run_with_other_workers(&freehold).await;
            plan();
            suspension::resume(&freehold, &tenant).await;
        }
        Walk::Offboard => {
            plan();
            offboard(&freehold, &tenant, false).await;
        }
        Walk::Add | Walk::Remove => {
            plan();
            change(&freehold, &tenant, &["eu-west-1"], walk == Walk::Add).await;
        }
        Walk::RemoveRegion => {
            change(&freehold, &tenant, &[], true).await;
            let_replicas_leave(&freehold);
            plan();
            assert_eq!(freehold.worker("remover").open_due_removals().await.expect("a result"), 1);
        }
    }
    run_with_other_workers(&freehold).await;
    let operation = latest_operation(&freehold, &tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{walk:?} with {fault:?}: {operation:#?}");
    let environment = environment(&freehold, &tenant).await;
    let mut found = world_snapshot::describe(&freehold.world);
    found.push(format!("{} {:?}", environment.state, state(&environment)));
    if !matches!(walk, Walk::Offboard) {
        freehold.clock.advance(Duration::from_hours(1));
        let report = compare(&freehold, RepairMode::Off).await;
        assert_eq!(report.findings.len(), 0, "{walk:?} with {fault:?}: {:#?}", report.findings);
    }
    (found, freehold.step_faults.was_injected())
}

async fn assert_same_result(kind: Walk) {
    let calls =
        step_faults::assert_same_result(kind.steps(), kind.faults(), async |fault| walk(kind, fault).await).await;
    assert!(calls >= kind.faults().len() * kind.steps().count(), "only {calls} calls were tried");
}

#[tokio::test]
async fn a_fault_at_any_call_for_a_new_front_door_gives_the_same_result() {
    assert_same_result(Walk::Onboard).await;
}

#[tokio::test]
async fn a_fault_at_any_call_for_a_suspended_front_door_gives_the_same_result() {
    assert_same_result(Walk::Suspend).await;
}

#[tokio::test]
async fn a_fault_at_any_call_for_a_resumed_front_door_gives_the_same_result() {
    assert_same_result(Walk::Resume).await;
}

#[tokio::test]
async fn a_fault_at_any_call_for_a_deleted_front_door_gives_the_same_result() {
    assert_same_result(Walk::Offboard).await;
}

#[tokio::test]
async fn a_fault_at_any_call_for_an_added_front_door_gives_the_same_result() {
    assert_same_result(Walk::Add).await;
}

#[tokio::test]
async fn a_fault_at_any_call_for_a_removed_front_door_gives_the_same_result() {
    assert_same_result(Walk::Remove).await;
}

#[tokio::test]
async fn a_fault_at_any_call_of_a_removed_replica_gives_the_same_result() {
    assert_same_result(Walk::RemoveRegion).await;
}
