//! Tests of the recovery after the restore of an older database: each account gets back to its tenant, no second
//! account is requested, and consumers of the feed see no position or id twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::cloudformation::Status;
use freehold_sandbox::world::AccountView;
use freehold_tenancy::db::feed::{self, FeedFilter, ReadResult};
use freehold_tenancy::db::lifecycle::{self, LifecycleResult};
use freehold_tenancy::db::{approvals, signup as signups, vending};
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::operation::{Initiator, Requester};
use freehold_tenancy::recovery::TenantDetails;
use freehold_tenancy::replica::ReplicaState;
use freehold_tenancy::tenant::Tenant;
use freehold_tenancy::vending::AccountCeilings;
use freehold_tests::database::current_mappings;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::signup;
use freehold_worker::Worker;
use freehold_worker::recover::{RecoverResult, RecoveryPlan, Resolution};
use tokio_util::sync::CancellationToken;

const HALF_AN_HOUR: TimeDelta = TimeDelta::minutes(30);

fn requester(name: &str) -> Requester {
    Requester { issuer: "https://login.example.com/".to_owned(), subject: name.to_owned() }
}

/// Returns a worker with the rights of `freehold recover`, which acts as the owner of the tables.
fn owner(freehold: &Freehold) -> Arc<Worker> {
    freehold.worker_on("recover", &freehold.database.owner_url())
}

async fn plan(freehold: &Freehold, details: &TenantDetails) -> RecoveryPlan {
    let (recoverer, stop) = (owner(freehold).recoverer(), CancellationToken::new());
    // The reads wait for rate limits. The clock is slow enough that AWS finishes no account creation meanwhile.
    let clock = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            freehold.clock.advance(Duration::from_millis(25));
        }
    };
    tokio::select! {
        plan = recoverer.plan(details, &stop) => plan.expect("a plan"),
        () = clock => unreachable!(),
    }
}

async fn apply(freehold: &Freehold, plan: &RecoveryPlan) -> RecoverResult {
    owner(freehold).recoverer().apply(plan, &requester("recover")).await.expect("a result")
}

async fn recover(freehold: &Freehold) -> RecoveryPlan {
    let made = plan(freehold, &TenantDetails::new()).await;
    assert!(made.is_complete(), "{:?}", messages(&made));
    assert_eq!(apply(freehold, &made).await, RecoverResult::Recovered);
    let second = plan(freehold, &TenantDetails::new()).await;
    assert!(second.is_empty(), "{:?}", messages(&second));
    made
}

fn messages(plan: &RecoveryPlan) -> Vec<(Resolution, &str)> {
    plan.items.iter().map(|item| (item.resolution, item.message.as_str())).collect()
}

/// Signs up a tenant with an external id.
async fn sign_up(freehold: &Freehold, id: u128, company: &str) -> Tenant {
    let (config, now) = (&freehold.config, freehold.clock.now());
    let mut tenant = signup::new_tenant(config, now, id, company, "eu-central-1", "enterprise");
    tenant.external_id = Some(format!("customer:{id}&co").parse().expect("an external id"));
    tenant.admin_email = Some(format!("admin@{id}.example.com").parse().expect("an e-mail address"));
    signup::accept_signup(freehold.pool(), &freehold.config, &tenant).await;
    tenant
}

async fn offboard(freehold: &Freehold, tenant: &Tenant, close: bool) {
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    let result = lifecycle::offboard(pool, tenant.id, None, close, &requester("ann"), Initiator::Operator, now)
        .await
        .expect("a result");
    assert!(matches!(result, LifecycleResult::Started(_)), "{result:?}");
}

async fn restore(freehold: &Freehold, tenant: &Tenant) {
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    let result =
        lifecycle::restore(pool, tenant.id, None, &requester("ann"), Initiator::Operator, now).await.expect("a result");
    assert!(matches!(result, LifecycleResult::Started(_)), "{result:?}");
}

fn account(freehold: &Freehold, tenant: &Tenant) -> Option<AccountView> {
    freehold.world.account_by_email(&freehold.config.organization.account_email.address(tenant.environments[0].id))
}

async fn run_until(freehold: &Freehold, worker: &Arc<Worker>, condition: impl Fn() -> bool) {
    while !condition() {
        freehold.run_due_and_advance(worker).await.expect("a wake-up");
    }
}

async fn state(freehold: &Freehold, tenant: &Tenant) -> EnvironmentState {
    freehold.reload_tenant(tenant).await.environments[0].state
}

/// Returns the accounts of tenants in AWS, each with the environment that its tags name.
fn tagged_accounts(freehold: &Freehold) -> BTreeMap<String, String> {
    let accounts = freehold.world.accounts().into_iter();
    accounts.filter_map(|account| Some((account.id, account.tags.get("freehold:environment")?.clone()))).collect()
}

