//! Tests of concurrent workers with one database: claims, leases, wake-ups and rate limits.

use std::time::Duration;

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{WireEffect, WireRule};
use freehold_tenancy::db::lifecycle::{self, StepDisposition, StepRecord};
use freehold_tenancy::db::{DbError, operations, steps};
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::step::Facts;
use freehold_tests::fault_proxy::{ConnectionFault, DatabaseProxy};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::world_snapshot;
use freehold_worker::onboarding::ONBOARD_STEPS;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_worker_that_lost_its_lease_writes_nothing() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let pool = freehold.pool();
    let lease = TimeDelta::seconds(30);
    let now = freehold.clock.now();
    let stale = operations::claim(pool, "slow", now, lease, 1).await.expect("an answer").pop().expect("a claim");
    assert_eq!(
        operations::claim(pool, "other", now, lease, 1).await.expect("an answer"),
        [],
        "the operation was claimed twice"
    );
    let later = now + lease;
    let fresh = operations::claim(pool, "other", later, lease, 1).await.expect("an answer").pop().expect("a claim");
    assert!(fresh.fence > stale.fence);

    let step = ONBOARD_STEPS[0].name;
    let plan = steps::PlannedStep { name: step, after: vec![] };
    steps::plan(pool, &fresh, std::slice::from_ref(&plan), later).await.expect("a plan of the new holder");
    let before = freehold.operation_of(&tenant).await;
    let (facts, released) = (Facts::new(), vec![]);
    let done = StepRecord {
        step,
        state: StepDisposition::Done,
        late: None,
        facts,
        released,
        quota: None,
        mapped: None,
        access: None,
        stack: None,
        proof: None,
    };
    let intent = serde_json::json!({ "name": "stale" });
    let fenced = |result: Result<(), DbError>| assert!(matches!(result, Err(DbError::LeaseLost)), "{result:?}");
    fenced(steps::plan(pool, &stale, &[plan], later).await);
    fenced(steps::begin(pool, &stale, &[step], later).await);
    fenced(steps::write_intent(pool, &stale, step, &intent, later).await);
    fenced(lifecycle::record_step(pool, &stale, &done, later).await);
    fenced(operations::prolong(pool, &stale, later + lease).await);
    fenced(operations::release(pool, &stale, None, later).await);
    fenced(lifecycle::succeed(pool, &stale, later).await.map(drop));
    assert_eq!(freehold.operation_of(&tenant).await, before);
}

#[tokio::test]
async fn old_stored_responses_are_deleted_even_if_reconcile_is_disabled() {
    let config = format!("{CONFIG}\n[reconcile]\ninterval_seconds = 0\n");
    let freehold = Freehold::instant().await.with_config(&config);
    freehold.sign_up("Example", "eu-central-1", "standard").await;
    let old = "update idempotency_keys set created_at = created_at - interval '8 days'";
    let aged = sqlx::query(old).execute(freehold.pool()).await.expect("an answer").rows_affected();
    assert_eq!(aged, 1, "the signup stored no key");
    let (worker, shutdown) = (freehold.worker("worker-1"), CancellationToken::new());
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { worker.run(shutdown).await }
    });
    let count_keys = "select count(*) from idempotency_keys";
    while sqlx::query_scalar::<_, i64>(count_keys).fetch_one(freehold.pool()).await.expect("an answer") > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shutdown.cancel();
    running.await.expect("a finished task");
}

#[tokio::test]
async fn two_workers_share_the_work_without_duplicates() {
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
        first.expect("finished work");
        second.expect("finished work");
        let Some(next) = operations::next_wake(freehold.pool()).await.expect("an answer") else { break };
        freehold.clock.advance_to(next);
    }
    for tenant in &tenants {
        let operation = freehold.operation_of(tenant).await;
        assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    }
    assert_eq!(world_snapshot::account_requests(&freehold.world), TENANTS);
    let calls = freehold.world.calls();
    assert_eq!(calls.of("ssoadmin:CreateAccountAssignment").calls, TENANTS as u64);
    assert_eq!(calls.throttled() - throttled_before, 0, "the two workers were throttled");
}

