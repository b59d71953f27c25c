//! Tests of reconcile: manual changes in AWS, their findings and their repairs.

pub(crate) mod administrator;
mod command;
mod many_accounts;
mod releases;
mod repair;

use administrator::Administrator;
use chrono::TimeDelta;
use freehold_tenancy::db::findings::{self, FindingFilter};
use freehold_tenancy::finding::{FindingKind, FindingState};
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::fixture::Freehold;
use freehold_worker::reconcile::{RepairMode, Report};
use tokio_util::sync::CancellationToken;

/// Creates an installation with ready tenants in eu-central-1, and advances the clock by five days.
pub(crate) async fn create_ready_tenants(tenants: usize) -> (Freehold, Vec<Tenant>) {
    let freehold = Freehold::instant().await;
    let worker = freehold.worker("worker-1");
    let mut signed_up = Vec::new();
    for number in 1..=tenants {
        signed_up.push(freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await);
    }
    freehold.run_until_idle(&worker, TimeDelta::days(1)).await;
    // AWS allows an account to leave the organisation only four days after its creation.
    freehold.clock.advance(std::time::Duration::from_hours(5 * 24));
    let mut ready = Vec::new();
    for tenant in &signed_up {
        ready.push(freehold.reload_tenant(tenant).await);
    }
    (freehold, ready)
}

/// Returns the AWS account of a tenant's only environment.
pub(crate) fn account(tenant: &Tenant) -> String {
    tenant.environments[0].aws_account_id.as_ref().expect("an account").to_string()
}

/// Runs reconcile once, while the clock advances.
pub(crate) async fn compare(freehold: &Freehold, mode: RepairMode) -> Report {
    let (worker, shutdown) = (freehold.worker("reconciler"), CancellationToken::new());
    let reconciler = worker.reconciler();
    let report = tokio::select! {
        report = reconciler.run_once(mode, &shutdown) => report.expect("a report"),
        () = freehold.run_clock() => unreachable!("time does not end"),
    };
    assert_eq!(report.unseen, [], "unreadable accounts");
    report
}

/// Returns the kind, the severity and the subject of each finding in a report.
fn summary(report: &Report) -> Vec<(&'static str, &'static str, String)> {
    let findings = report.findings.iter().map(|one| &one.finding);
    findings.map(|one| (one.kind.as_str(), one.severity.as_str(), one.subject.clone())).collect()
}

/// Makes ten changes in AWS, and returns the kind, the severity and the subject of each expected finding.
pub(crate) async fn make_ten_changes(
    freehold: &Freehold,
    tenants: &[Tenant],
) -> Vec<(&'static str, &'static str, String)> {
    let admin = Administrator::of(freehold);
    let account_of = |index: usize| account(&tenants[index]);
    let unknown = admin.create_account_tagged("freehold:installation", &freehold.installation.id.to_string()).await;
    admin.remove_from_organization(&account_of(0)).await;
    admin.close(&account_of(1)).await;
    admin.move_to_root(&account_of(2)).await;
    admin.detach("freehold-region-us", "freehold-us").await;
    admin.detach("freehold-region-ch", "freehold-ch").await;
    admin.delete_policy("freehold-region-ch").await;
    admin.unassign(&account_of(3), "support", "support").await;
    let group = admin.assign(&account_of(4), "tenant-admin", "support").await;
    admin.delete_stack(&account_of(5), "freehold-tenant").await;
    admin.retag_stack(&account_of(6), "freehold-tenant").await;
    let mut expected = vec![
        ("account_unknown", "error", unknown),
        ("account_missing", "critical", account_of(0)),
        ("account_suspended", "critical", account_of(1)),
        ("wrong_ou", "critical", account_of(2)),
        ("guardrail_detached", "critical", "freehold-region-us".to_owned()),
        ("guardrail_missing", "critical", "freehold-region-ch".to_owned()),
        ("assignment_missing", "error", format!("{}/support/support", account_of(3))),
        ("assignment_extra", "critical", format!("{}/tenant-admin/GROUP/{group}", account_of(4))),
        ("stack_missing", "critical", format!("{}/freehold-tenant", account_of(5))),
        ("stack_drifted", "warning", format!("{}/freehold-tenant", account_of(6))),
    ];
    expected.sort();
    expected
}

#[tokio::test]
async fn an_unchanged_organisation_has_no_findings() {
    let (freehold, _) = create_ready_tenants(2).await;
    let report = compare(&freehold, RepairMode::All).await;
    assert!(report.is_clean(), "{:#?}", report.findings);
    assert_eq!((report.accounts, report.environments), (4, 2));
}

#[tokio::test]
async fn ten_changes_in_aws_cause_ten_findings() {
    let (freehold, tenants) = create_ready_tenants(8).await;
    let expected = make_ten_changes(&freehold, &tenants).await;
    let report = compare(&freehold, RepairMode::Off).await;
    let mut found = summary(&report);
    found.sort();
    assert_eq!(found, expected);
    assert!(report.findings.iter().all(|one| one.is_new));
    // The eighth tenant is unchanged.
    let about = |tenant: &Tenant| report.findings.iter().any(|one| one.finding.subject.contains(&account(tenant)));
    assert!(!about(&tenants[7]));

    // A second reconcile updates the findings and adds none.
    freehold.clock.advance(std::time::Duration::from_mins(1));
    let again = compare(&freehold, RepairMode::Off).await;
    assert_eq!(again.findings.len(), 10);
    assert!(again.findings.iter().all(|one| !one.is_new && one.finding.last_seen_at > one.finding.first_seen_at));
    let ids = |report: &Report| report.findings.iter().map(|one| one.finding.id).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&report));
}

