//! Tests of the quotas and rate limits of the organisation, with several workers and external actors.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_sandbox::settings::{DurationDistribution, Durations};
use freehold_tenancy::db::fence::Claim;
use freehold_tenancy::db::quotas::{self, QuotaLimits, QuotaSlot, SlotResult};
use freehold_tenancy::db::{operations, queue, shared_polls};
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::step_faults::StepFault;
use freehold_tests::world_snapshot;
use freehold_worker::cloud::{CloudError, CloudErrorKind, ErrorOrigin, NewAccount, Tags};
use freehold_worker::limits::AwsRateLimiter;

const MAX_SIMULATED_TIME: TimeDelta = TimeDelta::days(1);
const LEASE: TimeDelta = TimeDelta::seconds(30);

/// Slot of the quota for account creations that the step `request-account` acquires.
const CREATION_SLOT: QuotaSlot =
    QuotaSlot { quota: Quota::AccountCreations, step: StepName::RequestAccount, item: String::new() };

async fn sign_up_many(freehold: &Freehold, count: usize) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for number in 0..count {
        tenants.push(freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await);
    }
    tenants
}

async fn assert_all_ready(freehold: &Freehold, tenants: &[Tenant]) {
    for tenant in tenants {
        let operation = freehold.operation_of(tenant).await;
        assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    }
}

/// Creates accounts directly in AWS, as other users of the organisation do.
async fn create_external_accounts(freehold: &Freehold, names: &[&str]) {
    let aws = freehold.administrator().await;
    for name in names {
        let account = NewAccount { name: (*name).to_owned(), email: format!("{name}@example.com"), tags: Tags::new() };
        aws.create_account(&account).await.expect("a creation");
    }
}

async fn count(freehold: &Freehold, select: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(select.to_owned())).fetch_one(freehold.pool()).await.expect("a count")
}

/// Asserts that accounts are requested in the order of the signups.
fn assert_requested_in_order(freehold: &Freehold, tenants: &[Tenant]) {
    let requests = freehold.world.create_requests();
    let requested_at_of = |tenant: &Tenant| {
        let email = freehold.config.organization.account_email.address(tenant.environments[0].id);
        requests.iter().find(|request| request.email == email).expect("a request").requested_at
    };
    let requested_at: Vec<_> = tenants.iter().map(requested_at_of).collect();
    assert!(requested_at.is_sorted(), "not in order: {requested_at:?}");
}

/// Claims all due operations, oldest first.
async fn claim_all(freehold: &Freehold) -> Vec<Claim> {
    let mut claims =
        operations::claim(freehold.pool(), "tests", freehold.clock.now(), LEASE, 100).await.expect("claims");
    claims.sort_by_key(|claim| claim.operation_id.as_uuid());
    claims
}

/// Returns the limits of a quota with one slot and no rate limit.
fn single_slot_limits() -> QuotaLimits {
    QuotaLimits {
        ceilings: None,
        limit: 1,
        limit_per_environment: None,
        maintenance_delay: TimeDelta::minutes(30),
        call_rate: None,
        counted_since: None,
    }
}

async fn acquire_slot(freehold: &Freehold, claim: &Claim) -> SlotResult {
    quotas::acquire(freehold.pool(), claim, &CREATION_SLOT, &single_slot_limits(), freehold.clock.now())
        .await
        .expect("an answer")
}

#[tokio::test]
async fn slots_and_rate_limits_apply_across_three_workers() {
    const TENANTS: usize = 12;
    let durations = Durations { create_account: DurationDistribution::with_median(120.0), ..Durations::default() };
    let freehold = Freehold::with(Settings { durations, ..Settings::default() }, CONFIG).await;
    let before = freehold.world.calls();
    let tenants = sign_up_many(&freehold, TENANTS).await;
    let workers = [freehold.worker("worker-1"), freehold.worker("worker-2"), freehold.worker("worker-3")];
    loop {
        let (one, two, three) = tokio::join!(workers[0].drain(), workers[1].drain(), workers[2].drain());
        one.and(two).and(three).expect("finished work");
        let Some(next) = operations::next_wake(freehold.pool()).await.expect("an answer") else { break };
        freehold.clock.advance_to(next);
    }
    assert_all_ready(&freehold, &tenants).await;
    let calls = freehold.world.calls();
    assert_eq!(calls.of("organizations:CreateAccount").errors, 0, "refused requests");
    assert_eq!(calls.throttled() - before.throttled(), 0);
    assert_eq!(count(&freehold, "select count(*) from slots").await, 0, "held slots");
}

