//! What AWS allows one organisation, kept to by any number of workers, with others in the organisation.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_sandbox::settings::{Durations, Spread};
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
use freehold_worker::cloud::{Cloud, CloudError, CloudErrorKind, NewAccount, Tags};
use freehold_worker::limits::Limits;

const LONG: TimeDelta = TimeDelta::days(1);
const LEASE: TimeDelta = TimeDelta::seconds(30);

/// A place among the creations, as a step asks for it.
const PLACE: QuotaSlot =
    QuotaSlot { quota: Quota::AccountCreations, step: StepName::RequestAccount, item: String::new() };

async fn sign_up_many(freehold: &Freehold, count: usize) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for number in 0..count {
        tenants.push(freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await);
    }
    tenants
}

async fn all_are_ready(freehold: &Freehold, tenants: &[Tenant]) {
    for tenant in tenants {
        let operation = freehold.operation_of(tenant).await;
        assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    }
}

/// Somebody else in the organisation creates so many accounts.
async fn a_stranger_creates(freehold: &Freehold, names: &[&str]) {
    let aws = freehold.aws(None);
    for name in names {
        let account = NewAccount { name: (*name).to_owned(), email: format!("{name}@example.com"), tags: Tags::new() };
        aws.create_account(&account).await.expect("a creation");
    }
}

async fn rows(freehold: &Freehold, select: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(select.to_owned())).fetch_one(freehold.pool()).await.expect("a count")
}

/// Nobody's account was asked for before that of somebody who signed up earlier.
fn are_asked_for_in_order(freehold: &Freehold, tenants: &[Tenant]) {
    let requests = freehold.world.create_requests();
    let asked_at = |tenant: &Tenant| {
        let email = freehold.config.organization.account_email.address(tenant.environments[0].id);
        requests.iter().find(|request| request.email == email).expect("a request").requested_at
    };
    let asked: Vec<_> = tenants.iter().map(asked_at).collect();
    assert!(asked.is_sorted(), "somebody passed: {asked:?}");
}

/// Claims of everything that is due, oldest first.
async fn claims(freehold: &Freehold) -> Vec<Claim> {
    let mut claims =
        operations::claim(freehold.pool(), "tests", freehold.clock.now(), LEASE, 100).await.expect("claims");
    claims.sort_by_key(|claim| claim.operation_id.as_uuid());
    claims
}

/// Terms of a quota of one place without a rate.
fn one_place() -> QuotaLimits {
    QuotaLimits { limit: 1, limit_each: None, yields: TimeDelta::minutes(30), call_rate: None, counted_since: None }
}

async fn ask(freehold: &Freehold, claim: &Claim) -> SlotResult {
    quotas::acquire(freehold.pool(), claim, &PLACE, &one_place(), freehold.clock.now()).await.expect("an answer")
}

#[tokio::test]
async fn places_and_rates_hold_across_three_workers() {
    const TENANTS: usize = 12;
    let durations = Durations { create_account: Spread::around(120.0), ..Durations::default() };
    let freehold = Freehold::with(Settings { durations, ..Settings::default() }, CONFIG).await;
    let before = freehold.world.calls();
    let tenants = sign_up_many(&freehold, TENANTS).await;
    let workers = [freehold.worker("worker-1"), freehold.worker("worker-2"), freehold.worker("worker-3")];
    loop {
        let (one, two, three) = tokio::join!(workers[0].drain(), workers[1].drain(), workers[2].drain());
        one.and(two).and(three).expect("carried on");
        let Some(next) = operations::next_wake(freehold.pool()).await.expect("an answer") else { break };
        freehold.clock.advance_to(next);
    }
    all_are_ready(&freehold, &tenants).await;
    let calls = freehold.world.calls();
    assert_eq!(calls.of("organizations:CreateAccount").errors, 0, "more than five at a time, or too fast");
    assert_eq!(calls.throttled() - before.throttled(), 0);
    assert_eq!(rows(&freehold, "select count(*) from slots").await, 0, "places were kept");
}

#[tokio::test]
async fn a_place_survives_its_worker_and_is_given_back_by_the_next() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let first = freehold.worker("worker-1");
    // The first tenant opens the session that all others work through.
    sign_up_many(&freehold, 1).await;
    freehold.settle(&first, LONG).await;
    let tenants = sign_up_many(&freehold, 1).await;
    // After what is in progress has been counted: CreateAccount.
    freehold.mishaps.plan("request-account", 1, StepFault::DiesAfter);
    tokio::select! {
        () = freehold.settle(&first, LONG) => panic!("nobody died"),
        () = freehold.mishaps.died() => {}
    }
    assert_eq!(rows(&freehold, "select count(*) from slots where granted_at is not null").await, 1);
    freehold.settle(&freehold.worker("worker-2"), LONG).await;
    all_are_ready(&freehold, &tenants).await;
    assert_eq!(world_snapshot::accounts_asked_for(&freehold.world), 2);
    assert_eq!(rows(&freehold, "select count(*) from slots").await, 0);
}

