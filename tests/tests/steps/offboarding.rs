//! Tests of offboarding: a tenant is suspended immediately, can be restored during the cooling-off period, and is then
//! deleted. External accounts are not changed, and no untracked resource remains.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_tenancy::approval::ApprovalState;
use freehold_tenancy::db::approvals;
use freehold_tenancy::db::lifecycle::{self, DecisionResult, LegalHoldResult, LifecycleResult};
use freehold_tenancy::db::operations;
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::operation::{Initiator, Operation, OperationKind, OperationState, Requester};
use freehold_tenancy::step::{StepName, StepState};
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tenancy::{EnvironmentName, OperationId};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::step_faults::{StepFault, assert_same_result};
use freehold_tests::world_snapshot;
use freehold_worker::Worker;
use freehold_worker::offboarding::OFFBOARD_STEPS;

pub(crate) const MAX_SIMULATED_TIME: TimeDelta = TimeDelta::days(10);
const HALF_AN_HOUR: TimeDelta = TimeDelta::minutes(30);

pub(super) fn requester(name: &str) -> Requester {
    Requester { issuer: "https://issuer.example.com".to_owned(), subject: name.to_owned() }
}

/// Creates a ready tenant. Returns the tenant and the worker that onboarded it.
pub(crate) async fn create_ready_tenant(freehold: &Freehold) -> (Tenant, Arc<Worker>) {
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    let tenant = freehold.reload_tenant(&tenant).await;
    assert_eq!(tenant.state(), TenantState::Ready);
    (tenant, worker)
}

pub(crate) async fn offboard(freehold: &Freehold, tenant: &Tenant, close: bool) -> LifecycleResult {
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    lifecycle::offboard(pool, tenant.id, None, close, &requester("ann"), Initiator::Operator, now)
        .await
        .expect("an answer")
}

async fn restore(freehold: &Freehold, tenant: &Tenant) -> LifecycleResult {
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    lifecycle::restore(pool, tenant.id, None, &requester("ann"), Initiator::Operator, now).await.expect("an answer")
}

async fn cancel(freehold: &Freehold, id: OperationId) -> LifecycleResult {
    let (by, now) = (requester("ann"), freehold.clock.now());
    lifecycle::cancel(freehold.pool(), id, &by, Initiator::Operator, now).await.expect("an answer")
}

pub(super) async fn latest_operation(freehold: &Freehold, tenant: &Tenant) -> Operation {
    freehold.operation_of(&freehold.reload_tenant(tenant).await).await
}

/// Returns the AWS account of the tenant's only environment from the simulated organisation.
pub(super) fn account(freehold: &Freehold, tenant: &Tenant) -> freehold_sandbox::world::AccountView {
    let email = freehold.config.organization.account_email.address(tenant.environments[0].id);
    freehold.world.account_by_email(&email).expect("an account")
}

fn count_users(freehold: &Freehold) -> usize {
    freehold.world.state().identity_store.users.len()
}

fn count_stacks(freehold: &Freehold) -> usize {
    freehold.world.stacks().iter().filter(|stack| stack.status != "DELETE_COMPLETE").count()
}

#[tokio::test]
async fn a_tenant_is_suspended_and_deleted_after_the_cooling_off_period() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let people = count_users(&freehold);
    assert!(matches!(offboard(&freehold, &tenant, false).await, LifecycleResult::Started(_)));
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Offboarding);

    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    assert_eq!(account(&freehold, &tenant).parent_name, "freehold-quarantine");
    assert!(freehold.world.assignments().is_empty(), "assignments remain");
    assert_eq!(count_users(&freehold), people - 1, "the user of this tenant was not deleted");
    assert_eq!(count_stacks(&freehold), 2, "a stack was deleted during the cooling-off period");

    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let tenant = freehold.reload_tenant(&tenant).await;
    assert_eq!(tenant.state(), TenantState::Offboarded);
    assert_eq!(tenant.admin_email, None, "the e-mail address of the administrator was not erased");
    assert_eq!(tenant.environments[0].aws_account_id, None, "the mapping is still valid");
    assert_eq!(count_stacks(&freehold), 0);
    let took = tenant.environments[0].offboarded_at.expect("a time") - tenant.created_at;
    assert!(took >= TimeDelta::days(7), "offboarded after {took}");
    // The account is closed only on request.
    assert_eq!(account(&freehold, &tenant).state, "ACTIVE");
    let ended = sqlx::query_scalar::<_, i64>("select count(*) from account_mappings where valid_to is not null");
    assert_eq!(ended.fetch_one(freehold.pool()).await.expect("an answer"), 1, "ended mappings");
}

