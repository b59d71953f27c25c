//! Customers leave as safely as they come: suspended at once, restorable for a while, nothing destroyed before, nobody
//! else's touched, and nothing left that nobody knows of.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_tenancy::EnvironmentName;
use freehold_tenancy::approval::ApprovalState;
use freehold_tenancy::db::approvals;
use freehold_tenancy::db::lifecycle::{self, DecisionResult, LifecycleResult};
use freehold_tenancy::db::operations;
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::operation::{Operation, OperationKind, OperationState, Requester};
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::step_faults::StepFault;
use freehold_tests::world_snapshot;
use freehold_worker::Worker;
use freehold_worker::offboarding::OFFBOARDING;

const LONG: TimeDelta = TimeDelta::days(10);
const MINUTES: TimeDelta = TimeDelta::minutes(30);

fn person(name: &str) -> Requester {
    Requester { issuer: "https://issuer.example.com".to_owned(), subject: name.to_owned() }
}

/// A tenant that is ready, and the worker that made it so.
async fn ready(freehold: &Freehold) -> (Tenant, Arc<Worker>) {
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    let worker = freehold.worker("worker-1");
    freehold.settle(&worker, MINUTES).await;
    let tenant = freehold.tenant_now(&tenant).await;
    assert_eq!(tenant.state(), TenantState::Ready);
    (tenant, worker)
}

async fn offboard(freehold: &Freehold, tenant: &Tenant, close: bool) -> LifecycleResult {
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    lifecycle::offboard(pool, tenant.id, None, close, &person("ann"), now).await.expect("an answer")
}

async fn restore(freehold: &Freehold, tenant: &Tenant) -> LifecycleResult {
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    lifecycle::restore(pool, tenant.id, None, &person("ann"), now).await.expect("an answer")
}

async fn latest(freehold: &Freehold, tenant: &Tenant) -> Operation {
    freehold.operation_of(&freehold.tenant_now(tenant).await).await
}

/// The account of the tenant's only environment, as the organisation has it.
fn account(freehold: &Freehold, tenant: &Tenant) -> freehold_sandbox::world::AccountView {
    let email = freehold.config.organization.account_email.address(tenant.environments[0].id);
    freehold.world.account_by_email(&email).expect("its account")
}

fn users(freehold: &Freehold) -> usize {
    freehold.world.state().identity_store.users.len()
}

fn stacks(freehold: &Freehold) -> usize {
    freehold.world.stacks().iter().filter(|stack| stack.status != "DELETE_COMPLETE").count()
}

#[tokio::test]
async fn a_tenant_that_is_let_go_is_suspended_at_once_and_gone_after_its_cooling_off_period() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker) = ready(&freehold).await;
    let people = users(&freehold);
    assert!(matches!(offboard(&freehold, &tenant, false).await, LifecycleResult::Yes(_)));
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Offboarding);

    freehold.settle(&worker, MINUTES).await;
    assert_eq!(account(&freehold, &tenant).parent_name, "freehold-quarantine");
    assert!(freehold.world.assignments().is_empty(), "somebody still gets in");
    assert_eq!(users(&freehold), people - 1, "the person added for this tenant stays");
    assert_eq!(stacks(&freehold), 2, "something was destroyed within the cooling-off period");

    freehold.settle(&worker, LONG).await;
    let tenant = freehold.tenant_now(&tenant).await;
    assert_eq!(tenant.state(), TenantState::Offboarded);
    assert_eq!(tenant.admin_email, None, "the person who administered it is still named");
    assert_eq!(tenant.environments[0].aws_account_id, None, "the mapping still holds");
    assert_eq!(stacks(&freehold), 0);
    let gone = tenant.environments[0].offboarded_at.expect("a time");
    assert!(gone - tenant.created_at >= TimeDelta::days(7), "gone after {}", gone - tenant.created_at);
    // Closing is on request only.
    assert_eq!(account(&freehold, &tenant).state, "ACTIVE");
    let ended: i64 = sqlx::query_scalar("select count(*) from account_mappings where valid_to is not null")
        .fetch_one(freehold.pool())
        .await
        .expect("an answer");
    assert_eq!(ended, 1, "mappings that are kept");
}

#[tokio::test]
async fn a_restored_tenant_is_what_it_was() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker) = ready(&freehold).await;
    let before = world_snapshot::of(&freehold.world);
    offboard(&freehold, &tenant, false).await;
    freehold.settle(&worker, MINUTES).await;
    assert_ne!(world_snapshot::of(&freehold.world), before);
    assert!(matches!(restore(&freehold, &tenant).await, LifecycleResult::Yes(_)));
    freehold.settle(&worker, MINUTES).await;
    assert_eq!(latest(&freehold, &tenant).await.kind, OperationKind::Restore);
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Ready);
    assert_eq!(world_snapshot::of(&freehold.world), before);
}

