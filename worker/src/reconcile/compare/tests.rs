//! Each kind of finding, from a world in which everything is as it should be but for one thing.

mod scene;

use chrono::TimeDelta;
use freehold_tenancy::EnvironmentId;
use freehold_tenancy::finding::Severity;
use scene::{ACCOUNT, Scene, account, group, listed, now};

use super::*;
use crate::cloud::{PolicyAttachment, Principal, StackState, StackStatus, Tags};

/// What is found after `change`.
fn after(change: impl FnOnce(&mut Scene)) -> Vec<(&'static str, String, &'static str)> {
    let mut scene = Scene::in_order();
    change(&mut scene);
    scene.found()
}

fn one(kind: &'static str, subject: &str, remedy: &'static str) -> Vec<(&'static str, String, &'static str)> {
    vec![(kind, subject.to_owned(), remedy)]
}

#[test]
fn nothing_is_found_where_everything_is_as_it_should_be() {
    assert_eq!(Scene::in_order().compared(), Comparison::default());
}

/// An account that carries our tag and names an environment in it.
fn stranger(scene: &mut Scene, environment: EnvironmentId) {
    let id: AwsAccountId = "012345678901".parse().unwrap();
    let tags = Tags::from([
        ("freehold:installation".to_owned(), scene.installation.to_string()),
        ("freehold:environment".to_owned(), environment.to_string()),
    ]);
    scene.seen.accounts.insert(id.clone(), listed(id.as_str(), "r-root"));
    scene.seen.tags.insert(id, tags);
}

#[test]
fn an_account_with_our_tag_that_is_nobodys_waits_for_a_person() {
    let unknown = one("account_unknown", "012345678901", "person");
    assert_eq!(after(|scene| stranger(scene, EnvironmentId::new(now()))), unknown);
    // Also where it is a second one for an environment that has one.
    assert_eq!(after(|scene| stranger(scene, scene.known.environments[0].id)), unknown);
}

#[test]
fn an_account_that_is_on_its_way_to_its_environment_or_was_one_or_is_anothers_is_no_finding() {
    let on_its_way = after(|scene| {
        let environment = EnvironmentId::new(now());
        stranger(scene, environment);
        scene.known.awaiting.insert(environment);
    });
    assert_eq!(on_its_way, []);
    let mapped_meanwhile = after(|scene| {
        stranger(scene, EnvironmentId::new(now()));
        scene.known.accounts.insert("012345678901".parse().unwrap());
    });
    assert_eq!(mapped_meanwhile, []);
    let anothers = after(|scene| {
        stranger(scene, EnvironmentId::new(now()));
        scene.installation = InstallationId::new(now());
        let installation = scene.installation.to_string();
        let stack = |stack: &mut Option<StackState>| {
            stack.as_mut().unwrap().tags.insert("freehold:installation".to_owned(), installation.clone());
        };
        if let Some(Inside::Stacks { baseline, stack: tenants }) = scene.seen.inside.get_mut(&account()) {
            stack(baseline);
            stack(tenants);
        }
    });
    assert_eq!(anothers, []);
}

#[test]
fn an_account_that_vanished_or_was_closed_is_the_only_finding_about_it() {
    let vanished = after(|scene| _ = scene.seen.accounts.remove(&account()));
    assert_eq!(vanished, one("account_missing", ACCOUNT, "person"));
    for state in ["SUSPENDED", "PENDING_CLOSURE", "CLOSED"] {
        let closed = after(|scene| {
            scene.seen.accounts.get_mut(&account()).unwrap().state = state.to_owned();
            scene.move_to("r-root");
        });
        assert_eq!(closed, one("account_suspended", ACCOUNT, "person"));
    }
    let fresh = after(|scene| {
        scene.seen.accounts.clear();
        scene.environment().mapped_at = now() - TimeDelta::minutes(1);
    });
    assert_eq!(fresh, [], "it may not be in every list yet");
}

#[test]
fn an_account_in_another_ou_is_moved_back() {
    assert_eq!(after(|scene| scene.move_to("r-root")), one("wrong_ou", ACCOUNT, "repair"));
    let nowhere = after(|scene| scene.seen.accounts.get_mut(&account()).unwrap().parent = None);
    assert_eq!(nowhere, one("wrong_ou", ACCOUNT, "repair"));
}

