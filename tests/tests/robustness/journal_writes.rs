//! Tests that cut a worker's database connection before or after each write to the journal. The next worker must
//! complete the operation with the same result.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_tenancy::operation::OperationState;
use freehold_tests::fault_proxy::{ConnectionFault, DatabaseProxy};
use freehold_tests::fixture::Freehold;
use freehold_tests::step_faults::injects_all;
use freehold_tests::world_snapshot;
use futures::{StreamExt, stream};

/// Upper bound of the number of writes in one run.
const MAX_WRITES: usize = 400;

/// Number of consecutive runs without a cut connection after which the test ends. One run is not enough, because the
/// number of writes varies between runs.
const RUNS_WITHOUT_CUT: usize = 5;

/// Number of concurrent runs.
const CONCURRENCY: usize = 4;

/// Injects one temporary failure of each kind, so that every kind of write occurs.
fn inject_faults(freehold: &Freehold) {
    freehold.faulty_client.inject(WireRule::on("organizations", "CreateAccount", WireEffect::Throttle).nth(1));
    freehold.world.inject(Rule::on("organizations", "MoveAccount", Fault::Throttle).nth(1));
    freehold.world.inject(Rule::on("cloudformation", "CreateStack", Fault::failed("Rate exceeded")).nth(2));
    freehold.world.inject(Rule::on("ssoadmin", "CreateAccountAssignment", Fault::failed("Access denied")).nth(1));
}

/// Result of a run whose worker lost its database connection.
struct RunResult {
    /// Name of the write at which the first worker lost its connection.
    crashed_at: Option<String>,
    world: Vec<String>,
    account_requests: usize,
    /// Number of slots that operations hold or are queued for at the end of the run.
    slots: i64,
}

/// Write at which the database connection is cut.
#[derive(Debug, Clone, Copy)]
enum CutAt {
    /// Cuts the connection after this number of writes.
    Count(usize),
    /// Cuts the connection at the first write with this name.
    Name(&'static str),
}

/// Onboards an enterprise tenant in an opt-in region, so that no step is skipped.
async fn onboard(at: CutAt, cut: ConnectionFault) -> RunResult {
    let freehold = Freehold::instant().await;
    inject_faults(&freehold);
    let tenant = freehold.sign_up("Example", "eu-central-2", "enterprise").await;
    let proxy = match at {
        CutAt::Count(spared) => DatabaseProxy::new(&freehold.database.worker_url, spared, cut),
        CutAt::Name(name) => DatabaseProxy::for_statement(&freehold.database.worker_url, name, 0, cut),
    };
    let first = freehold.worker_on("worker-1", proxy.url());
    tokio::select! {
        () = freehold.run_until_idle(&first, TimeDelta::days(1)) => {}
        () = proxy.wait_until_crashed() => {}
    }
    drop(first);
    let crashed_at = proxy.crashed_at();
    if crashed_at.is_some() {
        // Another worker can claim the operation after the lease of the crashed worker has expired.
        freehold.run_until_idle(&freehold.worker("worker-2"), TimeDelta::days(1)).await;
    }
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{cut:?} {crashed_at:?}, {at:?}: {operation:#?}");
    let slots = sqlx::query_scalar("select count(*) from slots").fetch_one(freehold.pool()).await.expect("a count");
    let (world, account_requests) =
        (world_snapshot::describe(&freehold.world), world_snapshot::account_requests(&freehold.world));
    RunResult { crashed_at, world, account_requests, slots }
}

async fn assert_same_result_for_every_cut(cut: ConnectionFault) {
    let expected = onboard(CutAt::Count(MAX_WRITES), cut).await;
    assert_eq!(expected.crashed_at, None);
    // Cuts before and after a write take turns from write to write.
    let is_turn = |write: &usize| injects_all() || (write % 2 == 1) == (cut == ConnectionFault::CrashAfterWrite);
    let places = (0..MAX_WRITES).filter(is_turn).map(CutAt::Count);
    let runs = stream::iter(places).map(|at| async move { (at, onboard(at, cut).await) });
    let mut runs = std::pin::pin!(runs.buffered(CONCURRENCY));
    let mut cuts: BTreeMap<String, usize> = BTreeMap::new();
    let mut check_result = |at: CutAt, result: RunResult| {
        let Some(name) = result.crashed_at else { return false };
        let case = format!("the cut {cut:?} write {name}, {at:?},");
        assert_eq!(result.world, expected.world, "{case} changed the result");
        assert_eq!(result.account_requests, 1, "{case} requested {} accounts", result.account_requests);
        assert_eq!(result.slots, 0, "{case} left a slot occupied");
        *cuts.entry(name).or_default() += 1;
        true
    };
    let mut runs_without_cut = 0;
    while runs_without_cut < RUNS_WITHOUT_CUT {
        let (at, result) = runs.next().await.expect("more writes than any run makes");
        runs_without_cut = if check_result(at, result) { 0 } else { runs_without_cut + 1 };
    }
    // The number of writes varies a little, so each write is also cut by its name.
    for write in [
        "db::events::append",
        "db::operations::claim",
        "db::operations::prolong",
        "db::operations::release",
        "db::lifecycle::succeed",
        "db::quotas::acquire",
        "db::quotas::wake_queue",
        "db::steps::set_intent",
    ] {
        let at = CutAt::Name(write);
        assert!(check_result(at, onboard(at, cut).await), "no connection was cut at {write}");
    }
}

#[tokio::test]
async fn a_worker_that_crashes_before_a_journal_write_is_replaced() {
    assert_same_result_for_every_cut(ConnectionFault::CrashBeforeWrite).await;
}

#[tokio::test]
async fn a_worker_that_crashes_after_a_journal_write_is_replaced() {
    assert_same_result_for_every_cut(ConnectionFault::CrashAfterWrite).await;
}
