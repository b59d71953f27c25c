//! Tests of the stacks on record: each stack is on record before it is created, and operations work on the stacks on
//! record.

use chrono::TimeDelta;
use freehold_tenancy::db::environment_stacks;
use freehold_tenancy::db::lifecycle;
use freehold_tenancy::environment_stack::{EnvironmentStackState, StackKind};
use freehold_tenancy::operation::{Initiator, OperationState};
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::fixture::Freehold;
use freehold_tests::step_faults::StepFault;
use freehold_worker::reconcile::RepairMode;

use super::offboarding::{MAX_SIMULATED_TIME, create_ready_tenant, offboard, requester};
use super::reconcile::compare;

/// Returns name and region of each stack in the simulated organisation.
fn stacks_in_aws(freehold: &Freehold) -> Vec<(String, String)> {
    let stacks = freehold.world.stacks().into_iter().filter(|stack| stack.status != "DELETE_COMPLETE");
    let mut stacks: Vec<_> = stacks.map(|stack| (stack.name, stack.region)).collect();
    stacks.sort();
    stacks
}

/// Returns name and region of each stack on record that may exist.
async fn stacks_on_record(freehold: &Freehold, tenant: &Tenant) -> Vec<(String, String)> {
    let stacks = environment_stacks::list(freehold.pool(), tenant.environments[0].id).await.expect("the stacks");
    let mut stacks: Vec<_> = stacks.into_iter().map(|stack| (stack.name, stack.region.to_string())).collect();
    stacks.sort();
    stacks
}

/// Makes the environment's home region another one, without a move of its stacks.
async fn change_home_region(freehold: &Freehold, region: &str) {
    let changed = sqlx::query("update environments set home_region = $1").bind(region).execute(freehold.pool()).await;
    assert_eq!(changed.expect("an update").rows_affected(), 1);
}

#[tokio::test]
async fn a_stack_is_on_record_before_it_is_created() {
    let mut created = 0;
    for step in ["install-baseline", "deploy-stack"] {
        for calls in 0..10 {
            let freehold = Freehold::instant().await;
            let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
            freehold.step_faults.plan(step, calls, StepFault::CrashAfterCall);
            let worker = freehold.worker("worker-1");
            tokio::select! {
                () = freehold.run_until_idle(&worker, TimeDelta::days(1)) => break,
                () = freehold.step_faults.wait_until_crashed() => {}
            }
            let (in_aws, on_record) = (stacks_in_aws(&freehold), stacks_on_record(&freehold, &tenant).await);
            let is_on_record = |stack| on_record.contains(stack);
            assert!(in_aws.iter().all(is_on_record), "{in_aws:?} after call {calls} of {step}, known: {on_record:?}");
            created += in_aws.len();
        }
    }
    assert!(created >= 3, "the crashes left only {created} stacks");
}

#[tokio::test]
async fn a_completed_stack_is_on_record_with_its_outputs() {
    let freehold = Freehold::instant().await;
    let (tenant, _) = create_ready_tenant(&freehold).await;
    let stacks = environment_stacks::list(freehold.pool(), tenant.environments[0].id).await.expect("the stacks");
    let kinds: Vec<_> = stacks.iter().map(|stack| (stack.kind, stack.state)).collect();
    let present = EnvironmentStackState::Present;
    assert_eq!(kinds, [(StackKind::Baseline, present), (StackKind::Tenant, present)]);
    assert!(stacks[0].outputs.contains_key("VerifyRoleArn"), "{stacks:#?}");
    assert!(stacks[1].outputs["FunctionUrl"].contains("eu-central-1"), "{stacks:#?}");
    assert_eq!(tenant.environments[0].home_stack.as_ref(), Some(&stacks[1]));
}

#[tokio::test]
async fn operations_work_on_stacks_where_they_are_on_record() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let deployed = stacks_in_aws(&freehold);
    change_home_region(&freehold, "eu-west-1").await;

    offboard(&freehold, &tenant, false).await;
    freehold.run_until_idle(&worker, TimeDelta::hours(1)).await;
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    let restored = lifecycle::restore(pool, tenant.id, None, &requester("ann"), Initiator::Operator, now).await;
    restored.expect("an answer");
    freehold.run_until_idle(&worker, TimeDelta::hours(1)).await;
    let tenant = freehold.reload_tenant(&tenant).await;
    assert_eq!(tenant.state(), TenantState::Ready, "{:#?}", freehold.operation_of(&tenant).await);
    assert_eq!(stacks_in_aws(&freehold), deployed, "another stack was created");

    offboard(&freehold, &tenant, false).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let tenant = freehold.reload_tenant(&tenant).await;
    assert_eq!(freehold.operation_of(&tenant).await.state, OperationState::Succeeded);
    assert_eq!(stacks_in_aws(&freehold), []);
    assert_eq!(stacks_on_record(&freehold, &tenant).await, []);
}

#[tokio::test]
async fn reconcile_compares_the_stacks_on_record() {
    let freehold = Freehold::instant().await;
    let (tenant, _) = create_ready_tenant(&freehold).await;
    let another = "insert into environment_stacks (environment_id, kind, region, slot, stack_name, stack_id, state,
            operation_id, intended_at, changed_at)
        select environment_id, kind, 'eu-west-1', 1, stack_name, replace(stack_id, 'eu-central-1', 'eu-west-1'), state,
            operation_id, intended_at, changed_at
        from environment_stacks where kind = 'tenant'";
    sqlx::query(another).execute(freehold.pool()).await.expect("another stack");
    // Reconcile compares environments that were settled before it has started.
    freehold.clock.advance(std::time::Duration::from_hours(1));
    let report = compare(&freehold, RepairMode::Off).await;
    let found: Vec<_> = report.findings.iter().map(|one| (one.finding.kind.as_str(), &one.finding.message)).collect();
    let account = tenant.environments[0].aws_account_id.as_ref().expect("an account");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].0, "stack_missing");
    assert!(found[0].1.contains("eu-west-1") && found[0].1.contains(account.as_str()), "{found:#?}");
}
