//! Test that runs each step of the workflow again after it is done, as if a worker had crashed before it wrote the
//! result to the journal. The second run must find the result of the first run and must not repeat its write calls.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use freehold_tenancy::operation::{Operation, OperationState};
use freehold_tenancy::step::{JournalEntry, StepName};
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::fixture::{CONFIG, Freehold, config_with_edge};
use freehold_tests::world_snapshot;
use freehold_worker::moving_home::MOVE_HOME_STEPS;
use freehold_worker::onboarding::ONBOARD_STEPS;
use freehold_worker::proving_residency::PROVE_RESIDENCY_STEPS;
use freehold_worker::restoring::RESTORE_STEPS;
use freehold_worker::step::Step;
use freehold_worker::suspending::SUSPEND_STEPS;
use freehold_worker::upgrading_baseline::UPGRADE_BASELINE_STEPS;

use super::{baseline, move_home, residency_proof, suspension};

/// Prefixes of the names of read-only calls.
const READ_CALL_PREFIXES: [&str; 5] = ["AssumeRole", "Describe", "Get", "Invoke", "List"];

/// Resets a step of a finished operation, so that the intent of the step is stored but its result is not.
async fn reset_step_result(freehold: &Freehold, operation: &Operation, step: &str) {
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    let reset = "update operation_steps set state = 'running', facts = '{}', finished_at = null
        where operation_id = $1 and name = $2 and state = 'done'";
    let reset = sqlx::query(reset).bind(operation.id.as_uuid()).bind(step).execute(pool).await;
    assert_eq!(reset.expect("a reset").rows_affected(), 1, "{step} was not done");
    let reopen = "update operations set state = 'running', wake_at = $2, finished_at = null where id = $1";
    sqlx::query(reopen).bind(operation.id.as_uuid()).bind(now).execute(pool).await.expect("an open operation");
}

/// Returns the number of calls of each AWS operation, without the calls that are read-only or safe to repeat.
fn write_calls(freehold: &Freehold) -> BTreeMap<String, u64> {
    let counts = freehold.world.calls().by_operation().into_iter();
    counts.filter(|(call, _)| !is_read(call)).map(|(call, count)| (call, count.calls)).collect()
}

/// Returns whether a call is read-only or safe to repeat. CreateGroupMembership is safe to repeat, because Identity
/// Center refuses to create a membership that already exists.
fn is_read(call: &str) -> bool {
    let (_, name) = call.split_once(':').expect("service:Operation");
    name == "CreateGroupMembership" || READ_CALL_PREFIXES.iter().any(|read| name.starts_with(read))
}

/// Returns whether a step works neither on a replica nor on the front door.
fn is_of_home(step: &Step) -> bool {
    step.name.replica().is_none() && step.name.front_door().is_none()
}

async fn onboard(freehold: &Freehold) -> Tenant {
    // For an enterprise tenant in an opt-in region, no step is skipped.
    let tenant = freehold.sign_up("Example", "eu-central-2", "enterprise").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);
    tenant
}

#[tokio::test]
async fn a_repeated_step_does_not_repeat_its_effects() {
    for step in ONBOARD_STEPS.iter().filter(|step| is_of_home(step)) {
        let freehold = Freehold::instant().await;
        let tenant = onboard(&freehold).await;
        let before = freehold.operation_of(&tenant).await;
        let (world, writes) = (world_snapshot::describe(&freehold.world), write_calls(&freehold));

        reset_step_result(&freehold, &before, step.name.as_str()).await;
        freehold.run_until_idle(&freehold.worker("worker-2"), TimeDelta::days(1)).await;

        let after = freehold.operation_of(&tenant).await;
        assert_eq!(after.state, OperationState::Succeeded, "{} repeated: {after:#?}", step.name);
        let attempts = |operation: &Operation| {
            operation.steps.iter().find(|entry| entry.name == step.name).expect("the step").attempts
        };
        assert!(attempts(&after) > attempts(&before), "{} was not run again", step.name);
        assert_eq!(world_snapshot::describe(&freehold.world), world, "{} changed the result when repeated", step.name);
        assert_eq!(write_calls(&freehold), writes, "{} repeated a write", step.name);
        assert_eq!(world_snapshot::account_requests(&freehold.world), 1, "{} requested another account", step.name);
    }
}

#[tokio::test]
async fn a_repeated_step_of_a_replica_does_not_repeat_its_effects() {
    // The steps of the other slots are the same functions.
    let is_of_first = |step: &&Step| step.name.replica().is_some_and(|(slot, _)| slot.number() == 1);
    let config = CONFIG.replace("regions = [\"eu-central-2\"]", "regions = [\"eu-central-2\", \"eu-south-2\"]");
    for step in ONBOARD_STEPS.iter().filter(is_of_first) {
        let freehold = Freehold::with(freehold_sandbox::Settings::instant(), &config).await;
        let tenant = freehold.sign_up_with_replicas("Example", "eu-central-2", &["eu-south-2"]).await;
        freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
        let (world, writes) = (world_snapshot::describe(&freehold.world), write_calls(&freehold));

        reset_step_result(&freehold, &freehold.operation_of(&tenant).await, step.name.as_str()).await;
        freehold.run_until_idle(&freehold.worker("worker-2"), TimeDelta::days(1)).await;
        let after = freehold.operation_of(&tenant).await;
        assert_eq!(after.state, OperationState::Succeeded, "{} repeated: {after:#?}", step.name);
        let repeated = after.steps.iter().find(|entry| entry.name == step.name).expect("the step");
        assert!(repeated.attempts > 1, "{} was not run again", step.name);
        assert_eq!(world_snapshot::describe(&freehold.world), world, "{} changed the result", step.name);
        assert_eq!(write_calls(&freehold), writes, "{} repeated a write", step.name);
    }
}

