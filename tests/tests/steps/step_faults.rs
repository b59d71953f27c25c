//! Tests with a fault at each call of each step of a workflow: the result is always the same.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::Freehold;
use freehold_tests::step_faults::{PlannedFault, StepFault, assert_same_result};
use freehold_tests::world_snapshot;
use freehold_worker::onboarding::ONBOARD_STEPS;
use freehold_worker::proving_residency::PROVE_RESIDENCY_STEPS;
use freehold_worker::restoring::RESTORE_STEPS;
use freehold_worker::step::Step;
use freehold_worker::suspending::SUSPEND_STEPS;
use freehold_worker::upgrading_baseline::UPGRADE_BASELINE_STEPS;
use serde_json::{Value, json};

use super::{baseline, residency_proof, suspension};

/// Onboards an enterprise tenant in an opt-in region, so that no step is skipped.
async fn onboard(freehold: &Freehold) -> Vec<String> {
    let tenant = freehold.sign_up("Example", "eu-central-2", "enterprise").await;
    run_to_success(freehold, &tenant).await
}

/// Runs the latest operation of a tenant, with another worker after each crash. Returns a description of the world.
async fn run_to_success(freehold: &Freehold, tenant: &Tenant) -> Vec<String> {
    for worker in 1.. {
        let worker = freehold.worker(&format!("worker-{worker}"));
        tokio::select! {
            () = freehold.run_until_idle(&worker, TimeDelta::days(1)) => break,
            // Another worker can claim the operation after the lease of the crashed worker has expired.
            () = freehold.step_faults.wait_until_crashed() => {}
        }
    }
    let operation = freehold.operation_of(&freehold.reload_tenant(tenant).await).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    world_snapshot::describe(&freehold.world)
}

async fn assert_same_result_with(fault: StepFault) {
    let steps = ONBOARD_STEPS.iter().filter(|step| step.name.replica().is_none());
    let run = async |fault| {
        let freehold = Freehold::instant().await;
        freehold.step_faults.plan_fault(fault);
        let found = onboard(&freehold).await;
        let requests = world_snapshot::account_requests(&freehold.world);
        assert_eq!(requests, 1, "{fault:?} requested {requests} accounts");
        (found, freehold.step_faults.was_injected())
    };
    let calls = assert_same_result(steps, &[fault], run).await;
    assert!(calls > ONBOARD_STEPS.len(), "only {calls} calls were tried");
}

#[tokio::test]
async fn a_call_that_fails_before_its_effect_is_repeated() {
    assert_same_result_with(StepFault::ResetBeforeCall).await;
}

#[tokio::test]
async fn a_call_with_a_lost_response_is_not_duplicated() {
    assert_same_result_with(StepFault::ResetAfterCall).await;
}

#[tokio::test]
async fn a_worker_that_crashes_before_a_call_is_replaced() {
    assert_same_result_with(StepFault::CrashBeforeCall).await;
}

#[tokio::test]
async fn a_worker_that_crashes_after_a_call_is_replaced() {
    assert_same_result_with(StepFault::CrashAfterCall).await;
}

/// Onboards a tenant, then upgrades its baseline with a fault. Returns a description of the world, and whether the
/// fault was injected.
async fn upgrade_baseline(fault: Option<PlannedFault>) -> (Vec<String>, bool) {
    let freehold = Freehold::instant().await;
    let tenant = baseline::onboard(&freehold).await;
    let freehold = freehold.with_config(&baseline::with_statement());
    freehold.step_faults.plan_fault(fault);
    baseline::request(&freehold, &tenant).await;
    let found = run_to_success(&freehold, &tenant).await;
    let updates = freehold.world.calls().by_operation()["cloudformation:UpdateStack"].calls;
    assert!(updates <= 2, "{fault:?} requested {updates} updates");
    (found, freehold.step_faults.was_injected())
}

#[tokio::test]
async fn an_upgrade_survives_a_fault_at_each_of_its_calls() {
    let calls = assert_same_result(UPGRADE_BASELINE_STEPS.iter(), &StepFault::ALL, upgrade_baseline).await;
    assert!(calls > 3 * StepFault::ALL.len(), "only {calls} calls were tried");
}

/// Onboards a tenant with a replica, then refreshes its residency proof with a fault. Returns the proof without its
/// times and ids, and whether the fault was injected.
async fn prove_residency(fault: Option<PlannedFault>) -> (Value, bool) {
    let freehold = Freehold::with(Settings::instant(), &residency_proof::config()).await;
    let tenant = residency_proof::onboard(&freehold).await;
    freehold.step_faults.plan_fault(fault);
    residency_proof::request(&freehold, &tenant).await;
    run_to_success(&freehold, &tenant).await;
    let mut proof = json!(residency_proof::document(&freehold, &tenant).await);
    assert_eq!(proof["conforms"], true, "{proof:#}");
    for field in ["installation_id", "operation_id", "observed_at"] {
        proof[field] = Value::Null;
    }
    proof["denied_region"]["at"] = Value::Null;
    proof["replicas"][0]["since"] = Value::Null;
    for stack in proof["stacks"].as_array_mut().expect("stacks") {
        assert!(stack["stack_id"].take().is_string(), "{stack}");
    }
    (proof, freehold.step_faults.was_injected())
}

#[tokio::test]
async fn a_residency_proof_survives_a_fault_at_each_of_its_calls() {
    let calls = assert_same_result(PROVE_RESIDENCY_STEPS.iter(), &StepFault::ALL, prove_residency).await;
    assert!(calls > 10 * StepFault::ALL.len(), "only {calls} calls were tried");
}

/// Onboards a tenant and suspends it, and resumes it if `is_resumed`, with a fault in the last of these operations.
/// Returns a description of the world, and whether the fault was injected.
async fn suspend(is_resumed: bool, fault: Option<PlannedFault>) -> (Vec<String>, bool) {
    let freehold = Freehold::instant().await;
    let tenant = baseline::onboard(&freehold).await;
    if is_resumed {
        suspension::suspend(&freehold, &tenant).await;
        run_to_success(&freehold, &tenant).await;
    }
    freehold.step_faults.plan_fault(fault);
    if is_resumed {
        suspension::resume(&freehold, &tenant).await;
    } else {
        suspension::suspend(&freehold, &tenant).await;
    }
    let found = run_to_success(&freehold, &tenant).await;
    (found, freehold.step_faults.was_injected())
}

async fn assert_same_suspension(is_resumed: bool, steps: &[Step]) {
    let steps = steps.iter().filter(|step| step.name.replica().is_none());
    let calls = assert_same_result(steps, &StepFault::ALL, async |fault| suspend(is_resumed, fault).await).await;
    assert!(calls > 2 * StepFault::ALL.len(), "only {calls} calls were tried");
}

#[tokio::test]
async fn a_suspension_survives_a_fault_at_each_of_its_calls() {
    assert_same_suspension(false, SUSPEND_STEPS).await;
}

#[tokio::test]
async fn a_resumption_survives_a_fault_at_each_of_its_calls() {
    assert_same_suspension(true, RESTORE_STEPS).await;
}