#[test]
fn an_account_is_not_moved_out_of_quarantine_nor_under_a_guardrail_that_does_not_hold() {
    assert_eq!(after(|scene| scene.move_to("ou-q")), one("wrong_ou", ACCOUNT, "person"));
    let unguarded = after(|scene| {
        scene.move_to("r-root");
        *scene.guardrail() = PolicyAttachment::Detached;
    });
    let place = unguarded.iter().find(|(kind, ..)| *kind == "wrong_ou").unwrap();
    assert_eq!(place.2, "person");
}

#[test]
fn an_ou_or_a_guardrail_that_is_not_there_waits_for_a_person() {
    let changed = PolicyAttachment::Attached(r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned());
    for (carried, kind) in [
        (PolicyAttachment::Missing, "guardrail_missing"),
        (PolicyAttachment::Detached, "guardrail_detached"),
        (changed, "guardrail_changed"),
    ] {
        let found = after(|scene| *scene.guardrail() = carried);
        assert_eq!(found, one(kind, "freehold-region-eu", "person"));
    }
    for ou in ["freehold-eu", "freehold-quarantine"] {
        let found = after(|scene| _ = scene.seen.ous.insert(ou.to_owned(), None));
        assert_eq!(found, one("ou_missing", ou, "person"));
    }
}

#[test]
fn a_guardrail_that_is_only_laid_out_otherwise_is_as_it_should_be() {
    let found = after(|scene| {
        let PolicyAttachment::Attached(text) = scene.guardrail() else { panic!("it is attached") };
        let parsed: serde_json::Value = serde_json::from_str(text).unwrap();
        *text = serde_json::to_string_pretty(&parsed).unwrap();
    });
    assert_eq!(found, []);
}

#[test]
fn what_identity_center_does_not_know_is_one_finding_and_not_one_for_each_account() {
    let set = after(|scene| {
        scene.seen.permission_sets.insert("support".to_owned(), None);
        scene.seen.access.get_mut(&account()).unwrap().remove("support");
    });
    assert_eq!(set, one("permission_set_missing", "support", "person"));
    let group = after(|scene| {
        scene.seen.groups.insert("helpers".to_owned(), None);
        scene.seen.access.get_mut(&account()).unwrap().remove("support");
    });
    assert_eq!(group, one("group_missing", "helpers", "person"));
}

#[test]
fn a_declared_assignment_that_is_not_there_is_made_again() {
    let found = after(|scene| _ = scene.seen.access.get_mut(&account()).unwrap().remove("support"));
    assert_eq!(found, one("assignment_missing", &format!("{ACCOUNT}/support/helpers"), "repair"));
    let own = after(|scene| _ = scene.seen.access.get_mut(&account()).unwrap().remove("tenant-admin"));
    assert_eq!(own, one("assignment_missing", &format!("{ACCOUNT}/tenant-admin/the tenant's own group"), "repair"));
}

#[test]
fn who_has_what_nothing_declares_keeps_it_until_a_person_has_looked() {
    let holders = |scene: &mut Scene, set: &str, who: Principal| {
        scene.seen.access.get_mut(&account()).unwrap().get_mut(set).unwrap().push(who);
    };
    let found = after(|scene| holders(scene, "tenant-admin", group("g-helpers")));
    assert_eq!(found, one("assignment_extra", &format!("{ACCOUNT}/tenant-admin/GROUP/g-helpers"), "person"));
    // A user is nobody's group, whatever the id.
    let user = Principal { kind: "USER".to_owned(), id: "g-helpers".to_owned() };
    let found = after(|scene| holders(scene, "support", user));
    assert_eq!(found, one("assignment_extra", &format!("{ACCOUNT}/support/USER/g-helpers"), "person"));
}

#[test]
fn a_stack_that_is_gone_is_deployed_again() {
    let gone = one("stack_missing", &format!("{ACCOUNT}/freehold-tenant"), "repair");
    let found = after(|scene| {
        if let Some(Inside::Stacks { stack, .. }) = scene.seen.inside.get_mut(&account()) {
            *stack = None;
        }
    });
    assert_eq!(found, gone);
    for status in [StackStatus::Deleting, StackStatus::Deleted] {
        assert_eq!(after(|scene| scene.stack().status = status), gone);
    }
}