#[tokio::test]
async fn a_slot_of_a_crashed_worker_is_released_by_the_next_worker() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let first = freehold.worker("worker-1");
    // Onboarding the first tenant opens the session that all later calls use.
    sign_up_many(&freehold, 1).await;
    freehold.run_until_idle(&first, MAX_SIMULATED_TIME).await;
    let tenants = sign_up_many(&freehold, 1).await;
    // The worker crashes at CreateAccount, which follows the poll of account creations in progress.
    freehold.step_faults.plan("request-account", 1, StepFault::CrashAfterCall);
    tokio::select! {
        () = freehold.run_until_idle(&first, MAX_SIMULATED_TIME) => panic!("the worker survived"),
        () = freehold.step_faults.wait_until_crashed() => {}
    }
    assert_eq!(count(&freehold, "select count(*) from slots where granted_at is not null").await, 1);
    freehold.run_until_idle(&freehold.worker("worker-2"), MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
    assert_eq!(world_snapshot::account_requests(&freehold.world), 2);
    assert_eq!(count(&freehold, "select count(*) from slots").await, 0);
}

#[tokio::test]
async fn external_creations_occupy_slots() {
    let durations = Durations { create_account: DurationDistribution::with_median(300.0), ..Durations::default() };
    let freehold = Freehold::with(Settings { durations, ..Settings::default() }, CONFIG).await;
    create_external_accounts(&freehold, &["external-1", "external-2", "external-3"]).await;
    freehold.clock.advance(Duration::from_mins(1));
    let tenants = sign_up_many(&freehold, 5).await;
    let worker = freehold.worker("worker-1");
    let later = freehold.clock.now() + TimeDelta::seconds(40);
    while freehold.run_due_and_advance(&worker).await.is_some_and(|at| at <= later) {}
    assert_eq!(freehold.world.create_requests().len(), 5, "three external and two own requests");
    assert_eq!(
        count(&freehold, "select external_in_progress::bigint from shared_polls where quota = 'account-creations'")
            .await,
        3
    );
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
    assert_eq!(freehold.world.calls().of("organizations:CreateAccount").errors, 0, "refused requests");
}

#[tokio::test]
async fn external_creations_cause_at_most_one_refusal_per_tenant() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let tenants = sign_up_many(&freehold, 3).await;
    // Five external requests arrive between the poll and Freehold's own requests.
    shared_polls::record_usage(freehold.pool(), Quota::AccountCreations, &[], freehold.clock.now())
        .await
        .expect("recorded usage");
    create_external_accounts(&freehold, &["external-1", "external-2", "external-3"]).await;
    freehold.clock.advance(Duration::from_secs(20));
    create_external_accounts(&freehold, &["external-4", "external-5"]).await;
    freehold.clock.advance(Duration::from_secs(11));
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
    let calls = freehold.world.calls();
    let refused = calls.recent().filter(|call| call.error.as_deref() == Some("ConstraintViolationException")).count();
    assert!((1..=3).contains(&refused), "refused {refused} times");
}

#[tokio::test]
async fn the_slot_of_finished_work_is_released() {
    let freehold = Freehold::instant().await;
    sign_up_many(&freehold, 2).await;
    let claims = claim_all(&freehold).await;
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    assert_eq!(acquire_slot(&freehold, &claims[0]).await, SlotResult::Granted);
    quotas::note_request(pool, &claims[0], &CREATION_SLOT, "car-1", StepName::AwaitAccount, now)
        .await
        .expect("a recorded request");
    // A poll that was started before the request is ignored.
    shared_polls::record_usage(pool, Quota::AccountCreations, &[], now).await.expect("recorded usage");
    assert_eq!(acquire_slot(&freehold, &claims[1]).await, SlotResult::Queued { ahead: 0 });
    freehold.clock.advance(Duration::from_secs(1));
    let now = freehold.clock.now();
    shared_polls::record_usage(pool, Quota::AccountCreations, &["car-1".to_owned()], now)
        .await
        .expect("recorded usage");
    assert_eq!(acquire_slot(&freehold, &claims[1]).await, SlotResult::Queued { ahead: 0 });
    // The worker has crashed and writes no journal entry; a poll that does not contain the request releases the slot.
    freehold.clock.advance(Duration::from_secs(1));
    shared_polls::record_usage(pool, Quota::AccountCreations, &[], freehold.clock.now()).await.expect("recorded usage");
    assert_eq!(acquire_slot(&freehold, &claims[1]).await, SlotResult::Granted);
}

