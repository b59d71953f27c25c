//! Tests of each kind of finding. Each test makes a single change to a consistent state.

mod releases;
mod scene;

use chrono::TimeDelta;
use freehold_tenancy::EnvironmentId;
use freehold_tenancy::baseline::{BASELINE_TAG, BaselineVersion};
use freehold_tenancy::environment_stack::StackKind;
use freehold_tenancy::finding::Severity;
use scene::{ACCOUNT, Scene, account, group, listed, now};

use super::*;
use crate::cloud::{PolicyAttachment, Principal, StackState, StackStatus, Tags};

/// Returns the findings after `change` to a consistent state.
fn findings_after(change: impl FnOnce(&mut Scene)) -> Vec<(&'static str, String, &'static str)> {
    let mut scene = Scene::consistent();
    change(&mut scene);
    scene.found()
}

fn single_finding(
    kind: &'static str,
    subject: &str,
    remedy: &'static str,
) -> Vec<(&'static str, String, &'static str)> {
    vec![(kind, subject.to_owned(), remedy)]
}

#[test]
fn a_consistent_state_has_no_findings() {
    assert_eq!(Scene::consistent().compared(), Comparison::default());
}

/// Adds an account with this installation's tag and the tag of an environment.
fn add_tagged_account(scene: &mut Scene, environment: EnvironmentId) {
    let id: AwsAccountId = "012345678901".parse().unwrap();
    let tags = Tags::from([
        ("freehold:installation".to_owned(), scene.installation.to_string()),
        ("freehold:environment".to_owned(), environment.to_string()),
    ]);
    scene.seen.accounts.insert(id.clone(), listed(id.as_str(), "r-root"));
    scene.seen.tags.insert(id, tags);
}

#[test]
fn a_tagged_account_without_environment_needs_a_person() {
    let unknown = single_finding("account_unknown", "012345678901", "person");
    assert_eq!(findings_after(|scene| add_tagged_account(scene, EnvironmentId::new(now()))), unknown);
    // The same applies to a second account of an environment.
    assert_eq!(findings_after(|scene| add_tagged_account(scene, scene.known.environments[0].id)), unknown);
}

#[test]
fn a_tagged_account_that_is_being_created_or_mapped_is_not_reported() {
    let awaited = findings_after(|scene| {
        let environment = EnvironmentId::new(now());
        add_tagged_account(scene, environment);
        scene.known.awaiting_account.insert(environment);
    });
    assert_eq!(awaited, []);
    let mapped_meanwhile = findings_after(|scene| {
        add_tagged_account(scene, EnvironmentId::new(now()));
        scene.known.accounts.insert("012345678901".parse().unwrap());
    });
    assert_eq!(mapped_meanwhile, []);
    let of_other_installation = findings_after(|scene| {
        add_tagged_account(scene, EnvironmentId::new(now()));
        scene.installation = InstallationId::new(now());
        let installation = scene.installation.to_string();
        for kind in [StackKind::Baseline, StackKind::Tenant] {
            let stack = scene.find_stack(kind).as_mut().unwrap();
            stack.tags.insert("freehold:installation".to_owned(), installation.clone());
        }
    });
    assert_eq!(of_other_installation, []);
}

#[test]
fn a_missing_or_closed_account_has_no_other_finding() {
    let missing = findings_after(|scene| _ = scene.seen.accounts.remove(&account()));
    assert_eq!(missing, single_finding("account_missing", ACCOUNT, "person"));
    for state in ["SUSPENDED", "PENDING_CLOSURE", "CLOSED"] {
        let closed = findings_after(|scene| {
            scene.seen.accounts.get_mut(&account()).unwrap().state = state.to_owned();
            scene.move_to("r-root");
        });
        assert_eq!(closed, single_finding("account_suspended", ACCOUNT, "person"));
    }
    let new = findings_after(|scene| {
        scene.seen.accounts.clear();
        scene.environment().mapped_at = now() - TimeDelta::minutes(1);
    });
    assert_eq!(new, [], "a new account may not be in all lists yet");
}

#[test]
fn an_account_in_a_wrong_ou_is_moved_back() {
    assert_eq!(findings_after(|scene| scene.move_to("r-root")), single_finding("wrong_ou", ACCOUNT, "repair"));
    let outside = findings_after(|scene| scene.seen.accounts.get_mut(&account()).unwrap().parent = None);
    assert_eq!(outside, single_finding("wrong_ou", ACCOUNT, "repair"));
    let foreign = findings_after(|scene| {
        scene.move_to("ou-other");
        scene.seen.moves_from_foreign_ous.insert(account(), "aws organizations move-account".to_owned());
    });
    assert_eq!(foreign, single_finding("wrong_ou", ACCOUNT, "person"), "Freehold may not move it");
}

