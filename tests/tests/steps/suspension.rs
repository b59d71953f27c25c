//! Tests of suspensions: a suspended tenant has no access, nothing is deleted, and its environments are verified when
//! it is resumed.

use std::time::Duration;

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_tenancy::approval::ApprovalState;
use freehold_tenancy::db::lifecycle::{self, ChangeAdminResult, LegalHoldResult, LifecycleResult, NewSuspension};
use freehold_tenancy::db::{approvals, events, tenants};
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::event::EventType;
use freehold_tenancy::operation::{OperationKind, OperationState};
use freehold_tenancy::tenant::{SuspensionReason, Tenant, TenantState};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::world_snapshot;
use freehold_worker::reconcile::RepairMode;

use super::offboarding::{
    MAX_SIMULATED_TIME, account, create_ready_tenant, latest_operation, offboard, requester, used_slots,
};
use super::reconcile::compare;

const HALF_AN_HOUR: TimeDelta = TimeDelta::minutes(30);

pub(super) async fn suspend(freehold: &Freehold, tenant: &Tenant) -> LifecycleResult {
    let new = NewSuspension { reason: SuspensionReason::NonPayment, note: None };
    let now = freehold.clock.now();
    lifecycle::suspend(freehold.pool(), tenant.id, &new, None, &requester("ann"), now).await.expect("an answer").result
}

pub(super) async fn resume(freehold: &Freehold, tenant: &Tenant) -> LifecycleResult {
    let now = freehold.clock.now();
    lifecycle::resume(freehold.pool(), tenant.id, "It is paid.", None, &requester("ann"), now)
        .await
        .expect("an answer")
        .result
}

/// Returns the number of stacks or assignments in the only account of a tenant; `what` is `stack` or `assigned`.
fn count(freehold: &Freehold, what: &str) -> usize {
    world_snapshot::describe(&freehold.world).iter().filter(|line| line.contains(&format!(" {what} "))).count()
}

async fn event_types(freehold: &Freehold, tenant: &Tenant) -> Vec<EventType> {
    let operation = latest_operation(freehold, tenant).await.id;
    let all = events::after(freehold.pool(), operation, 0, 1000).await.expect("the events");
    all.into_iter().map(|event| event.event_type).collect()
}

#[tokio::test]
async fn a_suspended_tenant_has_no_access_until_it_is_resumed() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let before = world_snapshot::describe(&freehold.world);
    let mapped = tenant.environments[0].aws_account_id.clone();

    assert!(matches!(suspend(&freehold, &tenant).await, LifecycleResult::Started(_)));
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Suspended, "at once");
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let suspended = freehold.reload_tenant(&tenant).await;
    assert_eq!(
        (suspended.state(), suspended.environments[0].state),
        (TenantState::Suspended, EnvironmentState::Suspended)
    );
    assert_eq!(suspended.suspension.as_ref().map(|one| one.reason), Some(SuspensionReason::NonPayment));
    assert_eq!(suspended.environments[0].aws_account_id, mapped, "billing lost the account");
    assert_eq!(account(&freehold, &tenant).parent_name, "freehold-quarantine");
    assert_eq!((count(&freehold, "assigned"), count(&freehold, "stack")), (0, 2));
    assert!(event_types(&freehold, &tenant).await.contains(&EventType::EnvironmentSuspended));

    // No countdown: a year later nothing is deleted, and a comparison finds nothing to repair.
    freehold.clock.advance(Duration::from_hours(24 * 365));
    let report = compare(&freehold, RepairMode::All).await;
    assert_eq!(report.findings.len(), 0, "a suspension is reported");
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_eq!(account(&freehold, &tenant).parent_name, "freehold-quarantine");
    assert_eq!(suspend(&freehold, &tenant).await, LifecycleResult::Started(vec![]), "a repetition starts nothing");

    assert!(matches!(resume(&freehold, &tenant).await, LifecycleResult::Started(_)));
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Restoring);
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    let resumed = freehold.reload_tenant(&tenant).await;
    assert_eq!((resumed.state(), resumed.suspension), (TenantState::Ready, None));
    assert_eq!(latest_operation(&freehold, &tenant).await.kind, OperationKind::Resume);
    assert_eq!(world_snapshot::describe(&freehold.world), before, "resuming does not restore the earlier state");
    let types = event_types(&freehold, &tenant).await;
    assert!(
        types.contains(&EventType::EnvironmentResumed) && types.contains(&EventType::EnvironmentReady),
        "{types:?}"
    );
    assert_eq!(resume(&freehold, &tenant).await, LifecycleResult::Started(vec![]), "a repetition starts nothing");
}

