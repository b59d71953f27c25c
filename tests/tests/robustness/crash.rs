//! Test with killed processes, lost connections and restarts of the database: no signup is lost, and no work is done
//! twice.
//!
//! `cargo bench --workspace --bench crash -- --kills 200` runs a longer test.

use std::path::PathBuf;

use freehold_tests::crash::{Plan, run};

/// Seed of the fault schedule.
const SEED: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_cause_no_lost_and_no_duplicate_work() {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_freehold-under-test"));
    let plan = Plan { program, seed: SEED, kills: 20, workers: 3, signups: 24 };
    let report = run(&plan, |_| {}).await;
    assert!(report.violations.is_empty(), "seed {SEED}: {:#?}", report.violations);
    assert_eq!(report.kills.0 + report.kills.1, plan.kills);
    assert_eq!((report.invariants.1.accounts, report.invariants.1.ready), (plan.signups, plan.signups));
    assert!(report.restarts > 0, "PostgreSQL was never restarted");
}