#[tokio::test]
async fn nothing_is_restored_after_the_cooling_off_period() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = ready(&freehold).await;
    assert!(matches!(restore(&freehold, &tenant).await, LifecycleResult::Not(_)));
    offboard(&freehold, &tenant, false).await;
    freehold.settle(&worker, LONG).await;
    assert!(matches!(restore(&freehold, &tenant).await, LifecycleResult::Not(_)));
}

/// A tenant whose offboarding waits until somebody has decided whether its account is closed, the worker that brought it there,
/// and the hash of what is to be decided.
async fn about_to_be_closed(freehold: &Freehold) -> (Tenant, Arc<Worker>, String) {
    let (tenant, worker) = ready(freehold).await;
    offboard(freehold, &tenant, true).await;
    freehold.settle(&worker, LONG).await;
    let operation = latest(freehold, &tenant).await;
    assert_eq!(operation.attention.expect("somebody is asked").code, "approval_required");
    assert_eq!(account(freehold, &tenant).state, "ACTIVE");
    let asked = approvals::list_for_operation(freehold.pool(), operation.id).await.expect("an answer");
    (tenant, worker, asked[0].request_hash.clone())
}

async fn decide(freehold: &Freehold, tenant: &Tenant, hash: &str, approve: bool, by: &str) -> DecisionResult {
    let (pool, id, now) = (freehold.pool(), latest(freehold, tenant).await.id, freehold.clock.now());
    lifecycle::decide(pool, id, hash, approve, &person(by), now).await.expect("an answer")
}

#[tokio::test]
async fn an_account_is_closed_only_where_another_person_approves() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker, hash) = about_to_be_closed(&freehold).await;
    let decide = async |hash: &str, by: &str| decide(&freehold, &tenant, hash, true, by).await;
    assert_eq!(decide(&hash, "ann").await, DecisionResult::SamePerson);
    assert!(matches!(decide(&"0".repeat(64), "bob").await, DecisionResult::Other(_)));
    assert!(matches!(decide(&hash, "bob").await, DecisionResult::Yes(one) if one.state == ApprovalState::Approved));
    freehold.settle(&worker, LONG).await;
    assert_eq!(account(&freehold, &tenant).state, "CLOSED");
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Offboarded);
    assert_eq!(places_taken(&freehold).await, 0);
}

#[tokio::test]
async fn who_rejects_the_closing_of_an_account_lets_the_rest_of_the_offboarding_go_on() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker, hash) = about_to_be_closed(&freehold).await;
    let decided = decide(&freehold, &tenant, &hash, false, "bob").await;
    assert!(matches!(decided, DecisionResult::Yes(one) if one.state == ApprovalState::Rejected));
    freehold.settle(&worker, LONG).await;
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Offboarded);
    assert_eq!(account(&freehold, &tenant).state, "ACTIVE");
    // Whose account was asked to be closed need not be told that it was not; whose account nobody thought of is.
    assert!(matches!(offboard(&freehold, &tenant, true).await, LifecycleResult::Yes(_)));
    let other = freehold.sign_up("Another", "eu-central-1", "standard").await;
    freehold.settle(&worker, MINUTES).await;
    offboard(&freehold, &other, false).await;
    freehold.settle(&worker, LONG).await;
    assert!(matches!(offboard(&freehold, &other, false).await, LifecycleResult::Yes(_)), "it may be sent again");
    assert_eq!(offboard(&freehold, &other, true).await, LifecycleResult::Gone, "accepted, and nothing follows");
}

#[tokio::test]
async fn a_legal_hold_and_the_end_of_an_offboarding_do_not_wait_for_each_other() {
    let freehold = Freehold::instant().await;
    let (tenant, _) = ready(&freehold).await;
    offboard(&freehold, &tenant, false).await;
    // As whoever ends the offboarding: the operation first, then the tenant.
    let mut ending = freehold.pool().begin().await.expect("a transaction");
    let operation = "select 1 from operations where kind = 'offboard' for no key update";
    sqlx::query(operation).execute(&mut *ending).await.expect("a lock");
    let (pool, now) = (freehold.pool().clone(), freehold.clock.now());
    let holding = tokio::spawn(async move { lifecycle::set_legal_hold(&pool, tenant.id, Some("Case 1."), now).await });
    let waits = "select exists (select from pg_locks where not granted)";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(freehold.pool()).await.expect("an answer") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let row = "select 1 from tenants for no key update nowait";
    sqlx::query(row).execute(&mut *ending).await.expect("the tenant's row, which nobody holds");
    ending.rollback().await.expect("the locks given back");
    assert!(holding.await.expect("an end").expect("an answer"));
}