#[tokio::test]
async fn a_restored_tenant_is_unchanged() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let before = world_snapshot::describe(&freehold.world);
    offboard(&freehold, &tenant, false).await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    assert_ne!(world_snapshot::describe(&freehold.world), before);
    let offboarding = latest_operation(&freehold, &tenant).await.id;
    assert!(matches!(restore(&freehold, &tenant).await, LifecycleResult::Started(_)));
    let canceled = operations::get(freehold.pool(), offboarding).await.expect("an answer").expect("the operation");
    let cool_off = canceled.steps.iter().find(|step| step.name == StepName::CoolOff).expect("the step");
    assert_eq!((cool_off.state, &cool_off.waits_for, cool_off.check_at), (StepState::Pending, &None, None));
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    assert_eq!(latest_operation(&freehold, &tenant).await.kind, OperationKind::Restore);
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);
    assert_eq!(world_snapshot::describe(&freehold.world), before);
}

#[tokio::test]
async fn no_tenant_is_restored_after_the_cooling_off_period() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    assert!(matches!(restore(&freehold, &tenant).await, LifecycleResult::NotAllowed(_)));
    offboard(&freehold, &tenant, false).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert!(matches!(restore(&freehold, &tenant).await, LifecycleResult::NotAllowed(_)));
}

/// Offboards a tenant until the closure of its account waits for approval. Returns the tenant, the worker that runs its
/// operations, and the hash of the approval.
pub(super) async fn offboard_until_approval(freehold: &Freehold) -> (Tenant, Arc<Worker>, String) {
    let (tenant, worker) = create_ready_tenant(freehold).await;
    offboard(freehold, &tenant, true).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let operation = latest_operation(freehold, &tenant).await;
    assert_eq!(operation.attention.expect("attention").code, "approval_required");
    assert_eq!(account(freehold, &tenant).state, "ACTIVE");
    let approvals = approvals::list_for_operation(freehold.pool(), operation.id).await.expect("an answer");
    (tenant, worker, approvals[0].request_hash.clone())
}

pub(super) async fn decide(
    freehold: &Freehold,
    tenant: &Tenant,
    hash: &str,
    approve: bool,
    by: &str,
) -> DecisionResult {
    let (pool, id, now) = (freehold.pool(), latest_operation(freehold, tenant).await.id, freehold.clock.now());
    lifecycle::decide(pool, id, hash, approve, None, &requester(by), now).await.expect("an answer")
}

#[tokio::test]
async fn an_account_is_closed_only_after_a_second_person_approves() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker, hash) = offboard_until_approval(&freehold).await;
    let decide = async |hash: &str, by: &str| decide(&freehold, &tenant, hash, true, by).await;
    assert_eq!(decide(&hash, "ann").await, DecisionResult::SamePerson);
    assert!(matches!(decide(&"0".repeat(64), "bob").await, DecisionResult::HashMismatch(_)));
    assert!(
        matches!(decide(&hash, "bob").await, DecisionResult::Recorded(one) if one.state == ApprovalState::Approved)
    );
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_eq!(account(&freehold, &tenant).state, "CLOSED");
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Offboarded);
    assert_eq!(used_slots(&freehold).await, 0);
}

#[tokio::test]
async fn a_rejected_account_closure_does_not_stop_the_offboarding() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker, hash) = offboard_until_approval(&freehold).await;
    let decided = decide(&freehold, &tenant, &hash, false, "bob").await;
    assert!(matches!(decided, DecisionResult::Recorded(one) if one.state == ApprovalState::Rejected));
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Offboarded);
    assert_eq!(account(&freehold, &tenant).state, "ACTIVE");
    // A repeated request to close succeeds if the closure was requested before, although it was rejected. If the
    // account was to be kept, a later request to close is an error.
    assert!(matches!(offboard(&freehold, &tenant, true).await, LifecycleResult::Started(_)));
    let other = freehold.sign_up("Another", "eu-central-1", "standard").await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    offboard(&freehold, &other, false).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert!(
        matches!(offboard(&freehold, &other, false).await, LifecycleResult::Started(_)),
        "the request is idempotent"
    );
    assert_eq!(
        offboard(&freehold, &other, true).await,
        LifecycleResult::AlreadyOffboarded,
        "a closure after the end was accepted"
    );
}

