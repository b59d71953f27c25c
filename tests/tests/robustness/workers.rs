//! Any number of workers, living, dead or thought dead, on one database.

use std::time::Duration;

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{WireEffect, WireRule};
use freehold_tenancy::db::lifecycle::{self, StepDisposition, StepRecord};
use freehold_tenancy::db::{DbError, operations, steps};
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::step::Facts;
use freehold_tests::fault_proxy::{ConnectionFault, JournalWire};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::world_snapshot;
use freehold_worker::onboarding::ONBOARDING;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_worker_that_was_thought_dead_writes_nothing() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let pool = freehold.pool();
    let lease = TimeDelta::seconds(30);
    let now = freehold.clock.now();
    let stale = operations::claim(pool, "slow", now, lease, 1).await.expect("an answer").pop().expect("a claim");
    assert_eq!(operations::claim(pool, "other", now, lease, 1).await.expect("an answer"), [], "claimed twice");
    let later = now + lease;
    let fresh = operations::claim(pool, "other", later, lease, 1).await.expect("an answer").pop().expect("a claim");
    assert!(fresh.fence > stale.fence);

    let step = ONBOARDING[0].name;
    let plan = steps::PlannedStep { name: step, after: vec![] };
    steps::plan(pool, &fresh, std::slice::from_ref(&plan), later).await.expect("the holder plans");
    let before = freehold.operation_of(&tenant).await;
    let (facts, released) = (Facts::new(), vec![]);
    let done =
        StepRecord { step, ending: StepDisposition::Done, late: None, facts, released, quota: None, mapped: None };
    let intent = serde_json::json!({ "name": "stale" });
    let fenced = |result: Result<(), DbError>| assert!(matches!(result, Err(DbError::LeaseLost)), "{result:?}");
    fenced(steps::plan(pool, &stale, &[plan], later).await);
    fenced(steps::begin(pool, &stale, &[step], later).await);
    fenced(steps::intend(pool, &stale, step, &intent, later).await);
    fenced(lifecycle::record_step(pool, &stale, &done, later).await);
    fenced(operations::prolong(pool, &stale, later + lease).await);
    fenced(operations::release(pool, &stale, None, later).await);
    fenced(lifecycle::succeed(pool, &stale, later).await);
    assert_eq!(freehold.operation_of(&tenant).await, before);
}

#[tokio::test]
async fn old_answers_are_forgotten_also_where_nothing_is_compared_with_aws() {
    let config = format!("{CONFIG}\n[reconcile]\nevery_seconds = 0\n");
    let freehold = Freehold::instant().await.declaring(&config);
    freehold.sign_up("Example", "eu-central-1", "standard").await;
    let old = "update idempotency_keys set created_at = created_at - interval '8 days'";
    let made_old = sqlx::query(old).execute(freehold.pool()).await.expect("an answer").rows_affected();
    assert_eq!(made_old, 1, "the signup has a key");
    let (worker, shutdown) = (freehold.worker("worker-1"), CancellationToken::new());
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { worker.run(shutdown).await }
    });
    let left = "select count(*) from idempotency_keys";
    while sqlx::query_scalar::<_, i64>(left).fetch_one(freehold.pool()).await.expect("an answer") > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shutdown.cancel();
    running.await.expect("an end");
}

#[tokio::test]
async fn two_workers_share_the_work_and_nothing_is_done_twice() {
    const TENANTS: usize = 8;
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let throttled_before = freehold.world.calls().throttled();
    let mut tenants = Vec::new();
    for number in 0..TENANTS {
        tenants.push(freehold.sign_up(&format!("Example {number}"), "us-east-1", "standard").await);
    }
    let (one, other) = (freehold.worker("worker-1"), freehold.worker("worker-2"));
    loop {
        let (first, second) = tokio::join!(one.drain(), other.drain());
        first.expect("carried on");
        second.expect("carried on");
        let Some(next) = operations::next_wake(freehold.pool()).await.expect("an answer") else { break };
        freehold.clock.advance_to(next);
    }
    for tenant in &tenants {
        let operation = freehold.operation_of(tenant).await;
        assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    }
    assert_eq!(world_snapshot::accounts_asked_for(&freehold.world), TENANTS);
    let calls = freehold.world.calls();
    assert_eq!(calls.of("ssoadmin:CreateAccountAssignment").calls, TENANTS as u64);
    assert_eq!(calls.throttled() - throttled_before, 0, "throttled by the two together");
}