async fn places_taken(freehold: &Freehold) -> i64 {
    sqlx::query_scalar("select count(*) from slots").fetch_one(freehold.pool()).await.expect("an answer")
}

#[tokio::test]
async fn a_legal_hold_keeps_everything_until_it_is_lifted() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = ready(&freehold).await;
    let hold = |reason: Option<&'static str>| {
        let (pool, now) = (freehold.pool().clone(), freehold.clock.now());
        async move { lifecycle::set_legal_hold(&pool, tenant.id, reason, now).await.expect("an answer") }
    };
    assert!(hold(Some("Records are to be kept.")).await);
    assert!(matches!(offboard(&freehold, &tenant, false).await, LifecycleResult::LegalHold(_)));

    hold(None).await;
    offboard(&freehold, &tenant, false).await;
    hold(Some("Records are to be kept.")).await;
    freehold.settle(&worker, LONG).await;
    assert_eq!(stacks(&freehold), 2, "something was destroyed under a legal hold");
    hold(None).await;
    freehold.settle(&worker, MINUTES).await;
    assert_eq!(stacks(&freehold), 0);
}

#[tokio::test]
async fn an_account_that_does_not_carry_our_tags_any_more_is_not_touched() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = ready(&freehold).await;
    let id = account(&freehold, &tenant).id;
    freehold.world.state().organization.tags.insert(id, BTreeMap::from([("owner".to_owned(), "another".to_owned())]));
    offboard(&freehold, &tenant, true).await;
    freehold.settle(&worker, LONG).await;
    let operation = latest(&freehold, &tenant).await;
    assert_eq!(operation.attention.expect("somebody is asked").code, "account_not_ours");
    assert_eq!(account(&freehold, &tenant).parent_name, "freehold-eu");
}

#[tokio::test]
async fn one_environment_goes_and_the_other_stays() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = ready(&freehold).await;
    let other = freehold.sign_up("Other", "eu-west-1", "standard").await;
    freehold.settle(&worker, MINUTES).await;
    let name: EnvironmentName = "production".parse().expect("a name");
    let now = freehold.clock.now();
    lifecycle::offboard(freehold.pool(), tenant.id, Some(&name), false, &person("ann"), now).await.expect("an answer");
    freehold.settle(&worker, LONG).await;
    assert_eq!(freehold.tenant_now(&tenant).await.environments[0].state, EnvironmentState::Offboarded);
    assert_eq!(freehold.tenant_now(&other).await.state(), TenantState::Ready);
    let nobody: EnvironmentName = "staging".parse().expect("a name");
    let unknown = lifecycle::offboard(freehold.pool(), tenant.id, Some(&nobody), false, &person("ann"), now).await;
    assert_eq!(unknown.expect("an answer"), LifecycleResult::Unknown);
}

#[tokio::test]
async fn an_onboarding_is_canceled_cleanly_before_an_account_is_asked_for() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let (operation, now) = (freehold.operation_of(&tenant).await.id, freehold.clock.now());
    let canceled = lifecycle::cancel(freehold.pool(), operation, &person("ann"), now).await.expect("an answer");
    assert_eq!(canceled, LifecycleResult::Yes(vec![]));
    freehold.settle(&freehold.worker("worker-1"), LONG).await;
    assert_eq!(world_snapshot::accounts_asked_for(&freehold.world), 0);
    assert_eq!(latest(&freehold, &tenant).await.state, OperationState::Canceled);
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Offboarded);
    let again = lifecycle::cancel(freehold.pool(), operation, &person("ann"), now).await.expect("an answer");
    assert!(matches!(again, LifecycleResult::Not(_)));
}