#[tokio::test]
async fn a_legal_hold_and_a_finishing_offboarding_do_not_deadlock() {
    let freehold = Freehold::instant().await;
    let (tenant, _) = create_ready_tenant(&freehold).await;
    offboard(&freehold, &tenant, false).await;
    // Lock rows in the same order as the end of an offboarding: the operation, then the tenant.
    let mut transaction = freehold.pool().begin().await.expect("a transaction");
    let operation = "select 1 from operations where kind = 'offboard' for no key update";
    sqlx::query(operation).execute(&mut *transaction).await.expect("a lock");
    let (pool, now) = (freehold.pool().clone(), freehold.clock.now());
    let setting_hold =
        tokio::spawn(async move { lifecycle::set_legal_hold(&pool, tenant.id, Some("Case 1."), None, now).await });
    let waits = "select exists (select from pg_locks where not granted)";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(freehold.pool()).await.expect("an answer") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let row = "select 1 from tenants for no key update nowait";
    sqlx::query(row).execute(&mut *transaction).await.expect("an unlocked tenant row");
    transaction.rollback().await.expect("released locks");
    setting_hold.await.expect("a finished task").expect("a legal hold");
}

pub(super) async fn used_slots(freehold: &Freehold) -> i64 {
    sqlx::query_scalar("select count(*) from slots").fetch_one(freehold.pool()).await.expect("an answer")
}

#[tokio::test]
async fn a_legal_hold_prevents_deletion_until_it_is_lifted() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let set_hold = |reason: Option<&'static str>| {
        let (pool, now) = (freehold.pool().clone(), freehold.clock.now());
        async move { lifecycle::set_legal_hold(&pool, tenant.id, reason, None, now).await.expect("an answer") }
    };
    assert_eq!(set_hold(Some("Records are to be kept.")).await, LegalHoldResult::Written { before: None });
    assert!(matches!(offboard(&freehold, &tenant, false).await, LifecycleResult::LegalHold(_)));

    set_hold(None).await;
    offboard(&freehold, &tenant, false).await;
    set_hold(Some("Records are to be kept.")).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_eq!(count_stacks(&freehold), 2, "a stack was deleted under a legal hold");
    set_hold(None).await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    assert_eq!(count_stacks(&freehold), 0);
}

#[tokio::test]
async fn an_account_without_freehold_tags_is_not_changed() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let id = account(&freehold, &tenant).id;
    freehold.world.state().organization.tags.insert(id, BTreeMap::from([("owner".to_owned(), "another".to_owned())]));
    offboard(&freehold, &tenant, true).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let operation = latest_operation(&freehold, &tenant).await;
    assert_eq!(operation.attention.expect("attention").code, "account_not_ours");
    assert_eq!(account(&freehold, &tenant).parent_name, "freehold-eu");
}

#[tokio::test]
async fn one_environment_is_offboarded_and_another_tenant_stays() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let other = freehold.sign_up("Other", "eu-west-1", "standard").await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    let name: EnvironmentName = "production".parse().expect("a name");
    let now = freehold.clock.now();
    lifecycle::offboard(freehold.pool(), tenant.id, Some(&name), false, &requester("ann"), Initiator::Operator, now)
        .await
        .expect("an answer");
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.environments[0].state, EnvironmentState::Offboarded);
    assert_eq!(freehold.reload_tenant(&other).await.state(), TenantState::Ready);
    let unknown: EnvironmentName = "staging".parse().expect("a name");
    let (pool, by) = (freehold.pool(), requester("ann"));
    let unknown = lifecycle::offboard(pool, tenant.id, Some(&unknown), false, &by, Initiator::Operator, now).await;
    assert_eq!(unknown.expect("an answer"), LifecycleResult::NotFound);
}

#[tokio::test]
async fn an_onboarding_is_canceled_before_an_account_is_requested() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let operation = freehold.operation_of(&tenant).await.id;
    let canceled = cancel(&freehold, operation).await;
    assert_eq!(canceled, LifecycleResult::Started(vec![]));
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    assert_eq!(world_snapshot::account_requests(&freehold.world), 0);
    assert_eq!(latest_operation(&freehold, &tenant).await.state, OperationState::Canceled);
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Offboarded);
    let again = cancel(&freehold, operation).await;
    assert!(matches!(again, LifecycleResult::NotAllowed(_)));
}

