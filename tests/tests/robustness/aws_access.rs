//! Tests of workers that cannot call AWS: they claim nothing, report the reason, and work again when the cause is gone.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::sync::Arc;

use freehold_sandbox::faults::{Fault, Rule};
use freehold_tenancy::db::{fleet_holds, queue};
use freehold_tenancy::fleet_hold::HoldKind;
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::alerts::AlertCounter;
use freehold_tests::fixture::Freehold;
use freehold_worker::Worker;

/// Access key that AWS does not know.
const UNKNOWN_KEY: &str = "AKIAIOSFODNN7UNKNOWN";

async fn sign_up(freehold: &Freehold) -> Tenant {
    freehold.sign_up("Example", "eu-central-1", "standard").await
}

async fn worker_with_key(freehold: &Freehold, name: &str, key: &str) -> Arc<Worker> {
    let worker = freehold.worker_with_key(name, &freehold.database.worker_url, key);
    worker.check_aws_access().await;
    worker
}

async fn checked_worker(freehold: &Freehold, name: &str) -> Arc<Worker> {
    worker_with_key(freehold, name, &freehold.world.settings().freehold_access_key.clone()).await
}

#[track_caller]
fn assert_problem(worker: &Worker, words: &[&str]) {
    let problem = worker.aws_access().problem().expect("a problem");
    for word in words {
        assert!(problem.contains(word), "{word} is not in: {problem}");
    }
}

#[tokio::test]
async fn each_cause_of_missing_aws_access_is_named() {
    let freehold = Freehold::instant().await;
    let unknown = worker_with_key(&freehold, "unknown", UNKNOWN_KEY).await;
    assert_problem(&unknown, &["AWS does not accept the credentials", "InvalidClientTokenId"]);

    let management = freehold.world.settings().management_access_key.clone();
    let other_account = worker_with_key(&freehold, "other-account", &management).await;
    assert_problem(&other_account, &["111122223333", "organization.freehold_account_id is 444455556666"]);

    let denial = Fault::error("AccessDenied", "User is not authorized to perform: sts:AssumeRole");
    freehold.world.inject(Rule::on("sts", "AssumeRole", denial).times(1));
    let denied = checked_worker(&freehold, "denied").await;
    assert_problem(&denied, &["organization.control_role_arn", "role/freehold-control", "not authorized to perform"]);

    // The same worker continues without a restart.
    let tenant = sign_up(&freehold).await;
    assert_eq!(denied.drain().await.unwrap(), 0);
    denied.check_aws_access().await;
    assert_eq!(denied.aws_access().problem(), None);
    freehold.run_until_idle(&denied, chrono::TimeDelta::hours(1)).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);
}

#[tokio::test]
async fn a_worker_is_ready_only_after_its_first_check() {
    let freehold = Freehold::instant().await;
    let worker = freehold.worker("worker-1");
    assert_problem(&worker, &["not been checked"]);
    worker.check_aws_access().await;
    assert_eq!(worker.aws_access().problem(), None);
}

#[tokio::test]
async fn one_lost_answer_does_not_stop_a_worker() {
    let freehold = Freehold::instant().await;
    let worker = checked_worker(&freehold, "worker-1").await;
    freehold.world.inject(Rule::on("sts", "GetCallerIdentity", Fault::error("InternalFailure", "")).times(3));
    for _ in 0..2 {
        worker.check_aws_access().await;
        assert_eq!(worker.aws_access().problem(), None);
    }
    worker.check_aws_access().await;
    assert_problem(&worker, &["AWS cannot be reached"]);
    worker.check_aws_access().await;
    assert_eq!(worker.aws_access().problem(), None);
}

#[tokio::test]
async fn a_fleet_without_aws_access_opens_one_hold_without_estimates() {
    let (alerts, _listening) = AlertCounter::install();
    let freehold = Freehold::instant().await;
    let tenant = sign_up(&freehold).await;
    let [first, second] = ["first", "second"].map(|name| {
        let (freehold, name) = (&freehold, name.to_owned());
        async move { worker_with_key(freehold, &name, UNKNOWN_KEY).await }
    });
    let (first, second) = (first.await, second.await);
    for _ in 0..3 {
        first.check_aws_access().await;
        second.check_aws_access().await;
    }
    assert_eq!((first.drain().await.unwrap(), second.drain().await.unwrap()), (0, 0));

    let operation = freehold.operation_of(&tenant).await;
    assert_eq!((operation.state, operation.steps.len()), (OperationState::Pending, 0), "{operation:#?}");
    let holds = fleet_holds::list_active(freehold.pool()).await.unwrap();
    assert_eq!((holds.len(), holds[0].kind, holds[0].waiting), (1, HoldKind::WorkersWithoutAwsAccess, 1));
    assert!(holds[0].message().contains("InvalidClientTokenId"), "{}", holds[0].message());
    let of_operation = fleet_holds::of(freehold.pool(), &[&operation]).await.unwrap();
    assert_eq!(of_operation[&operation.id].kind, HoldKind::WorkersWithoutAwsAccess);
    let now = freehold.clock.now();
    assert!(queue::of(freehold.pool(), &freehold.config, &[&operation], now).await.unwrap().is_empty());
    let regions = [tenant.environments[0].home_region];
    assert!(queue::estimate_for_new(freehold.pool(), &freehold.config, &regions, now).await.unwrap().is_empty());
    assert_eq!(alerts.count(), 1, "alerts");

    // A healthy worker ends the hold, although the other workers still cannot call AWS.
    let healthy = checked_worker(&freehold, "healthy").await;
    first.check_aws_access().await;
    assert_eq!(fleet_holds::list_active(freehold.pool()).await.unwrap(), []);
    assert_eq!(queue::of(freehold.pool(), &freehold.config, &[&operation], now).await.unwrap().len(), 1);
    assert_eq!(first.drain().await.unwrap(), 0, "a worker without access claims nothing");
    freehold.run_until_idle(&healthy, chrono::TimeDelta::hours(1)).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);
    assert_eq!(alerts.count(), 1, "alerts");
}

#[tokio::test]
async fn a_dead_worker_neither_opens_nor_prevents_a_hold() {
    let freehold = Freehold::instant().await;
    worker_with_key(&freehold, "broken", UNKNOWN_KEY).await;
    let age = "update workers set checked_at = checked_at - interval '4 minutes'";
    sqlx::query(age).execute(freehold.pool()).await.unwrap();
    assert_eq!(fleet_holds::list_active(freehold.pool()).await.unwrap(), []);

    checked_worker(&freehold, "healthy").await;
    sqlx::query(age).execute(freehold.pool()).await.unwrap();
    worker_with_key(&freehold, "broken-too", UNKNOWN_KEY).await;
    assert_eq!(fleet_holds::list_active(freehold.pool()).await.unwrap().len(), 1);
}