#[tokio::test]
async fn onboarding_gets_slots_before_maintenance_for_a_limited_time() {
    let freehold = Freehold::instant().await;
    sign_up_many(&freehold, 2).await;
    let first = claim_all(&freehold).await;
    let (holder, repair) = (&first[0], &first[1]);
    sqlx::query("update operations set kind = 'repair' where id = $1")
        .bind(repair.operation_id.as_uuid())
        .execute(freehold.pool())
        .await
        .expect("maintenance");
    assert_eq!(acquire_slot(&freehold, holder).await, SlotResult::Granted);
    assert_eq!(acquire_slot(&freehold, repair).await, SlotResult::Queued { ahead: 0 });
    freehold.clock.advance(Duration::from_mins(10));
    sign_up_many(&freehold, 1).await;
    let later = claim_all(&freehold).await.pop().expect("a claim");
    assert_eq!(acquire_slot(&freehold, &later).await, SlotResult::Queued { ahead: 0 }, "onboarding goes first");
    freehold.clock.advance(Duration::from_mins(21));
    sign_up_many(&freehold, 1).await;
    let latest = claim_all(&freehold).await;
    assert_eq!(
        acquire_slot(&freehold, &latest[3]).await,
        SlotResult::Queued { ahead: 2 },
        "maintenance is not overtaken forever"
    );
    assert_eq!(acquire_slot(&freehold, &latest[1]).await, SlotResult::Queued { ahead: 1 });
}

fn throttled(call: &'static str) -> CloudError {
    let (code, message) = ("TooManyRequestsException".to_owned(), String::new());
    let (kind, origin) = (CloudErrorKind::Throttled { until: None }, ErrorOrigin::Aws);
    CloudError { kind, call, origin, code, message, request_id: None }
}

/// Takes tokens of a call's rate limit until none is left, and returns the number of tokens, at most 100.
async fn available_calls(limits: &AwsRateLimiter, call: &'static str) -> usize {
    for calls in 0..100 {
        if limits.take_token(call).await.is_err() {
            return calls;
        }
    }
    100
}

async fn next_token_at(limits: &AwsRateLimiter, call: &'static str) -> DateTime<Utc> {
    let error = limits.take_token(call).await.expect_err("no token");
    let CloudErrorKind::Throttled { until: Some(until) } = error.kind else { panic!("{error} has no end") };
    until
}

#[tokio::test]
async fn throttling_slows_all_workers_until_the_rate_recovers() {
    const CALL: &str = "organizations:MoveAccount";
    let freehold = Freehold::instant().await;
    let pool = &freehold.database.worker_pool;
    let limits = || AwsRateLimiter::new(pool.clone(), freehold.clock.clone(), freehold.config.quotas.clone());
    let (one, other) = (limits(), limits());
    assert_eq!(available_calls(&one, CALL).await, 3, "a rate of two per second, a burst of three");
    freehold.clock.advance(Duration::from_mins(1));

    let recorded = one.record_throttle(CALL, throttled(CALL)).await;
    let start = freehold.clock.now();
    let one_interval = start + TimeDelta::milliseconds(500);
    assert_eq!(recorded.kind, CloudErrorKind::Throttled { until: Some(one_interval) });
    assert_eq!(next_token_at(&other, CALL).await, one_interval, "the other worker is throttled too");
    // If several calls are throttled at the same time, the rate is reduced once.
    one.record_throttle(CALL, throttled(CALL)).await;
    assert_eq!(next_token_at(&other, CALL).await, one_interval);

    freehold.clock.advance(Duration::from_millis(500));
    one.record_throttle(CALL, throttled(CALL)).await;
    freehold.clock.advance(Duration::from_secs(1));
    assert_eq!(available_calls(&other, CALL).await, 1, "no burst");
    other.record_throttle(CALL, throttled(CALL)).await;
    let waits = next_token_at(&one, CALL).await - freehold.clock.now();
    assert!((1990..=2000).contains(&waits.num_milliseconds()), "wait after the second throttle: {waits}");

    freehold.clock.advance(Duration::from_mins(5));
    assert_eq!(available_calls(&one, CALL).await, 1);
    let waits = next_token_at(&one, CALL).await - freehold.clock.now();
    assert!((900..=1100).contains(&waits.num_milliseconds()), "wait after five minutes: {waits}");
    freehold.clock.advance(Duration::from_mins(6));
    assert_eq!(available_calls(&other, CALL).await, 3, "the full burst is back");
}