/// Returns the accounts that are mapped, each with its environment.
async fn mapped_accounts(freehold: &Freehold) -> BTreeMap<String, String> {
    let mappings = current_mappings(freehold.pool()).await.into_iter();
    mappings.map(|mapping| (mapping.aws_account_id.to_string(), mapping.environment_id.to_string())).collect()
}

/// Returns the position and the id of each event in the feed after a position.
async fn events_after(freehold: &Freehold, after: i64) -> BTreeSet<(i64, String)> {
    feed::advance(freehold.pool(), freehold.clock.now()).await.expect("a position");
    match feed::read(freehold.pool(), &FeedFilter::default(), Some(after), 1000).await.expect("a page") {
        ReadResult::Page(page) => {
            let event = |operation: Option<freehold_tenancy::feed::OperationEventRef>| {
                operation.map_or_else(String::new, |event| format!("{}/{}", event.operation_id, event.seq))
            };
            page.entries.into_iter().map(|entry| (entry.position, event(entry.operation))).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_hour_old_database_is_recovered_with_every_account() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let worker = freehold.worker("worker-1");
    let unchanged = sign_up(&freehold, 1001, "Unchanged").await;
    let suspended = sign_up(&freehold, 1002, "Suspended later").await;
    let returned = sign_up(&freehold, 1003, "Returned later").await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    offboard(&freehold, &returned, false).await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    let pending = sign_up(&freehold, 1004, "Pending").await;
    feed::advance(freehold.pool(), freehold.clock.now()).await.expect("a position");
    let backup = freehold.database.back_up().await;
    let position = feed::advance(freehold.pool(), freehold.clock.now()).await.expect("a position");

    let worker = freehold.worker("worker-2");
    offboard(&freehold, &suspended, false).await;
    restore(&freehold, &returned).await;
    let new = sign_up(&freehold, 1005, "Müller & Söhne").await;
    let new_suspended = sign_up(&freehold, 1006, "New and suspended").await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    let before: Vec<_> = current_mappings(freehold.pool()).await;
    offboard(&freehold, &new_suspended, false).await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    let new_started = sign_up(&freehold, 1007, "New and started").await;
    run_until(&freehold, &worker, || account(&freehold, &new_started).is_some()).await;
    let new_requested = sign_up(&freehold, 1008, "New and requested").await;
    let requests = freehold.world.create_requests().len();
    run_until(&freehold, &worker, || freehold.world.create_requests().len() > requests).await;
    let (requests, lost_events) = (requests + 1, events_after(&freehold, position).await);
    drop(worker);
    freehold.database.restore(&backup).await;
    freehold.database.delete_backup(&backup).await;

    let first = plan(&freehold, &TenantDetails::new()).await;
    assert_eq!(first.items.last().map(|item| item.resolution), Some(Resolution::Wait), "{:?}", messages(&first));
    run_until_created(&freehold, &new_requested);
    let made = recover(&freehold).await;
    let mut expected: Vec<_> = [&pending, &suspended, &returned, &new, &new_suspended, &new_started, &new_requested]
        .map(|tenant| Some(tenant.environments[0].id))
        .to_vec();
    let mut found: Vec<_> = made.items.iter().map(|item| item.environment).collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected, "{:?}", messages(&made));

    let worker = freehold.worker("worker-3");
    freehold.run_until_idle(&worker, TimeDelta::hours(1)).await;
    assert_eq!(freehold.world.create_requests().len(), requests, "another account was requested");
    assert_eq!(mapped_accounts(&freehold).await, tagged_accounts(&freehold));
    for tenant in [&unchanged, &pending, &returned, &new, &new_started, &new_requested] {
        assert_eq!(state(&freehold, tenant).await, EnvironmentState::Ready, "{}", tenant.company_name);
    }
    for tenant in [&suspended, &new_suspended] {
        assert_eq!(state(&freehold, tenant).await, EnvironmentState::Offboarding, "{}", tenant.company_name);
        assert_eq!(account(&freehold, tenant).expect("an account").parent_name, "freehold-quarantine");
    }
    for tenant in [&new, &new_suspended, &new_started, &new_requested] {
        let found = freehold.reload_tenant(tenant).await;
        let (was, is) = (&tenant.environments[0], &found.environments[0]);
        assert_eq!((&found.company_name, &found.tier), (&tenant.company_name, &tenant.tier));
        assert_eq!(found.external_id, tenant.external_id);
        assert_eq!((&is.name, &is.residency, is.home_region), (&was.name, &was.residency, was.home_region));
    }
    assert_eq!(freehold.reload_tenant(&new).await.admin_email, new.admin_email);
    for mapping in current_mappings(freehold.pool()).await {
        let earlier = before.iter().find(|earlier| earlier.aws_account_id == mapping.aws_account_id);
        let early_enough = earlier.is_none_or(|earlier| mapping.valid_from <= earlier.valid_from);
        assert!(early_enough, "account {} is mapped later than before", mapping.aws_account_id);
    }
    // A repeated signup whose idempotency key is lost creates no second account.
    let conflicts = signups::find_conflicts(freehold.pool(), &new).await.expect("conflicts");
    assert!(conflicts.external_id);

    let events = events_after(&freehold, position).await;
    assert!(events.len() > 20 && lost_events.len() > 20, "{} and {} events", events.len(), lost_events.len());
    let last_lost = lost_events.iter().map(|(position, _)| *position).max();
    assert!(events.iter().all(|(position, _)| Some(*position) > last_lost), "a position was used twice");
    let ids = |events: &BTreeSet<(i64, String)>| events.iter().map(|(_, id)| id.clone()).collect::<BTreeSet<_>>();
    assert_eq!(ids(&events).intersection(&ids(&lost_events)).next(), None, "an event id was used twice");

    // The stacks of the offboarded tenants are deleted, although the journal knows no request for them.
    freehold.run_until_idle(&worker, TimeDelta::days(8)).await;
    for tenant in [&suspended, &new_suspended] {
        assert_eq!(state(&freehold, tenant).await, EnvironmentState::Offboarded, "{}", tenant.company_name);
        assert_eq!(stacks(&freehold, tenant), Vec::<String>::new(), "{}", tenant.company_name);
    }
    assert_eq!(stacks(&freehold, &new).len(), 2);
}

/// Returns the names of the stacks in the account of the tenant.
fn stacks(freehold: &Freehold, tenant: &Tenant) -> Vec<String> {
    let id = account(freehold, tenant).expect("an account").id;
    let world = freehold.world.state();
    let account = world.accounts.iter().find(|(key, _)| **key == id).expect("the account").1;
    let stacks = account.regions.values().flat_map(|region| region.stacks.iter());
    stacks.filter(|stack| stack.status != Status::DeleteComplete).map(|stack| stack.name.clone()).collect()
}

/// Advances the clock until the account of the tenant exists.
fn run_until_created(freehold: &Freehold, tenant: &Tenant) {
    while account(freehold, tenant).is_none() {
        freehold.clock.advance(Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_lost_account_request_is_continued() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let tenant = sign_up(&freehold, 1001, "Example").await;
    let backup = freehold.database.back_up().await;
    let worker = freehold.worker("worker-1");
    run_until(&freehold, &worker, || !freehold.world.create_requests().is_empty()).await;
    drop(worker);
    freehold.database.restore(&backup).await;
    freehold.database.delete_backup(&backup).await;

    let made = recover(&freehold).await;
    assert!(made.items[0].message.starts_with("continue the account creation car-"), "{:?}", messages(&made));
    freehold.run_until_idle(&freehold.worker("worker-2"), HALF_AN_HOUR).await;
    assert_eq!(state(&freehold, &tenant).await, EnvironmentState::Ready);
    assert_eq!(freehold.world.create_requests().len(), 1);
}

#[tokio::test]
async fn an_account_closed_since_the_backup_is_released() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let worker = freehold.worker("worker-1");
    let known = sign_up(&freehold, 1001, "Known").await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    drop(worker);
    let backup = freehold.database.back_up().await;

    let worker = freehold.worker("worker-2");
    let lost = sign_up(&freehold, 1002, "Lost").await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    for tenant in [&known, &lost] {
        offboard(&freehold, tenant, true).await;
    }
    freehold.run_until_idle(&worker, TimeDelta::days(10)).await;
    for tenant in [&known, &lost] {
        let operation = freehold.operation_of(&freehold.reload_tenant(tenant).await).await;
        let requests = approvals::list_for_operation(freehold.pool(), operation.id).await.expect("approvals");
        let (hash, by, now) = (&requests[0].request_hash, requester("bob"), freehold.clock.now());
        lifecycle::decide(freehold.pool(), operation.id, hash, true, None, &by, now).await.expect("a decision");
    }
    freehold.run_until_idle(&worker, TimeDelta::days(10)).await;
    assert_eq!(account(&freehold, &lost).expect("an account").state, "CLOSED");
    drop(worker);
    freehold.database.restore(&backup).await;
    freehold.database.delete_backup(&backup).await;

    let made = recover(&freehold).await;
    assert_eq!(made.items.len(), 2, "{:?}", messages(&made));
    freehold.run_until_idle(&freehold.worker("worker-3"), TimeDelta::days(10)).await;
    for tenant in [&known, &lost] {
        assert_eq!(state(&freehold, tenant).await, EnvironmentState::Offboarded, "{}", tenant.company_name);
    }
    assert_eq!(mapped_accounts(&freehold).await, BTreeMap::new());
    let ended: i64 = sqlx::query_scalar("select count(*) from account_mappings where valid_to > valid_from")
        .fetch_one(freehold.pool())
        .await
        .expect("a count");
    assert_eq!(ended, 2, "billing does not know both accounts");
    let status = vending::status(freehold.pool(), AccountCeilings::default(), freehold.clock.now()).await;
    assert_eq!(status.expect("a status").accounts, 0);
}

#[tokio::test]
async fn a_lost_environment_is_recovered_with_its_replicas() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let backup = freehold.database.back_up().await;
    let worker = freehold.worker("worker-1");
    let tenant = freehold.sign_up_with_replicas("Example", "eu-central-1", &["eu-west-1"]).await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    drop(worker);
    let stacks = freehold.world.stacks().len();
    freehold.database.restore(&backup).await;
    freehold.database.delete_backup(&backup).await;

    recover(&freehold).await;
    freehold.run_until_idle(&freehold.worker("worker-2"), HALF_AN_HOUR).await;
    let environment = &freehold.reload_tenant(&tenant).await.environments[0];
    assert_eq!(environment.state, EnvironmentState::Ready);
    let replicas: Vec<_> = environment.replicas.iter().map(|one| (one.region.as_str(), one.state)).collect();
    assert_eq!(replicas, [("eu-west-1", ReplicaState::Ready)]);
    assert_eq!(freehold.world.stacks().len(), stacks, "another stack was created");
}

#[tokio::test]
async fn an_account_without_details_needs_them_from_the_operator() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let backup = freehold.database.back_up().await;
    let worker = freehold.worker("worker-1");
    let tenant = sign_up(&freehold, 1001, "Example").await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    drop(worker);
    let id = account(&freehold, &tenant).expect("an account").id;
    // Accounts of earlier versions have only the tags that identify them.
    let identifying = ["freehold:installation", "freehold:tenant", "freehold:environment"];
    {
        let mut world = freehold.world.state();
        world.organization.tags.get_mut(&id).expect("tags").retain(|key, _| identifying.contains(&key.as_str()));
    }
    freehold.database.restore(&backup).await;
    freehold.database.delete_backup(&backup).await;

    let undecided = plan(&freehold, &TenantDetails::new()).await;
    let [item] = &undecided.items[..] else { panic!("{:?}", messages(&undecided)) };
    assert_eq!(item.resolution, Resolution::Decide);
    for expected in ["freehold:company-name", "freehold:home-region", "--tenant-details"] {
        assert!(item.message.contains(expected), "{}", item.message);
    }

    let environment = &tenant.environments[0];
    let details = freehold_tenancy::recovery::EnvironmentDetails {
        company_name: Some(tenant.company_name.clone()),
        tier: Some(tenant.tier.clone()),
        environment: Some(environment.name.clone()),
        home_region: Some(environment.home_region),
        ..Default::default()
    };
    let made = plan(&freehold, &TenantDetails::from([(environment.id, details)])).await;
    assert!(made.is_complete(), "{:?}", messages(&made));
    assert_eq!(apply(&freehold, &made).await, RecoverResult::Recovered);
    freehold.run_until_idle(&freehold.worker("worker-2"), HALF_AN_HOUR).await;
    assert_eq!(state(&freehold, &tenant).await, EnvironmentState::Ready);
    assert_eq!(freehold.reload_tenant(&tenant).await.admin_email, tenant.admin_email);
}

#[tokio::test]
async fn a_database_in_use_is_not_recovered() {
    let freehold = Freehold::instant().await;
    let stale = plan(&freehold, &TenantDetails::new()).await;
    assert!(!stale.is_empty(), "positions must be skipped after a restore");
    sign_up(&freehold, 1001, "Example").await;
    assert_eq!(apply(&freehold, &stale).await, RecoverResult::DatabaseChanged);

    let made = plan(&freehold, &TenantDetails::new()).await;
    let (worker, stop) = (freehold.worker("worker-1"), CancellationToken::new());
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { worker.run(stop).await }
    });
    // The worker connects in real time.
    let connected = async {
        let mut connection = freehold.pool().begin().await.expect("a transaction");
        while freehold_tenancy::db::recovery::count_workers(&mut connection).await.expect("a number") == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            connection = freehold.pool().begin().await.expect("a transaction");
        }
    };
    tokio::time::timeout(Duration::from_mins(1), connected).await.expect("a connected worker");
    assert_eq!(apply(&freehold, &made).await, RecoverResult::WorkersConnected(1));
    stop.cancel();
    running.await.expect("a stopped worker");
}