#[test]
fn a_stack_that_stands_still_waits_for_a_person() {
    for status in [StackStatus::Broken, StackStatus::RolledBack] {
        let found = after(|scene| scene.stack().status = status);
        assert_eq!(found, one("stack_failed", &format!("{ACCOUNT}/freehold-tenant"), "person"));
    }
}

#[test]
fn a_stack_that_somebody_else_has_been_at_waits_for_a_person() {
    let drifted = one("stack_drifted", &format!("{ACCOUNT}/freehold-tenant"), "person");
    let changes: [fn(&mut StackState); 4] = [
        |stack| stack.updated_at = Some(now() - TimeDelta::hours(1)),
        |stack| stack.id.push('2'),
        |stack| _ = stack.tags.remove("freehold:environment"),
        |stack| _ = stack.parameters.insert("TenantId".to_owned(), "ten_another".to_owned()),
    ];
    for change in changes {
        assert_eq!(after(|scene| change(scene.stack())), drifted);
    }
    let ours = after(|scene| scene.stack().updated_at = Some(now() - TimeDelta::hours(3)));
    assert_eq!(ours, [], "an update from before Freehold saw it complete was Freehold's own");
}

#[test]
fn an_account_that_cannot_be_entered_gets_its_roles_anew() {
    let found = after(|scene| {
        let no = Inside::AccessDenied("sts:AssumeRole answered AccessDenied".to_owned());
        scene.seen.inside.insert(account(), no);
    });
    assert_eq!(found, one("access_lost", ACCOUNT, "repair"));
}

/// A finding that is kept as open.
fn open(kind: FindingKind) -> Finding {
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
fn an_environment_at_work_is_left_to_its_operation_and_its_findings_stay_as_they_are() {
    for settled_at in [None, Some(now() + TimeDelta::minutes(1))] {
        let mut scene = Scene::in_order();
        scene.environment().settled_at = settled_at;
        scene.move_to("r-root");
        scene.seen.access.get_mut(&account()).unwrap().clear();
        scene.stack().status = StackStatus::Deleted;
        let comparison = scene.compared();
        assert_eq!(comparison.found, []);
        assert!(!comparison.would_have_found(&open(FindingKind::WrongOu)));
        assert!(!comparison.would_have_found(&open(FindingKind::StackMissing)));
        assert!(comparison.would_have_found(&open(FindingKind::AccountMissing)), "that was looked at");
    }
}

#[test]
fn what_was_not_looked_at_neither_makes_a_finding_nor_resolves_one() {
    let mut scene = Scene::in_order();
    scene.seen.access.clear();
    scene.seen.inside.clear();
    let comparison = scene.compared();
    assert_eq!(comparison.found, []);
    assert!(!comparison.would_have_found(&open(FindingKind::AssignmentMissing)));
    assert!(!comparison.would_have_found(&open(FindingKind::StackDrifted)));
    assert!(comparison.would_have_found(&open(FindingKind::WrongOu)));
}

#[test]
fn an_account_that_is_no_environments_any_more_has_no_findings() {
    let mut scene = Scene::in_order();
    scene.known.environments.clear();
    scene.move_to("ou-q");
    let comparison = scene.compared();
    assert_eq!(comparison.found, []);
    for kind in FindingKind::ALL {
        assert!(comparison.would_have_found(&open(*kind)), "{kind} would stay open for ever");
    }
}

#[test]
fn what_holds_a_tenants_data_where_it_belongs_is_critical() {
    for kind in ["wrong_ou", "guardrail_missing", "guardrail_detached", "guardrail_changed", "assignment_extra"] {
        assert_eq!(kind.parse::<FindingKind>().unwrap().severity(), Severity::Critical, "{kind}");
    }
    // Nothing that takes away what somebody has is done unasked.
    let safe: Vec<_> =
        FindingKind::ALL.iter().filter(|kind| kind.is_safe_to_repair()).map(|kind| kind.as_str()).collect();
    assert_eq!(safe, ["wrong_ou", "assignment_missing", "access_lost", "stack_missing"]);
}