#[tokio::test]
async fn creations_of_somebody_else_take_places_too() {
    let durations = Durations { create_account: Spread::around(300.0), ..Durations::default() };
    let freehold = Freehold::with(Settings { durations, ..Settings::default() }, CONFIG).await;
    a_stranger_creates(&freehold, &["theirs-1", "theirs-2", "theirs-3"]).await;
    freehold.clock.advance(Duration::from_mins(1));
    let tenants = sign_up_many(&freehold, 5).await;
    let worker = freehold.worker("worker-1");
    let soon = freehold.clock.now() + TimeDelta::seconds(40);
    while freehold.step(&worker).await.is_some_and(|at| at <= soon) {}
    assert_eq!(freehold.world.create_requests().len(), 5, "three of theirs and two of ours");
    assert_eq!(
        rows(&freehold, "select external_in_progress::bigint from shared_polls where quota = 'account-creations'")
            .await,
        3
    );
    freehold.settle(&worker, LONG).await;
    all_are_ready(&freehold, &tenants).await;
    assert_eq!(freehold.world.calls().of("organizations:CreateAccount").errors, 0, "a place was asked for twice");
}

#[tokio::test]
async fn a_stranger_who_is_faster_costs_a_refusal_each_and_no_more() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let tenants = sign_up_many(&freehold, 3).await;
    // Five of theirs come in after everything was counted and before ours are asked for.
    shared_polls::record_usage(freehold.pool(), Quota::AccountCreations, &[], freehold.clock.now())
        .await
        .expect("counted");
    a_stranger_creates(&freehold, &["theirs-1", "theirs-2", "theirs-3"]).await;
    freehold.clock.advance(Duration::from_secs(20));
    a_stranger_creates(&freehold, &["theirs-4", "theirs-5"]).await;
    freehold.clock.advance(Duration::from_secs(11));
    freehold.settle(&freehold.worker("worker-1"), LONG).await;
    all_are_ready(&freehold, &tenants).await;
    let calls = freehold.world.calls();
    let refused = calls.recent().filter(|call| call.error.as_deref() == Some("ConstraintViolationException")).count();
    assert!((1..=3).contains(&refused), "refused {refused} times");
}

#[tokio::test]
async fn a_place_whose_work_is_known_to_be_over_is_not_lost() {
    let freehold = Freehold::instant().await;
    sign_up_many(&freehold, 2).await;
    let claims = claims(&freehold).await;
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    assert_eq!(ask(&freehold, &claims[0]).await, SlotResult::Granted);
    quotas::note_request(pool, &claims[0], &PLACE, "car-1", StepName::AwaitAccount, now).await.expect("noted");
    // A list that was made before says nothing about it.
    shared_polls::record_usage(pool, Quota::AccountCreations, &[], now).await.expect("counted");
    assert_eq!(ask(&freehold, &claims[1]).await, SlotResult::Queued { ahead: 0 });
    freehold.clock.advance(Duration::from_secs(1));
    let now = freehold.clock.now();
    shared_polls::record_usage(pool, Quota::AccountCreations, &["car-1".to_owned()], now).await.expect("counted");
    assert_eq!(ask(&freehold, &claims[1]).await, SlotResult::Queued { ahead: 0 });
    // Its worker is dead and journals nothing; that AWS has it in progress no more is enough.
    freehold.clock.advance(Duration::from_secs(1));
    shared_polls::record_usage(pool, Quota::AccountCreations, &[], freehold.clock.now()).await.expect("counted");
    assert_eq!(ask(&freehold, &claims[1]).await, SlotResult::Granted);
}

#[tokio::test]
async fn maintenance_lets_onboarding_pass_and_does_not_starve() {
    let freehold = Freehold::instant().await;
    sign_up_many(&freehold, 2).await;
    let first = claims(&freehold).await;
    let (holder, repair) = (&first[0], &first[1]);
    sqlx::query("update operations set kind = 'repair' where id = $1")
        .bind(repair.operation_id.as_uuid())
        .execute(freehold.pool())
        .await
        .expect("maintenance");
    assert_eq!(ask(&freehold, holder).await, SlotResult::Granted);
    assert_eq!(ask(&freehold, repair).await, SlotResult::Queued { ahead: 0 });
    freehold.clock.advance(Duration::from_mins(10));
    sign_up_many(&freehold, 1).await;
    let soon = claims(&freehold).await.pop().expect("a claim");
    assert_eq!(ask(&freehold, &soon).await, SlotResult::Queued { ahead: 0 }, "a signup passes");
    freehold.clock.advance(Duration::from_mins(21));
    sign_up_many(&freehold, 1).await;
    let latest = claims(&freehold).await;
    assert_eq!(ask(&freehold, &latest[3]).await, SlotResult::Queued { ahead: 2 }, "but not for ever");
    assert_eq!(ask(&freehold, &latest[1]).await, SlotResult::Queued { ahead: 1 });
}

fn throttled(call: &'static str) -> CloudError {
    let (code, message) = ("TooManyRequestsException".to_owned(), String::new());
    CloudError { kind: CloudErrorKind::Throttled { until: None }, call, code, message, request_id: None }
}

