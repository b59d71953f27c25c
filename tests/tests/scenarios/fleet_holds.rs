//! Tests of fleet holds: scenarios 5 and 9.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tenancy::db::fleet_holds;
use freehold_tenancy::fleet_hold::HoldKind;
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::alerts::AlertCounter;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::step_faults::StepFault;

use super::{MAX_SIMULATED_TIME, calls, error};

fn account_requests(freehold: &Freehold) -> u64 {
    calls(freehold, "organizations:CreateAccount").0
}

pub(super) async fn sign_up(freehold: &Freehold, count: usize) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for number in 0..count {
        tenants.push(freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await);
        freehold.clock.advance(std::time::Duration::from_secs(1));
    }
    tenants
}

async fn assert_all_wait_for(freehold: &Freehold, tenants: &[Tenant], what: &str) {
    for tenant in tenants {
        let operation = freehold.operation_of(tenant).await;
        assert_eq!(operation.state, OperationState::Running, "{operation:#?}");
        let waits = operation.steps.iter().any(|step| step.waits_for.as_deref() == Some(what));
        assert!(waits, "{operation:#?}");
    }
}

pub(super) async fn assert_all_ready(freehold: &Freehold, tenants: &[Tenant]) {
    for tenant in tenants {
        let now = freehold.reload_tenant(tenant).await;
        assert_eq!(now.state(), TenantState::Ready, "{:#?}", freehold.operation_of(tenant).await);
    }
    assert_eq!(fleet_holds::list_active(freehold.pool()).await.expect("an answer"), []);
}

/// Returns the indices of the tenants in the order of their account requests.
fn order_of_requests(freehold: &Freehold, tenants: &[Tenant]) -> Vec<usize> {
    let requests = freehold.world.create_requests();
    let tenant_index = |name: &str| tenants.iter().position(|one| name.contains(&one.environments[0].id.to_string()));
    let order: Vec<_> = requests.iter().filter_map(|request| tenant_index(&request.account_name)).collect();
    order
}

#[tokio::test]
async fn an_exhausted_account_quota_causes_one_hold_one_alert_and_one_probe() {
    let (alert_counter, _listening) = AlertCounter::install();
    // The quota allows the management account, Freehold's account, and one more account.
    let freehold = Freehold::with(Settings { account_quota: 3, ..Settings::default() }, CONFIG).await;
    let worker = freehold.worker("worker-1");
    let early = freehold.sign_up("Early", "eu-central-1", "standard").await;
    while freehold.reload_tenant(&early).await.environments[0].aws_account_id.is_none() {
        freehold.run_due_and_advance(&worker).await.expect("a wake-up");
    }
    let (requests_before, start) = (account_requests(&freehold), freehold.clock.now());

    let tenants = sign_up(&freehold, 5).await;
    freehold.run_until_idle(&worker, TimeDelta::minutes(13)).await;
    assert_eq!(account_requests(&freehold) - requests_before, 1, "only the first request is refused");
    assert_eq!(alert_counter.count(), 1, "alerts");
    assert_all_wait_for(&freehold, &tenants, "AWS to raise the account quota of the organisation").await;
    let holds = fleet_holds::list_active(freehold.pool()).await.expect("an answer");
    assert_eq!((holds.len(), holds[0].kind, holds[0].waiting), (1, HoldKind::AccountQuotaReached, 5));
    // A tenant that has its account is not affected by the hold.
    let ready_at = freehold.reload_tenant(&early).await.environments[0].ready_at.expect("the early one is ready");
    assert!(ready_at - start < TimeDelta::minutes(5), "ready after {}", ready_at - start);

    freehold.world.set_account_quota(100);
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
    assert_eq!(account_requests(&freehold) - requests_before, 1 + 5, "one refusal, then one request per tenant");
    assert_eq!(order_of_requests(&freehold, &tenants), [0, 1, 2, 3, 4]);
    assert_eq!(alert_counter.count(), 1, "alerts");
}

#[tokio::test]
async fn an_exhausted_account_quota_is_probed_once_an_hour() {
    let freehold = Freehold::with(Settings { account_quota: 2, ..Settings::default() }, CONFIG).await;
    let tenants = sign_up(&freehold, 3).await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::hours(4)).await;
    // Probes are sent immediately and after 15, 45, 105, 165 and 225 minutes.
    assert_eq!(account_requests(&freehold), 6);
    assert_all_wait_for(&freehold, &tenants, "AWS to raise the account quota of the organisation").await;
}

#[tokio::test]
async fn an_account_creation_refused_by_the_quota_starts_a_fleet_hold() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::failed("ACCOUNT_LIMIT_EXCEEDED")).times(2));
    let tenants = sign_up(&freehold, 2).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, TimeDelta::minutes(14)).await;
    assert_eq!(account_requests(&freehold), 2, "both requests were sent before the first failure");
    assert_all_wait_for(&freehold, &tenants, "AWS to raise the account quota of the organisation").await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
    assert_eq!(account_requests(&freehold), 4);
    assert_eq!(order_of_requests(&freehold, &tenants)[2..], [0, 1]);
}

#[tokio::test]
async fn a_worker_that_crashes_during_a_probe_does_not_block_the_fleet() {
    let freehold = Freehold::with(Settings { account_quota: 2, ..Settings::default() }, CONFIG).await;
    let tenants = sign_up(&freehold, 3).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, TimeDelta::minutes(10)).await;
    freehold.world.set_account_quota(100);
    freehold.step_faults.plan("request-account", 0, StepFault::CrashBeforeCall);
    tokio::select! {
        () = freehold.run_until_idle(&worker, MAX_SIMULATED_TIME) => {}
        () = freehold.step_faults.wait_until_crashed() => {}
    }
    assert!(freehold.step_faults.was_injected());
    freehold.run_until_idle(&freehold.worker("worker-2"), MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
}

#[tokio::test]
async fn an_organisation_that_is_being_finalized_opens_a_hold_for_an_hour() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let fault = error("FinalizingOrganizationException", "AWS Organizations is still initializing your organization.");
    freehold.world.inject(Rule::on("organizations", "CreateAccount", fault).times(1));
    let tenants = sign_up(&freehold, 3).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, TimeDelta::minutes(55)).await;
    assert_eq!(account_requests(&freehold), 1);
    assert_all_wait_for(&freehold, &tenants, "AWS to finish setting up the organisation").await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
    assert_eq!(account_requests(&freehold), 4);
}