#[test]
fn an_account_is_not_moved_out_of_quarantine_or_to_an_unguarded_ou() {
    assert_eq!(findings_after(|scene| scene.move_to("ou-q")), single_finding("wrong_ou", ACCOUNT, "person"));
    let unguarded = findings_after(|scene| {
        scene.move_to("r-root");
        *scene.guardrail() = PolicyAttachment::Detached;
    });
    let wrong_ou = unguarded.iter().find(|(kind, ..)| *kind == "wrong_ou").unwrap();
    assert_eq!(wrong_ou.2, "person");
}

#[test]
fn a_suspended_account_stays_in_quarantine() {
    let suspended_in = |ou: &str| {
        findings_after(|scene| {
            let environment = scene.environment();
            environment.suspended_at = environment.settled_at.take();
            scene.move_to(ou);
        })
    };
    assert_eq!(suspended_in("ou-q"), []);
    for ou in ["ou-eu", "r-root"] {
        assert_eq!(suspended_in(ou), single_finding("wrong_ou", ACCOUNT, "person"), "in {ou}");
    }
}

#[test]
fn a_missing_ou_or_guardrail_needs_a_person() {
    let changed = PolicyAttachment::Attached(r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned());
    for (attachment, kind) in [
        (PolicyAttachment::Missing, "guardrail_missing"),
        (PolicyAttachment::Detached, "guardrail_detached"),
        (changed, "guardrail_changed"),
    ] {
        let found = findings_after(|scene| *scene.guardrail() = attachment);
        assert_eq!(found, single_finding(kind, "freehold-region-eu", "person"));
    }
    for ou in ["freehold-eu", "freehold-quarantine"] {
        let found = findings_after(|scene| _ = scene.seen.ous.insert(ou.to_owned(), None));
        assert_eq!(found, single_finding("ou_missing", ou, "person"));
    }
}

#[test]
fn a_guardrail_with_another_layout_is_no_finding() {
    let found = findings_after(|scene| {
        let PolicyAttachment::Attached(text) = scene.guardrail() else { panic!("the guardrail is attached") };
        let parsed: serde_json::Value = serde_json::from_str(text).unwrap();
        *text = serde_json::to_string_pretty(&parsed).unwrap();
    });
    assert_eq!(found, []);
}

#[test]
fn a_missing_permission_set_or_group_is_one_finding() {
    let set = findings_after(|scene| {
        scene.seen.permission_sets.insert("support".to_owned(), None);
        scene.seen.access.get_mut(&account()).unwrap().remove("support");
    });
    assert_eq!(set, single_finding("permission_set_missing", "support", "person"));
    let group = findings_after(|scene| {
        scene.seen.groups.insert("helpers".to_owned(), None);
        scene.seen.access.get_mut(&account()).unwrap().remove("support");
    });
    assert_eq!(group, single_finding("group_missing", "helpers", "person"));
}

#[test]
fn a_missing_assignment_is_repaired() {
    let found = findings_after(|scene| _ = scene.seen.access.get_mut(&account()).unwrap().remove("support"));
    assert_eq!(found, single_finding("assignment_missing", &format!("{ACCOUNT}/support/helpers"), "repair"));
    let own = findings_after(|scene| _ = scene.seen.access.get_mut(&account()).unwrap().remove("tenant-admin"));
    assert_eq!(
        own,
        single_finding("assignment_missing", &format!("{ACCOUNT}/tenant-admin/the tenant's own group"), "repair")
    );
}

#[test]
fn an_assignment_that_is_not_configured_needs_a_person() {
    let assign = |scene: &mut Scene, set: &str, principal: Principal| {
        scene.seen.access.get_mut(&account()).unwrap().get_mut(set).unwrap().push(principal);
    };
    let found = findings_after(|scene| assign(scene, "tenant-admin", group("g-helpers")));
    assert_eq!(found, single_finding("assignment_extra", &format!("{ACCOUNT}/tenant-admin/GROUP/g-helpers"), "person"));
    // A user with the same id as a group must not be treated as the group.
    let user = Principal { kind: "USER".to_owned(), id: "g-helpers".to_owned() };
    let found = findings_after(|scene| assign(scene, "support", user));
    assert_eq!(found, single_finding("assignment_extra", &format!("{ACCOUNT}/support/USER/g-helpers"), "person"));
}

#[test]
fn a_missing_stack_is_deployed_again() {
    let missing = single_finding("stack_missing", &format!("{ACCOUNT}/freehold-tenant"), "repair");
    let found = findings_after(|scene| *scene.find_stack(StackKind::Tenant) = None);
    assert_eq!(found, missing);
    for status in [StackStatus::Deleting, StackStatus::Deleted] {
        assert_eq!(findings_after(|scene| scene.stack().status = status), missing);
    }
}

#[test]
fn a_stuck_stack_needs_a_person() {
    for status in [StackStatus::Broken, StackStatus::RolledBack] {
        let found = findings_after(|scene| scene.stack().status = status);
        assert_eq!(found, single_finding("stack_failed", &format!("{ACCOUNT}/freehold-tenant"), "person"));
    }
}