/// How many calls may be made now.
async fn calls_at_once(limits: &Limits, call: &'static str) -> usize {
    for made in 0..100 {
        if limits.take(call).await.is_err() {
            return made;
        }
    }
    100
}

async fn until(limits: &Limits, call: &'static str) -> DateTime<Utc> {
    let error = limits.take(call).await.expect_err("no leave");
    let CloudErrorKind::Throttled { until: Some(until) } = error.kind else {
        panic!("{error} does not say until when")
    };
    until
}

#[tokio::test]
async fn an_observed_throttle_slows_every_worker_down_and_time_brings_the_rate_back() {
    const CALL: &str = "organizations:MoveAccount";
    let freehold = Freehold::instant().await;
    let limits = || Limits::new(freehold.pool().clone(), freehold.clock.clone(), freehold.config.quotas.clone());
    let (one, other) = (limits(), limits());
    assert_eq!(calls_at_once(&one, CALL).await, 3, "two a second, three at once");
    freehold.clock.advance(Duration::from_mins(1));

    let noted = one.throttled(CALL, throttled(CALL)).await;
    let start = freehold.clock.now();
    assert_eq!(noted.kind, CloudErrorKind::Throttled { until: Some(start + TimeDelta::seconds(1)) });
    assert_eq!(until(&other, CALL).await, start + TimeDelta::seconds(1), "the other has heard of it");
    // Of several that were throttled at the same moment, one counts.
    one.throttled(CALL, throttled(CALL)).await;
    assert_eq!(until(&other, CALL).await, start + TimeDelta::seconds(1));

    freehold.clock.advance(Duration::from_secs(1));
    assert_eq!(calls_at_once(&other, CALL).await, 1, "one at a time");
    other.throttled(CALL, throttled(CALL)).await;
    let waits = until(&one, CALL).await - freehold.clock.now();
    assert!((1990..=2000).contains(&waits.num_milliseconds()), "throttled again, it waits {waits}");

    freehold.clock.advance(Duration::from_mins(5));
    assert_eq!(calls_at_once(&one, CALL).await, 1);
    let waits = until(&one, CALL).await - freehold.clock.now();
    assert!((900..=1100).contains(&waits.num_milliseconds()), "after five minutes it waits {waits}");
    freehold.clock.advance(Duration::from_mins(6));
    assert_eq!(calls_at_once(&other, CALL).await, 3, "it is as fast as before");
}

#[tokio::test]
async fn a_throttled_creation_is_made_again_and_everybody_becomes_ready() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.world.inject(Rule::on("organizations", "*", Fault::Throttle).sometimes(300));
    let tenants = sign_up_many(&freehold, 3).await;
    let over = freehold.clock.now() + TimeDelta::minutes(30);
    let worker = freehold.worker("worker-1");
    while freehold.step(&worker).await.is_some_and(|at| at <= over) {}
    freehold.world.clear_faults();
    freehold.settle(&worker, LONG).await;
    all_are_ready(&freehold, &tenants).await;
    assert_eq!(world_snapshot::accounts_asked_for(&freehold.world), 3);
}

#[tokio::test]
async fn who_is_first_in_line_is_served_first() {
    let durations = Durations { create_account: Spread::exactly(120.0), ..Durations::default() };
    let freehold = Freehold::with(Settings { durations, ..Settings::default() }, CONFIG).await;
    let worker = freehold.worker("worker-1");
    let mut tenants = Vec::new();
    for _ in 0..15 {
        tenants.extend(sign_up_many(&freehold, 1).await);
        worker.drain().await.expect("what is due to be carried on");
        freehold.clock.advance(Duration::from_millis(100));
    }
    freehold.settle(&worker, LONG).await;
    all_are_ready(&freehold, &tenants).await;
    are_asked_for_in_order(&freehold, &tenants);
}

#[tokio::test]
async fn a_signup_that_nobody_has_looked_at_is_told_its_place_and_when_it_will_be_ready() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let tenants = sign_up_many(&freehold, 30).await;
    let mut foretold = Vec::new();
    for (place, tenant) in (1..).zip(&tenants) {
        let operation = freehold.operation_of(tenant).await;
        let queues = queue::of(freehold.pool(), &freehold.config, &[&operation], freehold.clock.now()).await;
        let queue = queues.expect("an answer")[&operation.id];
        assert_eq!(queue.position, place);
        foretold.push(queue.estimated_ready_at);
    }
    let start = freehold.clock.now();
    freehold.settle(&freehold.worker("worker-1"), LONG).await;
    let mut right = 0;
    for (tenant, foretold) in tenants.iter().zip(foretold) {
        let ready = freehold.tenant_now(tenant).await.environments[0].ready_at.expect("ready");
        let error = (foretold - ready).as_seconds_f64() / (ready - start).as_seconds_f64();
        right += usize::from(error.abs() <= 0.2);
        let operation = freehold.operation_of(tenant).await;
        let queues = queue::of(freehold.pool(), &freehold.config, &[&operation], freehold.clock.now()).await;
        assert!(queues.expect("an answer").is_empty(), "who is ready waits for nothing");
    }
    assert!(right >= 27, "only {right} of 30 within 20 %");
}