#[tokio::test]
async fn a_finding_that_is_fixed_manually_is_resolved_and_kept() {
    let (freehold, tenants) = create_ready_tenants(1).await;
    let admin = Administrator::of(&freehold);
    admin.detach("freehold-region-us", "freehold-us").await;
    let group = admin.assign(&account(&tenants[0]), "tenant-admin", "support").await;
    assert_eq!(compare(&freehold, RepairMode::Off).await.findings.len(), 2);

    admin.attach("freehold-region-us", "freehold-us").await;
    freehold.clock.advance(std::time::Duration::from_mins(2));
    let report = compare(&freehold, RepairMode::Off).await;
    let extra = format!("{}/tenant-admin/GROUP/{group}", account(&tenants[0]));
    assert_eq!(summary(&report), [("assignment_extra", "critical", extra)]);
    assert_eq!(report.resolved, 1);
    let resolved = FindingFilter { state: Some(FindingState::Resolved), ..FindingFilter::default() };
    let resolved_findings = findings::list(freehold.pool(), &resolved, None, 10).await.expect("findings");
    let kinds: Vec<_> = resolved_findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::GuardrailDetached]);
    // The same difference later creates a new finding.
    admin.detach("freehold-region-us", "freehold-us").await;
    freehold.clock.advance(std::time::Duration::from_mins(2));
    let report = compare(&freehold, RepairMode::Off).await;
    assert_eq!(report.findings.iter().filter(|one| one.is_new).count(), 1);
}

#[tokio::test]
async fn a_tenant_that_is_down_is_degraded_until_it_is_repaired() {
    let (freehold, tenants) = create_ready_tenants(2).await;
    let state = async |index: usize| freehold.reload_tenant(&tenants[index]).await.state();
    Administrator::of(&freehold).move_to_root(&account(&tenants[0])).await;
    assert_eq!(state(0).await, TenantState::Ready, "the change was not found yet");
    compare(&freehold, RepairMode::All).await;
    assert_eq!((state(0).await, state(1).await), (TenantState::Degraded, TenantState::Ready));
    let degraded = freehold.reload_tenant(&tenants[0]).await;
    let [finding] = &degraded.environments[0].findings[..] else { panic!("{degraded:#?}") };
    assert_eq!(
        (finding.kind, finding.operation_id),
        (FindingKind::WrongOu, Some(degraded.environments[0].operation_id))
    );

    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::hours(2)).await;
    freehold.clock.advance(std::time::Duration::from_mins(5));
    assert_eq!(compare(&freehold, RepairMode::All).await.resolved, 1);
    assert_eq!(state(0).await, TenantState::Ready);
}

#[tokio::test]
async fn an_account_without_roles_is_a_finding() {
    let (freehold, tenants) = create_ready_tenants(1).await;
    Administrator::of(&freehold).delete_stack(&account(&tenants[0]), "freehold-baseline").await;
    // The worker's session has expired.
    freehold.clock.advance(std::time::Duration::from_hours(2));
    let report = compare(&freehold, RepairMode::Off).await;
    assert_eq!(summary(&report), [("access_lost", "error", account(&tenants[0]))]);
}

#[tokio::test]
async fn an_unfinished_onboarding_causes_no_findings() {
    let (freehold, _) = create_ready_tenants(1).await;
    let worker = freehold.worker("worker-1");
    freehold.sign_up("Onboarding", "eu-central-1", "standard").await;
    // At first, the account of an onboarding is in the root and has no resources.
    for _ in 0..2 {
        worker.drain().await.expect("finished work");
        let report = compare(&freehold, RepairMode::All).await;
        assert!(report.is_clean(), "{:#?}", report.findings);
    }
}

#[tokio::test]
async fn only_one_worker_reconciles_and_the_next_run_is_an_hour_later() {
    let (freehold, _) = create_ready_tenants(1).await;
    let pool = freehold.pool();
    let now = freehold.clock.now();
    let shutdown = CancellationToken::new();
    let (one, other) = (freehold.worker("worker-1"), freehold.worker("worker-2"));
    assert!(!one.compare_if_due(&shutdown).await.expect("an answer"), "a comparison without a schedule");
    freehold_tenancy::db::reconcile::schedule(pool, now).await.expect("a schedule");
    let both = async { tokio::join!(one.compare_if_due(&shutdown), other.compare_if_due(&shutdown)) };
    let (one_did, other_did) = tokio::select! {
        both = both => both,
        () = freehold.run_clock() => unreachable!("time does not end"),
    };
    assert!(one_did.expect("an answer") != other_did.expect("an answer"), "exactly one worker compares");
    let next = freehold_tenancy::db::reconcile::next_due(pool).await.expect("an answer").expect("a time");
    let pause = (next - freehold.clock.now()).as_seconds_f64() / 3600.0;
    assert!((0.8..1.2).contains(&pause), "the next comparison is {pause} hours away");
}
