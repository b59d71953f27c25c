//! Tests of the operator's control of vending: the pause of account creation, and the maximum numbers of accounts.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_tenancy::db::{queue, vending};
use freehold_tenancy::operation::Requester;
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tenancy::vending::VendingStopCode;
use freehold_tests::fixture::{CONFIG, Freehold};

const MAX_SIMULATED_TIME: TimeDelta = TimeDelta::days(3);

fn operator() -> Requester {
    Requester { issuer: "https://login.example.com/".to_owned(), subject: "ann".to_owned() }
}

async fn sign_up_many(freehold: &Freehold, count: usize) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for number in 0..count {
        tenants.push(freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await);
    }
    tenants
}

async fn count_ready(freehold: &Freehold, tenants: &[Tenant]) -> usize {
    let mut ready = 0;
    for tenant in tenants {
        ready += usize::from(freehold.reload_tenant(tenant).await.state() == TenantState::Ready);
    }
    ready
}

/// Returns what the steps of the tenant's operation wait for.
async fn waits_for(freehold: &Freehold, tenant: &Tenant) -> Vec<String> {
    freehold.operation_of(tenant).await.steps.into_iter().filter_map(|step| step.waits_for).collect()
}

#[tokio::test]
async fn paused_vending_creates_no_account_until_it_is_resumed() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    vending::pause(freehold.pool(), "The budget is spent.", &operator(), freehold.clock.now()).await.expect("a pause");
    let tenants = sign_up_many(&freehold, 3).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, TimeDelta::hours(2)).await;
    assert_eq!(freehold.world.create_requests().len(), 0);
    for tenant in &tenants {
        let waits = waits_for(&freehold, tenant).await;
        assert_eq!(waits, ["an operator to resume the creation of accounts, paused: The budget is spent."]);
    }
    let operation = freehold.operation_of(&tenants[2]).await;
    let queues = queue::of(freehold.pool(), &freehold.config, &[&operation], freehold.clock.now()).await;
    let queue = queues.expect("queues")[&operation.id];
    assert_eq!((queue.position, queue.estimated_ready_at), (3, None));
    assert_eq!(queue.stopped_by, Some(VendingStopCode::Paused));

    assert!(vending::resume(freehold.pool()).await.expect("a result").is_some());
    freehold.run_until_idle(&worker, TimeDelta::hours(1)).await;
    assert_eq!(count_ready(&freehold, &tenants).await, 3);
}

#[tokio::test]
async fn no_more_accounts_exist_than_configured() {
    let config = format!("{CONFIG}\n[quotas]\nmax_accounts = 2\n");
    let freehold = Freehold::with(Settings::default(), &config).await;
    let tenants = sign_up_many(&freehold, 4).await;
    let (first, second) = (freehold.worker("worker-1"), freehold.worker("worker-2"));
    freehold.run_until_idle(&first, TimeDelta::hours(1)).await;
    freehold.run_until_idle(&second, TimeDelta::hours(1)).await;
    assert_eq!(freehold.world.create_requests().len(), 2);
    assert_eq!(count_ready(&freehold, &tenants).await, 2);
    let message = "the configured maximum of 2 accounts to be raised (quotas.max_accounts)";
    let mut waits = Vec::new();
    for tenant in &tenants {
        waits.extend(waits_for(&freehold, tenant).await);
    }
    assert_eq!(waits, [message; 2]);

    let freehold = freehold.with_config(&format!("{CONFIG}\n[quotas]\nmax_accounts = 4\n"));
    freehold.run_until_idle(&freehold.worker("worker-3"), MAX_SIMULATED_TIME).await;
    assert_eq!(count_ready(&freehold, &tenants).await, 4);
}

#[tokio::test]
async fn a_daily_maximum_of_accounts_is_kept_and_estimated() {
    let config = format!("{CONFIG}\n[quotas]\nmax_accounts_per_day = 2\n");
    let freehold = Freehold::with(Settings::default(), &config).await;
    let start = freehold.clock.now();
    let tenants = sign_up_many(&freehold, 5).await;
    let worker = freehold.worker("worker-1");
    while freehold.world.create_requests().len() < 2 {
        freehold.run_due_and_advance(&worker).await.expect("a wake-up");
    }
    let mut estimates = Vec::new();
    for tenant in &tenants {
        let operation = freehold.operation_of(tenant).await;
        let queues = queue::of(freehold.pool(), &freehold.config, &[&operation], freehold.clock.now()).await;
        if let Some(queue) = queues.expect("queues").get(&operation.id) {
            assert_eq!(queue.stopped_by, Some(VendingStopCode::DailyCeilingReached));
            estimates.push(queue.estimated_ready_at.expect("an estimate") - start);
        }
    }
    estimates.sort_unstable();
    assert_eq!(estimates.len(), 3);

    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let mut ready = Vec::new();
    for tenant in &tenants {
        ready.push(freehold.reload_tenant(tenant).await.environments[0].ready_at.expect("a time") - start);
    }
    ready.sort_unstable();
    let days: Vec<_> = ready.iter().map(TimeDelta::num_days).collect();
    assert_eq!(days, [0, 0, 1, 1, 2]);
    for (estimated, ready) in estimates.iter().zip(&ready[2..]) {
        assert!((*ready - *estimated).abs() < TimeDelta::minutes(20), "ready after {ready}, estimated {estimated}");
    }
}
