//! Compares accounts, OUs and guardrails in AWS with the expected state.

use chrono::TimeDelta;
use freehold_tenancy::EnvironmentId;
use freehold_tenancy::db::reconcile::MappedEnvironment;
use freehold_tenancy::finding::FindingRemedy::Person;
use freehold_tenancy::finding::{FindingKind, NewFinding};

use super::{CompareInput, Comparison, environment_label};
use crate::cloud::{GuardedOu, PolicyAttachment};
use crate::guardrail::{self, QUARANTINE_POLICY};

/// Maximum time until a new account appears in all lists of AWS.
const LISTING_DELAY: TimeDelta = TimeDelta::minutes(10);

/// Reports accounts that have this installation's tag but no environment.
pub(super) fn check_unknown_accounts(input: &CompareInput<'_>, comparison: &mut Comparison) {
    let installation = input.installation.to_string();
    for (account, tags) in &input.seen.tags {
        let has_tag = tags.get("freehold:installation") == Some(&installation);
        // The database was read after AWS, so it contains accounts that were mapped in between.
        if !has_tag || input.known.accounts.contains(account) {
            continue;
        }
        let environment: Option<EnvironmentId> = tags.get("freehold:environment").and_then(|id| id.parse().ok());
        if environment.is_some_and(|id| input.known.awaiting_account.contains(&id)) {
            // The onboarding of this environment will find the account.
            continue;
        }
        let Some(listed) = input.seen.accounts.get(account) else { continue };
        let mapped = |id| input.known.environments.iter().find(|known| known.id == id);
        let reason = match environment.map(|id| (id, mapped(id))) {
            Some((id, Some(known))) => format!("its tags name {id}, whose account is {}", known.aws_account_id),
            Some((id, None)) => format!("its tags name {id}, which is not waiting for an account"),
            None => "its tags name no environment".to_owned(),
        };
        let message = format!(
            "Account {account} ({}, {}) has this installation's tag but no environment: {reason}. Find out who created \
             it, then close it or remove the tags.",
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

/// Reports a missing or suspended account. Returns whether the account is active. Other aspects of an account are
/// compared only if it is active.
pub(super) fn check_account(
    input: &CompareInput<'_>,
    environment: &MappedEnvironment,
    comparison: &mut Comparison,
) -> bool {
    let (account, called) = (&environment.aws_account_id, environment_label(environment));
    match input.seen.accounts.get(account) {
        None if environment.mapped_at + LISTING_DELAY > input.started_at => false,
        None => {
            let message = format!(
                "Account {account} ({called}) is no longer in the organisation: no guardrail applies to it, and \
                 Freehold has no access. Find out who removed it, then invite it back or offboard the environment."
            );
            comparison.add_environment_finding(FindingKind::AccountMissing, environment, "", Person, message);
            false
        }
        // At the end of offboarding, Freehold itself closes the account, which is not a finding.
        Some(listed) if listed.state != "ACTIVE" && environment.settled_at.is_some() => {
            let message = format!(
                "Account {account} ({called}) is {}, but Freehold did not close it: the tenant is without service. \
                 Find out who closed it. AWS can reopen it within 90 days.",
                listed.state
            );
            comparison.add_environment_finding(FindingKind::AccountSuspended, environment, "", Person, message);
            false
        }
        Some(listed) => listed.state == "ACTIVE",
    }
}

/// Reports missing OUs and missing, detached or changed guardrails.
pub(super) fn check_guardrails(input: &CompareInput<'_>, comparison: &mut Comparison) {
    let organization = &input.config.organization;
    for residency in &input.config.residencies {
        let policy = residency.guardrail_name();
        let guardrail = format!("the region guardrail {policy} of residency `{}`", residency.name);
        let Ok(wanted) = guardrail::residency_guardrail(residency, organization) else { continue };
        check_ou(input, comparison, &residency.ou_name(), &policy, &guardrail, &wanted);
    }
    if let Ok(wanted) = guardrail::quarantine_policy(organization) {
        let (ou, guardrail) = (&organization.quarantine_ou, format!("the policy {QUARANTINE_POLICY}"));
        check_ou(input, comparison, ou, QUARANTINE_POLICY, &guardrail, &wanted);
    }
}

fn check_ou(input: &CompareInput<'_>, comparison: &mut Comparison, ou: &str, policy: &str, name: &str, wanted: &str) {
    let remedy = "Run `freehold bootstrap`";
    match input.seen.ous.get(ou) {
        None => {}
        Some(None) => comparison.add_organization_finding(
            FindingKind::OuMissing,
            ou,
            format!("OU {ou} is missing. {remedy}, and find out where its accounts are."),
        ),
        Some(Some(GuardedOu { ou_id, policy: attachment })) => match attachment {
            PolicyAttachment::Attached(text) if guardrail::is_same_json(text, wanted) => {}
            PolicyAttachment::Attached(_) => comparison.add_organization_finding(
                FindingKind::GuardrailChanged,
                policy,
                format!("On OU {ou} ({ou_id}), {name} differs from the configuration. {remedy}."),
            ),
            PolicyAttachment::Detached => comparison.add_organization_finding(
                FindingKind::GuardrailDetached,
                policy,
                format!(
                    "On OU {ou} ({ou_id}), {name} is not attached: accounts in the OU are not restricted. {remedy}."
                ),
            ),
            PolicyAttachment::Missing => comparison.add_organization_finding(
                FindingKind::GuardrailMissing,
                policy,
                format!(
                    "On OU {ou} ({ou_id}), {name} is missing, because it was deleted: accounts in the OU are not \
                     restricted. {remedy}."
                ),
            ),
        },
    }
}