/// How long an onboarding takes by the installation's clock whose worker loses its connection to the database at the write
/// that comes after so many `spared` ones.
async fn onboarding_takes(spared: usize) -> (TimeDelta, Option<String>) {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let wire = JournalWire::new(&freehold.database.url, spared, ConnectionFault::LivesOn);
    let worker = freehold.worker_on("worker-1", wire.url());
    let watch = async {
        while freehold.operation_of(&tenant).await.state != OperationState::Succeeded {
            tokio::time::sleep(Duration::from_millis(10)).await;
            freehold.clock.advance(Duration::from_millis(100));
        }
    };
    tokio::select! {
        () = worker.run(CancellationToken::new()) => panic!("the worker has ended"),
        () = watch => {}
    }
    (freehold.clock.now() - tenant.created_at, wire.died_at())
}

#[tokio::test]
async fn an_operation_that_an_outage_has_broken_off_does_not_wait_for_the_end_of_its_lease() {
    let (usual, _) = onboarding_takes(usize::MAX).await;
    let (took, broke_at) = onboarding_takes(8).await;
    assert!(broke_at.is_some());
    // A lease is 25 seconds; a second or so passes before it is given back.
    assert!(took < usual + TimeDelta::seconds(18), "{took} after a break at {broke_at:?}, and usually {usual}");
}

#[tokio::test]
async fn a_wake_up_that_comes_while_an_operation_is_worked_on_is_not_slept_through() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let pool = freehold.pool();
    let now = freehold.clock.now();
    let claim = operations::claim(pool, "one", now, TimeDelta::seconds(30), 1)
        .await
        .expect("an answer")
        .pop()
        .expect("a claim");
    sqlx::query("update operations set wake_at = $1").bind(now).execute(pool).await.expect("woken");
    operations::release(pool, &claim, Some(now + TimeDelta::hours(1)), now).await.expect("released");
    assert_eq!(freehold.operation_of(&tenant).await.wake_at, Some(now));
}

/// A look at the creations, of which only one time is known: now.
async fn write_look(freehold: &Freehold, time: &str) {
    let sql = format!("insert into shared_polls (quota, {time}) values ('account-creations', $1)");
    let look = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(freehold.clock.now());
    look.execute(freehold.pool()).await.expect("written");
}

#[tokio::test]
async fn a_look_that_is_due_is_begun_once_and_not_as_often_as_the_processor_allows() {
    let freehold = Freehold::instant().await;
    write_look(&freehold, "next_at").await;
    let wire = JournalWire::new(&freehold.database.url, usize::MAX, ConnectionFault::LivesOn);
    let worker = freehold.worker_on("worker-1", wire.url());
    let working = worker.run(CancellationToken::new());
    assert!(tokio::time::timeout(Duration::from_millis(500), working).await.is_err(), "the worker has ended");
    assert!((1..50).contains(&wire.writes()), "{} writes in half a second", wire.writes());
}

#[tokio::test]
async fn a_count_whose_worker_has_died_is_not_due_for_ever() {
    let freehold = Freehold::instant().await;
    write_look(&freehold, "looking_until").await;
    assert_eq!(operations::next_wake(freehold.pool()).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_step_that_makes_several_calls_gets_past_a_rate_that_is_used_up() {
    let freehold = Freehold::instant().await;
    let reset = WireRule::on("ssoadmin", "CreateAccountAssignment", WireEffect::ResetBeforeCall);
    freehold.wire.inject(reset.nth(1));
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let worker = freehold.worker("worker-1");
    while freehold.wire.hits().is_empty() {
        freehold.step(&worker).await.expect("the operation goes on");
    }
    // Next it looks whether the assignment is there, then asks for it: two calls, and leave for none.
    let full_again = freehold.clock.now() + TimeDelta::seconds(1);
    let empty =
        "insert into aws_call_rates (api, next_at) values ('sso', $1) on conflict (api) do update set next_at = $1";
    sqlx::query(empty).bind(full_again).execute(freehold.pool()).await.expect("an empty bucket");
    freehold.settle(&worker, TimeDelta::minutes(1)).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
}

#[tokio::test]
async fn a_throttled_identity_store_does_not_hold_up_for_long_who_needs_several_of_its_calls() {
    let freehold = Freehold::instant().await;
    freehold.wire.inject(WireRule::on("identitystore", "CreateGroup", WireEffect::Throttle).nth(1));
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    freehold.settle(&freehold.worker("worker-1"), TimeDelta::minutes(5)).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
}

#[tokio::test]
async fn a_throttled_identity_center_does_not_hold_up_for_long_what_is_verified_by_several_of_its_calls() {
    let freehold = Freehold::instant().await;
    freehold.wire.inject(WireRule::on("ssoadmin", "ListAccountAssignments", WireEffect::Throttle).nth(1));
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    freehold.settle(&freehold.worker("worker-1"), TimeDelta::minutes(5)).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
}
