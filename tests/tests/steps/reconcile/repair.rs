//! What is safe is put right by an ordinary repair of the environment, once.

use chrono::TimeDelta;
use freehold_tenancy::db::operations;
use freehold_tenancy::operation::{OperationKind, OperationState};
use freehold_worker::reconcile::RepairMode;

use super::administrator::Administrator;
use super::{account, break_ten_things, compared, ready, told};

#[tokio::test]
async fn of_ten_things_the_safe_ones_are_healed_and_the_others_wait_for_a_person() {
    let (freehold, tenants) = ready(8).await;
    let expected = break_ten_things(&freehold, &tenants).await;
    let report = compared(&freehold, RepairMode::All).await;
    let mut begun = Vec::new();
    for one in report.findings.iter().map(|one| &one.finding) {
        if let Some(id) = one.operation_id {
            let operation = operations::get(freehold.pool(), id).await.expect("an answer").expect("the operation");
            assert_eq!(
                (operation.kind, Some(operation.environment_id)),
                (OperationKind::Repair, one.environment.map(|of| of.1))
            );
            begun.push((one.kind.as_str(), id));
        }
    }
    let kinds: Vec<_> = begun.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["wrong_ou", "stack_missing", "assignment_missing"]);

    freehold.settle(&freehold.worker("worker-1"), TimeDelta::hours(2)).await;
    for (kind, id) in &begun {
        let operation = operations::get(freehold.pool(), *id).await.expect("an answer").expect("the operation");
        assert_eq!(operation.state, OperationState::Succeeded, "{kind}: {operation:#?}");
    }
    freehold.clock.advance(std::time::Duration::from_mins(5));
    let after = compared(&freehold, RepairMode::All).await;
    let mut left = told(&after);
    left.sort();
    let unsafe_ones: Vec<_> = expected.into_iter().filter(|(kind, ..)| !kinds.contains(kind)).collect();
    assert_eq!(left, unsafe_ones);
    assert_eq!(after.resolved, 3);
    assert!(after.findings.iter().all(|one| one.finding.operation_id.is_none()), "nothing else was begun");
}

#[tokio::test]
async fn an_account_whose_roles_are_gone_gets_them_back() {
    let (freehold, tenants) = ready(1).await;
    Administrator::of(&freehold).delete_stack(&account(&tenants[0]), "freehold-baseline").await;
    freehold.clock.advance(std::time::Duration::from_hours(2));
    assert_eq!(compared(&freehold, RepairMode::Limited).await.findings.len(), 1);
    freehold.settle(&freehold.worker("worker-1"), TimeDelta::hours(2)).await;
    freehold.clock.advance(std::time::Duration::from_mins(5));
    assert!(compared(&freehold, RepairMode::Limited).await.is_clean());
}

#[tokio::test]
async fn where_more_is_wrong_than_the_configuration_allows_a_person_looks_first() {
    let (freehold, tenants) = ready(2).await;
    let config = format!("{}\n[reconcile]\nmax_repairs_per_run = 1", freehold_tests::fixture::CONFIG);
    let freehold = freehold.declaring(&config);
    let admin = Administrator::of(&freehold);
    for tenant in &tenants {
        admin.move_to_root(&account(tenant)).await;
    }
    let begun = |report: &freehold_worker::reconcile::Report| {
        report.findings.iter().filter(|one| one.finding.operation_id.is_some()).count()
    };
    let report = compared(&freehold, RepairMode::Limited).await;
    assert_eq!((report.findings.len(), begun(&report)), (2, 0));
    assert_eq!(begun(&compared(&freehold, RepairMode::All).await), 2, "a person has asked for it");
}