#[tokio::test]
async fn an_offboarding_from_suspended_keeps_the_cooling_off_period() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    suspend(&freehold, &tenant).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    // The suspension is longer than the cooling-off period, which starts only now.
    freehold.clock.advance(Duration::from_hours(24 * 30));
    assert!(matches!(offboard(&freehold, &tenant, false).await, LifecycleResult::Started(_)));
    freehold.run_until_idle(&worker, TimeDelta::days(6)).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Offboarding);
    assert_eq!(count(&freehold, "stack"), 2, "a stack was deleted before the cooling-off period ended");
    freehold.run_until_idle(&worker, TimeDelta::days(3)).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Offboarded);
}

#[tokio::test]
async fn a_legal_hold_does_not_prevent_a_suspension() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let now = freehold.clock.now();
    let set = lifecycle::set_legal_hold(freehold.pool(), tenant.id, Some("Records."), None, now).await;
    assert_eq!(set.expect("an answer"), LegalHoldResult::Written { before: None });
    for (change, state) in [(true, TenantState::Suspended), (false, TenantState::Ready)] {
        let result = if change { suspend(&freehold, &tenant).await } else { resume(&freehold, &tenant).await };
        assert!(matches!(result, LifecycleResult::Started(_)), "{result:?}");
        freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
        assert_eq!(freehold.reload_tenant(&tenant).await.state(), state);
    }
}

#[tokio::test]
async fn an_onboarding_suspended_at_any_time_is_completed_by_resuming() {
    let mut cases = 0;
    // Each iteration suspends an onboarding at a later wake-up.
    for wake_up in 0.. {
        let freehold = Freehold::with(Settings { seed: wake_up, ..Settings::default() }, CONFIG).await;
        // The region requires opt-in, which needs a slot of an AWS quota.
        let tenant = freehold.sign_up("Example", "eu-central-2", "enterprise").await;
        let worker = freehold.worker("worker-1");
        for _ in 0..wake_up {
            freehold.run_due_and_advance(&worker).await;
        }
        if freehold.operation_of(&tenant).await.state == OperationState::Succeeded {
            break;
        }
        let result = suspend(&freehold, &tenant).await;
        assert!(matches!(result, LifecycleResult::Started(_)), "{result:?} at wake-up {wake_up}");
        freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
        assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Suspended, "at wake-up {wake_up}");
        assert_eq!(used_slots(&freehold).await, 0, "the suspension keeps slots at wake-up {wake_up}");
        let email = freehold.config.organization.account_email.address(tenant.environments[0].id);
        if freehold.world.account_by_email(&email).is_some() {
            assert_eq!(account(&freehold, &tenant).parent_name, "freehold-quarantine", "at wake-up {wake_up}");
            assert_eq!(count(&freehold, "assigned"), 0, "access remains at wake-up {wake_up}");
        }

        let result = resume(&freehold, &tenant).await;
        assert!(matches!(result, LifecycleResult::Started(_)), "{result:?} at wake-up {wake_up}");
        freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
        let operation = latest_operation(&freehold, &tenant).await;
        assert_eq!(operation.state, OperationState::Succeeded, "at wake-up {wake_up}: {operation:#?}");
        assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready, "at wake-up {wake_up}");
        assert_eq!(world_snapshot::account_requests(&freehold.world), 1, "at wake-up {wake_up}");
        assert_eq!(used_slots(&freehold).await, 0, "slots of AWS quotas are left at wake-up {wake_up}");
        cases += 1;
    }
    assert!(cases > 10, "only {cases} wake-ups were tried");
}

#[tokio::test]
async fn a_suspension_in_progress_can_be_resumed_at_any_time() {
    let mut cases = 0;
    for wake_up in 0.. {
        let freehold = Freehold::with(Settings { seed: wake_up, ..Settings::default() }, CONFIG).await;
        let (tenant, worker) = create_ready_tenant(&freehold).await;
        suspend(&freehold, &tenant).await;
        for _ in 0..wake_up {
            freehold.run_due_and_advance(&worker).await;
        }
        let is_done = latest_operation(&freehold, &tenant).await.state == OperationState::Succeeded;
        resume(&freehold, &tenant).await;
        freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
        let tenant = freehold.reload_tenant(&tenant).await;
        assert_eq!(tenant.state(), TenantState::Ready, "at wake-up {wake_up}");
        assert_eq!(account(&freehold, &tenant).parent_name, "freehold-eu", "at wake-up {wake_up}");
        cases += 1;
        if is_done {
            break;
        }
    }
    assert!(cases > 1, "only {cases} wake-ups were tried");
}