#[tokio::test]
async fn an_onboarding_that_is_canceled_whenever_leaves_nothing_that_nobody_knows_of() {
    // At each wake-up of an onboarding, once.
    for moment in 1.. {
        let freehold = Freehold::with(Settings { seed: moment, ..Settings::default() }, CONFIG).await;
        let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
        let worker = freehold.worker("worker-1");
        for _ in 0..moment {
            if freehold.step(&worker).await.is_none() {
                assert!(moment > 8, "only {moment} moments");
                return;
            }
        }
        let operation = freehold.operation_of(&tenant).await;
        let (pool, now) = (freehold.pool(), freehold.clock.now());
        if operation.state == OperationState::Succeeded {
            return;
        }
        let canceled = lifecycle::cancel(pool, operation.id, &person("ann"), now).await.expect("an answer");
        assert!(matches!(canceled, LifecycleResult::Yes(_)), "{canceled:?} at moment {moment}");
        freehold.settle(&worker, LONG).await;
        let operation = latest(&freehold, &tenant).await;
        assert!(operation.finished_at.is_some(), "moment {moment}: {operation:#?}");
        assert!(world_snapshot::accounts_asked_for(&freehold.world) <= 1);
        for account in freehold.world.accounts().iter().filter(|account| !account.tags.is_empty()) {
            assert_eq!(account.parent_name, "freehold-quarantine", "moment {moment}");
        }
        assert!(freehold.world.assignments().is_empty(), "moment {moment}: {:?}", freehold.world.assignments());
        assert_eq!((stacks(&freehold), places_taken(&freehold).await), (0, 0), "moment {moment}");
    }
}

#[tokio::test]
async fn an_account_whose_answer_was_lost_when_its_onboarding_was_canceled_is_found_and_let_go() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.wire.inject(WireRule::on("organizations", "CreateAccount", WireEffect::ResetAfterCall).nth(1));
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let worker = freehold.worker("worker-1");
    worker.drain().await.expect("carried on");
    let (operation, now) = (freehold.operation_of(&tenant).await.id, freehold.clock.now());
    lifecycle::cancel(freehold.pool(), operation, &person("ann"), now).await.expect("an answer");
    freehold.settle(&worker, MINUTES).await;
    assert_eq!(account(&freehold, &tenant).parent_name, "freehold-quarantine");
    let mapped = freehold.tenant_now(&tenant).await.environments[0].aws_account_id.clone();
    assert_eq!(mapped.map(String::from), Some(account(&freehold, &tenant).id));
}

#[tokio::test]
async fn a_stack_that_cannot_be_deleted_asks_a_person_whose_retry_leaves_the_rest_behind() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = ready(&freehold).await;
    offboard(&freehold, &tenant, false).await;
    freehold.world.inject(Rule::on("cloudformation", "DeleteStack", Fault::failed("the bucket is not empty")).nth(1));
    freehold.settle(&worker, LONG).await;
    let operation = latest(&freehold, &tenant).await;
    assert_eq!(operation.attention.expect("somebody is asked").code, "stack_not_deleted");
    lifecycle::retry(freehold.pool(), operation.id, "ann", freehold.clock.now()).await.expect("an answer");
    freehold.settle(&worker, LONG).await;
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Offboarded);
}

/// Offboards a tenant to the end, a new worker taking over from each that dies, and answers what is left.
async fn gone(freehold: &Freehold) -> Vec<String> {
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    freehold.settle(&freehold.worker("worker-0"), MINUTES).await;
    offboard(freehold, &tenant, true).await;
    let operation = latest(freehold, &tenant).await.id;
    let hash =
        approvals::list_for_operation(freehold.pool(), operation).await.expect("an answer")[0].request_hash.clone();
    let now = freehold.clock.now();
    lifecycle::decide(freehold.pool(), operation, &hash, true, &person("bob"), now).await.expect("an answer");
    for worker in 1.. {
        let worker = freehold.worker(&format!("worker-{worker}"));
        tokio::select! {
            () = freehold.settle(&worker, LONG) => break,
            () = freehold.mishaps.died() => {}
        }
    }
    let operation = operations::get(freehold.pool(), operation).await.expect("an answer").expect("the operation");
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    world_snapshot::of(&freehold.world)
}

#[tokio::test]
async fn whatever_goes_wrong_at_any_call_of_the_offboarding_the_end_is_the_same() {
    let expected = gone(&Freehold::instant().await).await;
    let mut calls = 0;
    for mishap in StepFault::ALL {
        for step in OFFBOARDING {
            for spared in 0..40 {
                let freehold = Freehold::instant().await;
                freehold.mishaps.plan(step.name.as_str(), spared, mishap);
                let found = gone(&freehold).await;
                if !freehold.mishaps.happened() {
                    break;
                }
                calls += 1;
                assert_eq!(found, expected, "{mishap:?} at call {} of {} changed the end", spared + 1, step.name);
            }
        }
    }
    assert!(calls > 4 * OFFBOARDING.len(), "only {calls} calls were tried");
}