#[tokio::test]
async fn throttled_creations_are_retried_and_all_tenants_become_ready() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.world.inject(Rule::on("organizations", "*", Fault::Throttle).with_probability_per_mille(300));
    let tenants = sign_up_many(&freehold, 3).await;
    let faults_end = freehold.clock.now() + TimeDelta::minutes(30);
    let worker = freehold.worker("worker-1");
    while freehold.run_due_and_advance(&worker).await.is_some_and(|at| at <= faults_end) {}
    freehold.world.clear_faults();
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
    assert_eq!(world_snapshot::account_requests(&freehold.world), 3);
}

#[tokio::test]
async fn slots_are_granted_in_queue_order() {
    let durations = Durations { create_account: DurationDistribution::constant(120.0), ..Durations::default() };
    let freehold = Freehold::with(Settings { durations, ..Settings::default() }, CONFIG).await;
    let worker = freehold.worker("worker-1");
    let mut tenants = Vec::new();
    for _ in 0..15 {
        tenants.extend(sign_up_many(&freehold, 1).await);
        worker.drain().await.expect("finished work");
        freehold.clock.advance(Duration::from_millis(100));
    }
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
    assert_requested_in_order(&freehold, &tenants);
}

#[tokio::test]
async fn a_new_signup_has_a_queue_position_and_an_estimate() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let tenants = sign_up_many(&freehold, 30).await;
    let mut estimates = Vec::new();
    for (position, tenant) in (1..).zip(&tenants) {
        let operation = freehold.operation_of(tenant).await;
        let queues = queue::of(freehold.pool(), &freehold.config, &[&operation], freehold.clock.now()).await;
        let queue = queues.expect("an answer")[&operation.id];
        assert_eq!(queue.position, position);
        estimates.push(queue.estimated_ready_at.expect("an estimate"));
    }
    let start = freehold.clock.now();
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    let mut accurate = 0;
    for (tenant, estimate) in tenants.iter().zip(estimates) {
        let ready = freehold.reload_tenant(tenant).await.environments[0].ready_at.expect("ready");
        let error = (estimate - ready).as_seconds_f64() / (ready - start).as_seconds_f64();
        accurate += usize::from(error.abs() <= 0.2);
        let operation = freehold.operation_of(tenant).await;
        let queues = queue::of(freehold.pool(), &freehold.config, &[&operation], freehold.clock.now()).await;
        assert!(queues.expect("an answer").is_empty(), "a ready tenant has no queue position");
    }
    assert!(accurate >= 27, "only {accurate} of 30 estimates within 20 %");
}

#[tokio::test]
async fn a_claimed_signup_keeps_its_position_until_it_requests_a_slot() {
    let freehold = Freehold::instant().await;
    let tenants = sign_up_many(&freehold, 4).await;
    let claims = claim_all(&freehold).await;
    acquire_slot(&freehold, &claims[1]).await;
    assert_eq!(acquire_slot(&freehold, &claims[2]).await, SlotResult::Queued { ahead: 0 });
    let mut positions = Vec::new();
    for tenant in &tenants {
        let operation = freehold.operation_of(tenant).await;
        let queues = queue::of(freehold.pool(), &freehold.config, &[&operation], freehold.clock.now()).await;
        positions.push(queues.expect("an answer").get(&operation.id).map(|queue| queue.position));
    }
    assert_eq!(positions, [Some(1), None, Some(2), Some(3)]);
    let regions = ["eu-central-1".parse().expect("a region")];
    let next = queue::estimate_for_new(freehold.pool(), &freehold.config, &regions, freehold.clock.now()).await;
    assert_eq!(next.expect("an answer")[0].position, 4);
}