/// Runs an onboarding in which the worker loses its database connection after the given number of writes. Returns the
/// simulated duration and the name of the failed write.
async fn measure_onboarding(writes_before_cut: usize) -> (TimeDelta, Option<String>) {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let (url, fault) = (&freehold.database.worker_url, ConnectionFault::DisconnectBeforeWrite);
    let proxy = DatabaseProxy::new(url, writes_before_cut, fault);
    let worker = freehold.worker_on("worker-1", proxy.url());
    let until_done = async {
        while freehold.operation_of(&tenant).await.state != OperationState::Succeeded {
            tokio::time::sleep(Duration::from_millis(10)).await;
            freehold.clock.advance(Duration::from_millis(100));
        }
    };
    tokio::select! {
        () = worker.run(CancellationToken::new()) => panic!("the worker stopped"),
        () = until_done => {}
    }
    (freehold.clock.now() - tenant.created_at, proxy.crashed_at())
}

#[tokio::test]
async fn an_operation_continues_after_an_outage_before_its_lease_ends() {
    let (usual, _) = Box::pin(measure_onboarding(usize::MAX)).await;
    let (took, cut_at) = Box::pin(measure_onboarding(8)).await;
    assert!(cut_at.is_some());
    // A lease is 25 seconds; the operation is released after about a second.
    assert!(took < usual + TimeDelta::seconds(18), "{took} with a cut at {cut_at:?}, {usual} without");
}

#[tokio::test]
async fn a_wake_up_that_is_set_during_a_run_is_not_lost() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let pool = freehold.pool();
    let now = freehold.clock.now();
    let claim = operations::claim(pool, "one", now, TimeDelta::seconds(30), 1)
        .await
        .expect("an answer")
        .pop()
        .expect("a claim");
    sqlx::query("update operations set wake_at = $1").bind(now).execute(pool).await.expect("a wake-up");
    operations::release(pool, &claim, Some(now + TimeDelta::hours(1)), now).await.expect("a release");
    assert_eq!(freehold.operation_of(&tenant).await.wake_at, Some(now));
}

/// Inserts a shared poll of account creations, and sets the column with the name `time` to the current time.
async fn write_shared_poll(freehold: &Freehold, time: &str) {
    let sql = format!("insert into shared_polls (quota, {time}) values ('account-creations', $1)");
    let statement = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(freehold.clock.now());
    statement.execute(freehold.pool()).await.expect("a shared poll");
}

#[tokio::test]
async fn a_due_shared_poll_does_not_cause_a_busy_loop() {
    let freehold = Freehold::instant().await;
    write_shared_poll(&freehold, "next_at").await;
    let proxy = DatabaseProxy::new(&freehold.database.worker_url, usize::MAX, ConnectionFault::DisconnectBeforeWrite);
    let worker = freehold.worker_on("worker-1", proxy.url());
    let working = worker.run(CancellationToken::new());
    assert!(tokio::time::timeout(Duration::from_millis(500), working).await.is_err(), "the worker stopped");
    assert!((1..50).contains(&proxy.writes()), "{} writes in half a second", proxy.writes());
}

#[tokio::test]
async fn a_shared_poll_of_a_crashed_worker_is_not_due() {
    let freehold = Freehold::instant().await;
    write_shared_poll(&freehold, "lease_until").await;
    assert_eq!(operations::next_wake(freehold.pool()).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_step_with_several_calls_succeeds_despite_an_empty_token_bucket() {
    let freehold = Freehold::instant().await;
    let reset = WireRule::on("ssoadmin", "CreateAccountAssignment", WireEffect::ResetBeforeCall);
    freehold.faulty_client.inject(reset.nth(1));
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let worker = freehold.worker("worker-1");
    while freehold.faulty_client.hits().is_empty() {
        freehold.run_due_and_advance(&worker).await.expect("a wake-up");
    }
    // The next run lists assignments and then creates one: two calls, and no token.
    let token_at = freehold.clock.now() + TimeDelta::seconds(1);
    let empty =
        "insert into aws_call_rates (api, next_at) values ('sso', $1) on conflict (api) do update set next_at = $1";
    sqlx::query(empty).bind(token_at).execute(freehold.pool()).await.expect("an empty bucket");
    freehold.run_until_idle(&worker, TimeDelta::minutes(1)).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
}

#[tokio::test]
async fn a_throttled_identity_store_delays_a_step_only_briefly() {
    let freehold = Freehold::instant().await;
    freehold.faulty_client.inject(WireRule::on("identitystore", "CreateGroup", WireEffect::Throttle).nth(1));
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::minutes(5)).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
}

#[tokio::test]
async fn a_throttled_identity_center_delays_verification_only_briefly() {
    let freehold = Freehold::instant().await;
    freehold.faulty_client.inject(WireRule::on("ssoadmin", "ListAccountAssignments", WireEffect::Throttle).nth(1));
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::minutes(5)).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
}
