//! Tests of repair operations, which fix findings if that is safe.

use chrono::TimeDelta;
use freehold_tenancy::db::{operations, reconcile};
use freehold_tenancy::operation::{OperationKind, OperationState};
use freehold_worker::reconcile::RepairMode;

use super::administrator::Administrator;
use super::{account, compare, create_ready_tenants, make_ten_changes, summary};

#[tokio::test]
async fn safe_findings_are_repaired_and_others_wait_for_a_person() {
    let (freehold, tenants) = create_ready_tenants(8).await;
    let expected = make_ten_changes(&freehold, &tenants).await;
    let report = compare(&freehold, RepairMode::All).await;
    let mut started = Vec::new();
    for one in report.findings.iter().map(|one| &one.finding) {
        if let Some(id) = one.operation_id {
            let operation = operations::get(freehold.pool(), id).await.expect("an answer").expect("the operation");
            assert_eq!(
                (operation.kind, Some(operation.environment_id)),
                (OperationKind::Repair, one.environment.map(|of| of.1))
            );
            started.push((one.kind.as_str(), id));
        }
    }
    let kinds: Vec<_> = started.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["wrong_ou", "stack_missing", "assignment_missing"]);

    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::hours(2)).await;
    for (kind, id) in &started {
        let operation = operations::get(freehold.pool(), *id).await.expect("an answer").expect("the operation");
        assert_eq!(operation.state, OperationState::Succeeded, "{kind}: {operation:#?}");
    }
    freehold.clock.advance(std::time::Duration::from_mins(5));
    let after = compare(&freehold, RepairMode::All).await;
    let mut remaining = summary(&after);
    remaining.sort();
    let unsafe_ones: Vec<_> = expected.into_iter().filter(|(kind, ..)| !kinds.contains(kind)).collect();
    assert_eq!(remaining, unsafe_ones);
    assert_eq!(after.resolved, 3);
    assert!(after.findings.iter().all(|one| one.finding.operation_id.is_none()), "another repair was started");
}

#[tokio::test]
async fn the_roles_of_an_account_are_repaired() {
    let (freehold, tenants) = create_ready_tenants(1).await;
    Administrator::of(&freehold).delete_stack(&account(&tenants[0]), "freehold-baseline").await;
    freehold.clock.advance(std::time::Duration::from_hours(2));
    assert_eq!(compare(&freehold, RepairMode::Limited).await.findings.len(), 1);
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::hours(2)).await;
    freehold.clock.advance(std::time::Duration::from_mins(5));
    assert!(compare(&freehold, RepairMode::Limited).await.is_clean());
}

#[tokio::test]
async fn a_successful_repair_brings_the_next_comparison_forward() {
    let (freehold, tenants) = create_ready_tenants(1).await;
    Administrator::of(&freehold).move_to_root(&account(&tenants[0])).await;
    compare(&freehold, RepairMode::Limited).await;
    let hour = freehold.clock.now() + TimeDelta::hours(1);
    reconcile::schedule(freehold.pool(), hour).await.expect("a schedule");
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::hours(2)).await;
    let due = reconcile::next_due(freehold.pool()).await.expect("an answer").expect("a schedule");
    let repaired_at = freehold.operation_of(&freehold.reload_tenant(&tenants[0]).await).await.finished_at;
    assert_eq!(Some(due), repaired_at.map(|at| at + TimeDelta::minutes(5)));
}

#[tokio::test]
async fn repairs_over_the_configured_limit_wait_for_a_person() {
    let (freehold, tenants) = create_ready_tenants(2).await;
    let config = format!("{}\n[reconcile]\nmax_repairs_per_run = 1", freehold_tests::fixture::CONFIG);
    let freehold = freehold.with_config(&config);
    let admin = Administrator::of(&freehold);
    for tenant in &tenants {
        admin.move_to_root(&account(tenant)).await;
    }
    let started = |report: &freehold_worker::reconcile::Report| {
        report.findings.iter().filter(|one| one.finding.operation_id.is_some()).count()
    };
    let report = compare(&freehold, RepairMode::Limited).await;
    assert_eq!((report.findings.len(), started(&report)), (2, 0));
    assert_eq!(started(&compare(&freehold, RepairMode::All).await), 2, "a manual repair ignores the limit");
}
