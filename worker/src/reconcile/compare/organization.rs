//! Accounts, OUs and guardrails.

use chrono::TimeDelta;
use freehold_tenancy::EnvironmentId;
use freehold_tenancy::db::reconcile::MappedEnvironment;
use freehold_tenancy::finding::FindingRemedy::Person;
use freehold_tenancy::finding::{FindingKind, NewFinding};

use super::{CompareInput, Comparison, called};
use crate::cloud::{GuardedOu, PolicyAttachment};
use crate::guardrail::{self, QUARANTINE_POLICY};

/// How long a fresh account may take to be in every list.
const IN_EVERY_LIST: TimeDelta = TimeDelta::minutes(10);

/// Accounts with our tag that belong to nothing we know.
pub(super) fn unknown_accounts(sides: &CompareInput<'_>, comparison: &mut Comparison) {
    let installation = sides.installation.to_string();
    for (account, tags) in &sides.seen.tags {
        let ours = tags.get("freehold:installation") == Some(&installation);
        // What was mapped while we looked is known by now.
        if !ours || sides.known.accounts.contains(account) {
            continue;
        }
        let environment: Option<EnvironmentId> = tags.get("freehold:environment").and_then(|id| id.parse().ok());
        if environment.is_some_and(|id| sides.known.awaiting.contains(&id)) {
            // Its onboarding will come across it.
            continue;
        }
        let Some(listed) = sides.seen.accounts.get(account) else { continue };
        let has = |id| sides.known.environments.iter().find(|known| known.id == id);
        let whose = match environment.map(|id| (id, has(id))) {
            Some((id, Some(known))) => format!("its tags name {id}, whose account is {}", known.aws_account_id),
            Some((id, None)) => format!("its tags name {id}, which waits for no account"),
            None => "its tags name no environment".to_owned(),
        };
        let message = format!(
            "Account {account} ({}, {}) carries this installation's tag and is nobody's: {whose}. Find out who made it, then \
             close it or take the tags off.",
            listed.name, listed.email
        );
        comparison.found.push(NewFinding {
            kind: FindingKind::AccountUnknown,
            subject: account.to_string(),
            aws_account_id: Some(account.clone()),
            environment: None,
            message,
            remedy: Person,
        });
    }
}

/// Whether the environment's account is there and in use, so that there is more to compare.
pub(super) fn account(sides: &CompareInput<'_>, environment: &MappedEnvironment, comparison: &mut Comparison) -> bool {
    let (account, called) = (&environment.aws_account_id, called(environment));
    match sides.seen.accounts.get(account) {
        None if environment.mapped_at + IN_EVERY_LIST > sides.started_at => false,
        None => {
            let message = format!(
                "Account {account}, {called}, is not in the organisation any more. No guardrail holds it and Freehold cannot \
                 reach it. Find out who took it out; invite it back, or offboard the environment."
            );
            comparison.environment(FindingKind::AccountMissing, environment, "", Person, message);
            false
        }
        // One that is being offboarded is closed by Freehold itself, at the end.
        Some(listed) if listed.state != "ACTIVE" && environment.settled_at.is_some() => {
            let message = format!(
                "Account {account}, {called}, is {}, and not because Freehold closed it: the tenant is without service. Find \
                 out who did it; within 90 days AWS can reopen it.",
                listed.state
            );
            comparison.environment(FindingKind::AccountSuspended, environment, "", Person, message);
            false
        }
        Some(listed) => listed.state == "ACTIVE",
    }
}

/// OUs that are gone, and guardrails that are gone, off their OU or changed.
pub(super) fn guardrails(sides: &CompareInput<'_>, comparison: &mut Comparison) {
    let organization = &sides.config.organization;
    for residency in &sides.config.residencies {
        let policy = residency.guardrail_name();
        let what = format!("the region guardrail {policy} of residency `{}`", residency.name);
        let Ok(wanted) = guardrail::of_residency(residency, organization) else { continue };
        check(sides, comparison, &residency.ou_name(), &policy, &what, &wanted);
    }
    if let Ok(wanted) = guardrail::of_quarantine(organization) {
        let (ou, what) = (&organization.quarantine_ou, format!("its policy {QUARANTINE_POLICY}"));
        check(sides, comparison, ou, QUARANTINE_POLICY, &what, &wanted);
    }
}

fn check(sides: &CompareInput<'_>, comparison: &mut Comparison, ou: &str, policy: &str, what: &str, wanted: &str) {
    let remedy = "Run `freehold bootstrap`";
    match sides.seen.ous.get(ou) {
        None => {}
        Some(None) => comparison.organization(
            FindingKind::OuMissing,
            ou,
            format!("There is no OU {ou}. {remedy}, and find out what became of the accounts in it."),
        ),
        Some(Some(GuardedOu { ou_id, policy: carried })) => match carried {
            PolicyAttachment::Attached(text) if guardrail::same(text, wanted) => {}
            PolicyAttachment::Attached(_) => comparison.organization(
                FindingKind::GuardrailChanged,
                policy,
                format!("On OU {ou} ({ou_id}), {what} says something else than the configuration. {remedy}."),
            ),
            PolicyAttachment::Detached => comparison.organization(
                FindingKind::GuardrailDetached,
                policy,
                format!("OU {ou} ({ou_id}) does not carry {what}: nothing holds its accounts. {remedy}."),
            ),
            PolicyAttachment::Missing => comparison.organization(
                FindingKind::GuardrailMissing,
                policy,
                format!("OU {ou} ({ou_id}) has lost {what}, which was deleted: nothing holds its accounts. {remedy}."),
            ),
        },
    }
}