#[tokio::test]
async fn an_interrupted_onboarding_still_needs_its_approval() {
    let config = format!("{CONFIG}\napproval = \"required\"");
    let freehold = Freehold::instant().await.with_config(&config);
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    suspend(&freehold, &tenant).await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    // The tier and the configuration no longer require an approval.
    let mut changed = freehold.reload_tenant(&tenant).await;
    changed.tier = "standard".parse().expect("a tier");
    let now = freehold.clock.now();
    assert!(tenants::update(freehold.pool(), &changed, &["tier"], now).await.expect("a change"));
    let freehold = freehold.with_config(CONFIG);
    let worker = freehold.worker("worker-2");
    resume(&freehold, &tenant).await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    assert_eq!(world_snapshot::account_requests(&freehold.world), 0, "resuming went around the approval");
    let operation = latest_operation(&freehold, &tenant).await;
    assert_eq!((operation.kind, operation.requested_by.subject.as_str()), (OperationKind::Onboard, "tests"));
    let asked = approvals::list_for_operation(freehold.pool(), operation.id).await.expect("approvals");
    assert_eq!((asked.len(), asked[0].state), (1, ApprovalState::Pending));
}

#[tokio::test]
async fn a_change_of_the_administrator_does_not_end_a_suspension() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    suspend(&freehold, &tenant).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let mut changed = freehold.reload_tenant(&tenant).await;
    let former = changed.admin_email.replace("new@example.com".parse().expect("an address")).expect("an address");
    let (by, now) = (requester("ann"), freehold.clock.now());
    let result = lifecycle::change_admin(freehold.pool(), &changed, &["admin_email"], &former, true, &by, now).await;
    assert_eq!(result.expect("a result"), ChangeAdminResult::Written);
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_eq!(account(&freehold, &tenant).parent_name, "freehold-quarantine");

    resume(&freehold, &tenant).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);
    let users = serde_json::to_string(&freehold.world.state().identity_store).expect("the users");
    assert!(users.contains("new@example.com") && !users.contains("admin@example.com"), "{users}");
}

#[tokio::test]
async fn an_offboarding_deletes_no_group_that_others_have_made() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let name = format!("freehold-{}", tenant.id);
    let set_description = |text: &str| {
        let mut state = freehold.world.state();
        let group = state.identity_store.groups.values_mut().find(|group| group.display_name == name);
        group.expect("the group").description = Some(text.to_owned());
    };
    set_description("Our customers");
    freehold.clock.advance(std::time::Duration::from_hours(24));
    offboard(&freehold, &tenant, false).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let operation = freehold.operation_of(&freehold.reload_tenant(&tenant).await).await;
    assert_eq!(operation.attention.expect("attention").code, "group_not_ours");
    set_description("Users of one tenant");
    lifecycle::retry(freehold.pool(), operation.id, "ann", freehold.clock.now()).await.expect("an answer");
    freehold.clock.advance(std::time::Duration::from_hours(1));
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Offboarded);
}

#[tokio::test]
async fn a_suspension_during_the_end_of_an_offboarding_changes_nothing() {
    let freehold = Freehold::instant().await;
    let (tenant, _) = create_ready_tenant(&freehold).await;
    offboard(&freehold, &tenant, false).await;
    // A worker that finishes the offboarding locks the operation first.
    let mut end = freehold.pool().begin().await.expect("a transaction");
    let operation = "update operations set state = 'succeeded', finished_at = updated_at, wake_at = null
        where kind = 'offboard'";
    sqlx::query(operation).execute(&mut *end).await.expect("a finished operation");
    let (pool, now, id) = (freehold.pool().clone(), freehold.clock.now(), tenant.id);
    let suspending = tokio::spawn(async move {
        let new = NewSuspension { reason: SuspensionReason::Abuse, note: None };
        lifecycle::suspend(&pool, id, &new, None, &requester("ann"), now).await.expect("an answer").result
    });
    let waits = "select exists (select from pg_locks where not granted)";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(freehold.pool()).await.expect("an answer") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for statement in [
        "update account_mappings set valid_to = valid_from + interval '1 hour'",
        "update environments set state = 'offboarded', offboarded_at = updated_at",
        "update tenants set offboarded_at = updated_at",
    ] {
        sqlx::query(statement).execute(&mut *end).await.expect("an offboarded tenant");
    }
    end.commit().await.expect("the end of the offboarding");
    assert_eq!(suspending.await.expect("a finished task"), LifecycleResult::AlreadyOffboarded);
    assert_eq!(latest_operation(&freehold, &tenant).await.kind, OperationKind::Offboard, "an operation was opened");
    let tenant = freehold.reload_tenant(&tenant).await;
    assert_eq!((tenant.state(), tenant.suspension), (TenantState::Offboarded, None));
}