#[tokio::test]
async fn an_onboarding_canceled_at_any_time_leaves_no_resources() {
    // Each iteration cancels an onboarding at a later wake-up.
    for wake_up in 1.. {
        let freehold = Freehold::with(Settings { seed: wake_up, ..Settings::default() }, CONFIG).await;
        let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
        let worker = freehold.worker("worker-1");
        for _ in 0..wake_up {
            if freehold.run_due_and_advance(&worker).await.is_none() {
                assert!(wake_up > 8, "only {wake_up} wake-ups");
                return;
            }
        }
        let operation = freehold.operation_of(&tenant).await;
        if operation.state == OperationState::Succeeded {
            return;
        }
        let canceled = cancel(&freehold, operation.id).await;
        assert!(matches!(canceled, LifecycleResult::Started(_)), "{canceled:?} at wake-up {wake_up}");
        freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
        let operation = latest_operation(&freehold, &tenant).await;
        assert!(operation.finished_at.is_some(), "wake-up {wake_up}: {operation:#?}");
        assert!(world_snapshot::account_requests(&freehold.world) <= 1);
        for account in freehold.world.accounts().iter().filter(|account| !account.tags.is_empty()) {
            assert_eq!(account.parent_name, "freehold-quarantine", "wake-up {wake_up}");
        }
        assert!(freehold.world.assignments().is_empty(), "wake-up {wake_up}: {:?}", freehold.world.assignments());
        assert_eq!((count_stacks(&freehold), used_slots(&freehold).await), (0, 0), "wake-up {wake_up}");
    }
}

#[tokio::test]
async fn an_account_of_a_canceled_onboarding_is_found_and_quarantined() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.faulty_client.inject(WireRule::on("organizations", "CreateAccount", WireEffect::ResetAfterCall).nth(1));
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let worker = freehold.worker("worker-1");
    worker.drain().await.expect("finished work");
    let operation = freehold.operation_of(&tenant).await.id;
    cancel(&freehold, operation).await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    assert_eq!(account(&freehold, &tenant).parent_name, "freehold-quarantine");
    let mapped = freehold.reload_tenant(&tenant).await.environments[0].aws_account_id.clone();
    assert_eq!(mapped.map(String::from), Some(account(&freehold, &tenant).id));
}

#[tokio::test]
async fn a_retry_of_a_failed_deletion_keeps_the_failing_resources() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    offboard(&freehold, &tenant, false).await;
    freehold.world.inject(Rule::on("cloudformation", "DeleteStack", Fault::failed("the bucket is not empty")).nth(1));
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let operation = latest_operation(&freehold, &tenant).await;
    assert_eq!(operation.attention.expect("attention").code, "stack_not_deleted");
    lifecycle::retry(freehold.pool(), operation.id, "ann", freehold.clock.now()).await.expect("an answer");
    let errors: Vec<_> =
        latest_operation(&freehold, &tenant).await.steps.into_iter().filter_map(|step| step.last_error).collect();
    assert_eq!(errors, [""; 0], "the message remained after the retry");
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Offboarded);
}

/// Onboards and offboards a tenant completely, with a new worker after each crash. Returns the remaining AWS resources.
async fn offboard_completely(freehold: &Freehold) -> Vec<String> {
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    freehold.run_until_idle(&freehold.worker("worker-0"), HALF_AN_HOUR).await;
    offboard(freehold, &tenant, true).await;
    let operation = latest_operation(freehold, &tenant).await.id;
    let hash =
        approvals::list_for_operation(freehold.pool(), operation).await.expect("an answer")[0].request_hash.clone();
    let now = freehold.clock.now();
    lifecycle::decide(freehold.pool(), operation, &hash, true, None, &requester("bob"), now).await.expect("an answer");
    for worker in 1.. {
        let worker = freehold.worker(&format!("worker-{worker}"));
        tokio::select! {
            () = freehold.run_until_idle(&worker, MAX_SIMULATED_TIME) => break,
            () = freehold.step_faults.wait_until_crashed() => {}
        }
    }
    let operation = operations::get(freehold.pool(), operation).await.expect("an answer").expect("the operation");
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    world_snapshot::describe(&freehold.world)
}

#[tokio::test]
async fn a_fault_at_any_call_of_the_offboarding_gives_the_same_result() {
    let steps = OFFBOARD_STEPS.iter().filter(|step| step.name.replica().is_none());
    let run = async |fault| {
        let freehold = Freehold::instant().await;
        freehold.step_faults.plan_fault(fault);
        (offboard_completely(&freehold).await, freehold.step_faults.was_injected())
    };
    let calls = assert_same_result(steps, &StepFault::ALL, run).await;
    assert!(calls > 4 * OFFBOARD_STEPS.len(), "only {calls} calls were tried");
}
