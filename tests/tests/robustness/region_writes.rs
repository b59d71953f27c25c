//! Tests that cut a worker's database connection at writes of operations on replicas, front doors and homes. The next
//! worker must complete the operations with the same result.
//!
//! A test run cuts at some of the writes. With `FREEHOLD_ALL_WRITES=1` it cuts at each of them, which takes many
//! minutes.

use std::sync::Arc;

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_tenancy::db::lifecycle;
use freehold_tenancy::operation::{OperationState, Requester};
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fault_proxy::{ConnectionFault, DatabaseProxy};
use freehold_tests::fixture::{Freehold, config_with_edge};
use freehold_tests::world_snapshot;
use freehold_worker::Worker;

use crate::steps::front_door::change;

/// Number of writes from one cut to the next.
const STRIDE: usize = 17;

/// Upper bound of the number of writes in one run.
const MAX_WRITES: usize = 1000;

/// Runs until no work is scheduled. Replaces a worker that loses its connection.
async fn run(freehold: &Freehold, worker: &mut Arc<Worker>, proxy: Option<&DatabaseProxy>) {
    if let Some(proxy) = proxy.filter(|proxy| proxy.crashed_at().is_none()) {
        tokio::select! {
            () = freehold.run_until_idle(worker, TimeDelta::days(1)) => return,
            () = proxy.wait_until_crashed() => {}
        }
        *worker = freehold.worker("worker-2");
    }
    freehold.run_until_idle(worker, TimeDelta::days(1)).await;
}

async fn expect_success(freehold: &Freehold, tenant: &Tenant, case: &str) {
    let operation = freehold.operation_of(&freehold.reload_tenant(tenant).await).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{case}: {operation:#?}");
}

/// Onboards an environment with a replica and a front door, moves its home, and removes the front door. Returns a
/// description of the world, and whether the connection was cut.
async fn live(cut: Option<(usize, ConnectionFault)>) -> (Vec<String>, bool) {
    let freehold = Freehold::with(Settings::instant(), &config_with_edge()).await;
    let tenant = freehold.sign_up_with_front_door("Example", "eu-central-1", &["eu-west-1"]).await;
    let proxy = cut.map(|(spared, fault)| DatabaseProxy::new(&freehold.database.worker_url, spared, fault));
    let case = format!("{cut:?}");
    let mut worker = match &proxy {
        Some(proxy) => freehold.worker_on("worker-1", proxy.url()),
        None => freehold.worker("worker-1"),
    };
    run(&freehold, &mut worker, proxy.as_ref()).await;
    expect_success(&freehold, &tenant, &case).await;

    let by = Requester { issuer: "https://issuer.example.com".to_owned(), subject: "ann".to_owned() };
    let (name, to) = (&tenant.environments[0].name, "eu-west-1".parse().expect("a region"));
    let moved = lifecycle::move_home(freehold.pool(), tenant.id, name, to, &by, freehold.clock.now()).await;
    moved.expect("an answer");
    run(&freehold, &mut worker, proxy.as_ref()).await;
    expect_success(&freehold, &tenant, &case).await;

    change(&freehold, &tenant, &["eu-central-1"], false).await;
    run(&freehold, &mut worker, proxy.as_ref()).await;
    expect_success(&freehold, &tenant, &case).await;
    let environment = freehold.reload_tenant(&tenant).await.environments.remove(0);
    let mut found = world_snapshot::describe(&freehold.world);
    found.push(format!("{} {:?} {:?}", environment.home_region, environment.replicas.len(), environment.front_door));
    (found, proxy.is_some_and(|proxy| proxy.crashed_at().is_some()))
}

async fn assert_same_result(fault: ConnectionFault) {
    let (expected, _) = live(None).await;
    let stride = if std::env::var_os("FREEHOLD_ALL_WRITES").is_some() { 1 } else { STRIDE };
    for (cuts, spared) in (0..MAX_WRITES).step_by(stride).enumerate() {
        let (found, was_cut) = live(Some((spared, fault))).await;
        assert_eq!(found, expected, "{fault:?} after {spared} writes changed the result");
        if !was_cut {
            assert!(cuts > 5, "only {cuts} connections were cut");
            return;
        }
    }
    panic!("more than {MAX_WRITES} writes");
}

#[tokio::test]
async fn a_worker_that_crashes_before_a_write_about_regions_is_replaced() {
    assert_same_result(ConnectionFault::CrashBeforeWrite).await;
}

#[tokio::test]
async fn a_worker_that_crashes_after_a_write_about_regions_is_replaced() {
    assert_same_result(ConnectionFault::CrashAfterWrite).await;
}