#[test]
fn a_stack_changed_outside_freehold_needs_a_person() {
    let drifted = single_finding("stack_drifted", &format!("{ACCOUNT}/freehold-tenant"), "person");
    let changes: [fn(&mut StackState); 4] = [
        |stack| stack.updated_at = Some(now() - TimeDelta::hours(1)),
        |stack| stack.id.push('2'),
        |stack| _ = stack.tags.remove("freehold:environment"),
        |stack| _ = stack.parameters.insert("TenantId".to_owned(), "ten_another".to_owned()),
    ];
    for change in changes {
        assert_eq!(findings_after(|scene| change(scene.stack())), drifted);
    }
    let unchanged = findings_after(|scene| scene.stack().updated_at = Some(now() - TimeDelta::hours(3)));
    assert_eq!(unchanged, [], "the update precedes the last deployment by Freehold");
}

#[test]
fn an_account_without_access_is_repaired() {
    let found = findings_after(|scene| {
        let denied = AccountStacks::AccessDenied("sts:AssumeRole answered AccessDenied".to_owned());
        scene.seen.account_stacks.insert(account(), denied);
    });
    assert_eq!(found, single_finding("access_lost", ACCOUNT, "repair"));
}

/// Returns an open finding of this kind.
fn open_finding(kind: FindingKind) -> Finding {
    Finding {
        id: freehold_tenancy::FindingId::new(now()),
        kind,
        severity: kind.severity(),
        subject: ACCOUNT.to_owned(),
        aws_account_id: Some(account()),
        environment: None,
        message: String::new(),
        remedy: FindingRemedy::Person,
        operation_id: None,
        first_seen_at: now(),
        last_seen_at: now(),
        resolved_at: None,
    }
}

#[test]
fn an_environment_with_a_running_operation_is_not_compared() {
    for settled_at in [None, Some(now() + TimeDelta::minutes(1))] {
        let mut scene = Scene::consistent();
        scene.environment().settled_at = settled_at;
        scene.move_to("r-root");
        scene.seen.access.get_mut(&account()).unwrap().clear();
        scene.stack().status = StackStatus::Deleted;
        let comparison = scene.compared();
        assert_eq!(comparison.found, []);
        assert!(!comparison.would_have_found(&open_finding(FindingKind::WrongOu)));
        assert!(!comparison.would_have_found(&open_finding(FindingKind::StackMissing)));
        assert!(comparison.would_have_found(&open_finding(FindingKind::AccountMissing)), "the account was compared");
    }
}

#[test]
fn missing_data_neither_opens_nor_resolves_findings() {
    let mut scene = Scene::consistent();
    scene.seen.access.clear();
    scene.seen.account_stacks.clear();
    let comparison = scene.compared();
    assert_eq!(comparison.found, []);
    assert!(!comparison.would_have_found(&open_finding(FindingKind::AssignmentMissing)));
    assert!(!comparison.would_have_found(&open_finding(FindingKind::StackDrifted)));
    assert!(comparison.would_have_found(&open_finding(FindingKind::WrongOu)));
}

#[test]
fn an_account_whose_mapping_has_ended_has_no_findings() {
    let mut scene = Scene::consistent();
    scene.known.environments.clear();
    scene.move_to("ou-q");
    let comparison = scene.compared();
    assert_eq!(comparison.found, []);
    for kind in FindingKind::ALL {
        assert!(comparison.would_have_found(&open_finding(*kind)), "{kind} would stay open forever");
    }
}

#[test]
fn findings_about_data_isolation_are_critical() {
    for kind in ["wrong_ou", "guardrail_missing", "guardrail_detached", "guardrail_changed", "assignment_extra"] {
        assert_eq!(kind.parse::<FindingKind>().unwrap().severity(), Severity::Critical, "{kind}");
    }
    // No repair that removes something runs automatically.
    let safe: Vec<_> =
        FindingKind::ALL.iter().filter(|kind| kind.is_safe_to_repair()).map(|kind| kind.as_str()).collect();
    assert_eq!(safe, ["wrong_ou", "assignment_missing", "access_lost", "stack_missing"]);
}

#[test]
fn an_older_baseline_is_a_finding_with_its_remedy() {
    let mut scene = Scene::consistent();
    let statement = "[[access_role.statements]]\nEffect = \"Allow\"\nAction = \"sqs:*\"\nResource = \"*\"";
    let installed = BaselineVersion::current(&scene.config.access_role);
    scene.config = Scene::config_with(statement);
    assert_eq!(scene.found(), single_finding("baseline_outdated", ACCOUNT, "person"));
    let message = scene.compared().found.remove(0).message;
    let current = BaselineVersion::current(&scene.config.access_role);
    assert!(message.contains(&format!("has the version {installed}; the configured one is {current}.")), "{message}");
    assert!(message.contains("freehold tenants upgrade-baseline ten_"), "{message}");
    // The baseline has been upgraded, or comes from a newer version of Freehold.
    for version in [current.to_string(), "9".to_owned()] {
        scene.baseline().tags.insert(BASELINE_TAG.to_owned(), version);
        assert_eq!(scene.found(), []);
    }
}
