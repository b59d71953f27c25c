//! A worker dies at every single write of the journal, before it and after it: whoever takes over comes to the same end.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_tenancy::operation::OperationState;
use freehold_tests::fault_proxy::{ConnectionFault, JournalWire};
use freehold_tests::fixture::Freehold;
use freehold_tests::world_snapshot;
use futures::{StreamExt, stream};

/// More writes than any walk makes.
const MOST_WRITES: usize = 400;

/// So many walks in a row that come to their end first: then no write is left. One alone may have had fewer than another,
/// as its two halves met differently.
const WITHOUT_A_DEATH: usize = 5;

/// Walks at a time: one waits for PostgreSQL while another computes.
const AT_ONCE: usize = 4;

/// Lets each kind of work fail once in a way that is mended by trying again, so that all there is to write is written.
fn lay_stones(freehold: &Freehold) {
    freehold.wire.inject(WireRule::on("organizations", "CreateAccount", WireEffect::Throttle).nth(1));
    freehold.world.inject(Rule::on("organizations", "MoveAccount", Fault::Throttle).nth(1));
    freehold.world.inject(Rule::on("cloudformation", "CreateStack", Fault::failed("Rate exceeded")).nth(2));
    freehold.world.inject(Rule::on("ssoadmin", "CreateAccountAssignment", Fault::failed("Access denied")).nth(1));
}

/// How a walk came to its end.
struct Walked {
    /// The write at which the first worker died, if it did.
    died_at: Option<String>,
    picture: Vec<String>,
    accounts_asked_for: usize,
    /// Whatever holds a place under a quota when all is done.
    places: i64,
}

/// At which write the first worker dies.
#[derive(Debug, Clone, Copy)]
enum At {
    /// At the one that comes after so many.
    Count(usize),
    /// At the first of this name.
    Name(&'static str),
}

/// An enterprise tenant in an opt-in region, which gives every step something to do.
async fn onboard(at: At, cut: ConnectionFault) -> Walked {
    let freehold = Freehold::instant().await;
    lay_stones(&freehold);
    let tenant = freehold.sign_up("Example", "eu-central-2", "enterprise").await;
    let wire = match at {
        At::Count(spared) => JournalWire::new(&freehold.database.url, spared, cut),
        At::Name(name) => JournalWire::at(&freehold.database.url, name, 0, cut),
    };
    let first = freehold.worker_on("worker-1", wire.url());
    tokio::select! {
        () = freehold.settle(&first, TimeDelta::days(1)) => {}
        () = wire.died() => {}
    }
    drop(first);
    let died_at = wire.died_at();
    if died_at.is_some() {
        // What the dead worker had claimed is free when its lease is over.
        freehold.settle(&freehold.worker("worker-2"), TimeDelta::days(1)).await;
    }
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{cut:?} {died_at:?}, {at:?}: {operation:#?}");
    let places = sqlx::query_scalar("select count(*) from slots").fetch_one(freehold.pool()).await.expect("a count");
    let (picture, accounts_asked_for) =
        (world_snapshot::of(&freehold.world), world_snapshot::accounts_asked_for(&freehold.world));
    Walked { died_at, picture, accounts_asked_for, places }
}

async fn whatever_write_is_the_last_the_end_is_the_same(cut: ConnectionFault) {
    let expected = onboard(At::Count(MOST_WRITES), cut).await;
    assert_eq!(expected.died_at, None);
    let walks = stream::iter((0..MOST_WRITES).map(At::Count)).map(|at| async move { (at, onboard(at, cut).await) });
    let mut walks = std::pin::pin!(walks.buffered(AT_ONCE));
    let mut died: BTreeMap<String, usize> = BTreeMap::new();
    let mut is_the_same = |at: At, walked: Walked| {
        let Some(name) = walked.died_at else { return false };
        let death = format!("the death {cut:?} write {name}, {at:?},");
        assert_eq!(walked.picture, expected.picture, "{death} changed the end");
        assert_eq!(walked.accounts_asked_for, 1, "{death} asked for {} accounts", walked.accounts_asked_for);
        assert_eq!(walked.places, 0, "{death} left a place taken");
        *died.entry(name).or_default() += 1;
        true
    };
    let mut without_a_death = 0;
    while without_a_death < WITHOUT_A_DEATH {
        let (at, walked) = walks.next().await.expect("more writes than any walk makes");
        without_a_death = if is_the_same(at, walked) { 0 } else { without_a_death + 1 };
    }
    // Walks differ a little in how many writes they make, so that these are met by their names as well.
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
        let at = At::Name(write);
        assert!(is_the_same(at, onboard(at, cut).await), "nobody died at {write}");
    }
}

#[tokio::test]
async fn a_worker_that_dies_before_a_write_of_the_journal_is_replaced() {
    whatever_write_is_the_last_the_end_is_the_same(ConnectionFault::DiesBefore).await;
}

#[tokio::test]
async fn a_worker_that_dies_after_a_write_of_the_journal_is_replaced() {
    whatever_write_is_the_last_the_end_is_the_same(ConnectionFault::DiesAfter).await;
}
