//! Faults at each AWS call of an update and of a preview: the worker dies, the call fails, or its answer is lost.

use freehold_sandbox::Settings;
use freehold_tenancy::db::lifecycle::{self, UpdateResult};
use freehold_tenancy::operation::OperationState;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::step_faults::{self, PlannedFault, StepFault};
use freehold_tests::world_snapshot;
use freehold_worker::step::Step;
use freehold_worker::updating::{PREVIEW_STEPS, UPDATE_STEPS};

use crate::steps::replicas::run_with_other_workers;

use super::{content, create_approved, create_ready_tenant, environment, person, releases_of, request};

/// Steps of an operation on an environment with one replica and without a front door.
fn steps_of(steps: &'static [Step]) -> impl Iterator<Item = &'static Step> + Clone {
    steps.iter().filter(|step| {
        step.name.front_door().is_none() && step.name.replica().is_none_or(|(slot, _)| slot.number() == 1)
    })
}

/// Updates or previews an environment with a replica, with a planned fault. Returns the simulated organisation with the
/// releases of the environment, and whether the fault was injected.
async fn walk(is_preview: bool, fault: Option<PlannedFault>) -> (Vec<String>, bool) {
    let freehold = Freehold::with(Settings::instant(), CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &["eu-west-1"]).await;
    let release = create_approved(&freehold, &worker, &content(60)).await;
    let result = if is_preview {
        let (id, by) = (tenant.environments[0].id, person("ann"));
        lifecycle::open_preview(freehold.pool(), id, release, &by, freehold.clock.now()).await.expect("an answer")
    } else {
        request(&freehold, &tenant, release).await
    };
    assert!(matches!(result, UpdateResult::Started(_)), "{result:?}");
    freehold.step_faults.plan_fault(fault);
    run_with_other_workers(&freehold).await;
    let operation = freehold.operation_of(&freehold.reload_tenant(&tenant).await).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{fault:?}: {operation:#?}");
    let mut found = world_snapshot::describe(&freehold.world);
    let has_release = |(region, found)| format!("{region} {}", found == Some(release));
    found.extend(releases_of(&environment(&freehold, &tenant).await).into_iter().map(has_release));
    (found, freehold.step_faults.was_injected())
}

#[tokio::test]
async fn a_fault_at_any_call_of_an_update_gives_the_same_result() {
    let steps = steps_of(UPDATE_STEPS);
    let calls = step_faults::assert_same_result(steps, &StepFault::ALL, async |fault| walk(false, fault).await).await;
    // Each region takes at least five calls: read, create, describe, execute, read.
    assert!(calls >= 10 * StepFault::ALL.len(), "only {calls} calls were tried");
}

#[tokio::test]
async fn a_fault_at_any_call_of_a_preview_gives_the_same_result() {
    let steps = steps_of(PREVIEW_STEPS);
    let calls = step_faults::assert_same_result(steps, &StepFault::ALL, async |fault| walk(true, fault).await).await;
    assert!(calls >= 8 * StepFault::ALL.len(), "only {calls} calls were tried");
}