#[tokio::test]
async fn a_repeated_step_of_a_front_door_or_a_move_does_not_repeat_its_effects() {
    let of_front_door = |step: &&Step| step.name.front_door().is_some();
    let onboarding = ONBOARD_STEPS.iter().filter(of_front_door).map(|step| ("onboard", step));
    let suspension = SUSPEND_STEPS.iter().filter(of_front_door).map(|step| ("suspend", step));
    // The step that tags the account tags it again.
    let moving = MOVE_HOME_STEPS.iter().filter(|step| step.name != StepName::SetHomeRegion).map(|step| ("move", step));
    for (action, step) in onboarding.chain(suspension).chain(moving) {
        let freehold = Freehold::with(freehold_sandbox::Settings::instant(), &config_with_edge()).await;
        let tenant = freehold.sign_up_with_front_door("Example", "eu-central-1", &["eu-west-1"]).await;
        freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
        match action {
            "suspend" => _ = suspension::suspend(&freehold, &tenant).await,
            "move" => _ = move_home::move_home(&freehold, &tenant, "eu-west-1").await,
            _ => {}
        }
        freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
        let tenant = freehold.reload_tenant(&tenant).await;
        let (world, writes) = (world_snapshot::describe(&freehold.world), write_calls(&freehold));

        reset_step_result(&freehold, &freehold.operation_of(&tenant).await, step.name.as_str()).await;
        freehold.run_until_idle(&freehold.worker("worker-2"), TimeDelta::days(1)).await;
        let after = freehold.operation_of(&tenant).await;
        assert_eq!(after.state, OperationState::Succeeded, "{} repeated: {after:#?}", step.name);
        assert_eq!(world_snapshot::describe(&freehold.world), world, "{} changed the result", step.name);
        assert_eq!(write_calls(&freehold), writes, "{} repeated a write", step.name);
    }
}

#[tokio::test]
async fn a_repeated_upgrade_does_not_update_again() {
    for step in UPGRADE_BASELINE_STEPS {
        let freehold = Freehold::instant().await;
        let tenant = baseline::onboard(&freehold).await;
        let freehold = freehold.with_config(&baseline::with_statement());
        baseline::request(&freehold, &tenant).await;
        freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
        let tenant = freehold.reload_tenant(&tenant).await;
        let writes = write_calls(&freehold);

        reset_step_result(&freehold, &freehold.operation_of(&tenant).await, step.name.as_str()).await;
        freehold.run_until_idle(&freehold.worker("worker-2"), TimeDelta::days(1)).await;
        let after = freehold.operation_of(&tenant).await;
        assert_eq!((after.state, after.steps[0].attempts > 1), (OperationState::Succeeded, true), "{after:#?}");
        assert_eq!(write_calls(&freehold), writes, "{} repeated a write", step.name);
    }
}

#[tokio::test]
async fn a_repeated_proof_of_residency_keeps_the_first_proof() {
    for step in PROVE_RESIDENCY_STEPS {
        let freehold = Freehold::with(freehold_sandbox::Settings::instant(), &residency_proof::config()).await;
        let tenant = residency_proof::onboard(&freehold).await;
        let proof = residency_proof::prove(&freehold, &tenant).await;
        let tenant = freehold.reload_tenant(&tenant).await;
        let writes = write_calls(&freehold);

        reset_step_result(&freehold, &freehold.operation_of(&tenant).await, step.name.as_str()).await;
        freehold.run_until_idle(&freehold.worker("worker-2"), TimeDelta::days(1)).await;
        let after = freehold.operation_of(&tenant).await;
        assert_eq!((after.state, after.steps[0].attempts > 1), (OperationState::Succeeded, true), "{after:#?}");
        assert_eq!(write_calls(&freehold), writes, "{} repeated a write", step.name);
        assert_eq!(residency_proof::document(&freehold, &tenant).await, proof);
        let proofs: i64 = sqlx::query_scalar("select count(*) from residency_proofs")
            .fetch_one(freehold.pool())
            .await
            .expect("a count");
        assert_eq!(proofs, 1);
    }
}

#[tokio::test]
async fn a_repeated_step_of_a_suspension_does_not_repeat_its_effects() {
    for (steps, is_resumed) in [(SUSPEND_STEPS, false), (RESTORE_STEPS, true)] {
        for step in steps.iter().filter(|step| is_of_home(step)) {
            let freehold = Freehold::instant().await;
            let tenant = onboard(&freehold).await;
            suspension::suspend(&freehold, &tenant).await;
            freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
            if is_resumed {
                suspension::resume(&freehold, &tenant).await;
                freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
            }
            let tenant = freehold.reload_tenant(&tenant).await;
            let operation = freehold.operation_of(&tenant).await;
            let was_skipped = |entry: &JournalEntry| entry.name == step.name && entry.skip_reason.is_some();
            if operation.steps.iter().any(was_skipped) {
                continue;
            }
            let (world, writes) = (world_snapshot::describe(&freehold.world), write_calls(&freehold));

            reset_step_result(&freehold, &operation, step.name.as_str()).await;
            freehold.run_until_idle(&freehold.worker("worker-2"), TimeDelta::days(1)).await;
            let after = freehold.operation_of(&tenant).await;
            assert_eq!(after.state, OperationState::Succeeded, "{} repeated: {after:#?}", step.name);
            assert_eq!(world_snapshot::describe(&freehold.world), world, "{} changed the result", step.name);
            assert_eq!(write_calls(&freehold), writes, "{} repeated a write", step.name);
        }
    }
}
