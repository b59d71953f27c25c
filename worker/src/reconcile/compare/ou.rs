//! Checks that each account is in the OU of its residency, or in the quarantine OU if it is suspended.

use freehold_tenancy::db::reconcile::MappedEnvironment;
use freehold_tenancy::finding::FindingKind;
use freehold_tenancy::finding::FindingRemedy::{Person, Repair};

use super::{CompareInput, Comparison, environment_label};
use crate::cloud::ListedAccount;
use crate::guardrail;

pub(super) fn check(input: &CompareInput<'_>, environment: &MappedEnvironment, comparison: &mut Comparison) {
    let account = &environment.aws_account_id;
    // A residency that is no longer configured has no OU. A missing OU is reported separately.
    let Some(residency) = input.config.residency(&environment.residency) else { return };
    let Ok(wanted) = guardrail::residency_guardrail(residency, &input.config.organization) else { return };
    let Some((ou_id, guarded)) = input.seen.ou(&residency.ou_name(), &wanted) else { return };
    let Some(listed) = input.seen.accounts.get(account) else { return };
    if listed.parent.as_deref() == Some(ou_id) {
        return;
    }
    let current_ou = current_ou(input, listed);
    let in_quarantine = current_ou == Some(input.config.organization.quarantine_ou.as_str());
    let location = location(current_ou, listed);
    let foreign = input.seen.moves_from_foreign_ous.get(account);
    let (remedy, advice) = if in_quarantine {
        // An account is not moved to the quarantine OU by accident.
        let advice = "It may have been suspended on purpose: find out, then move it back or offboard the environment";
        (Person, advice.to_owned())
    } else if let Some(command) = foreign {
        // Freehold moves no account out of an OU that is not its own.
        (
            Person,
            format!("Find out who moved it, then move it to the root, from where a repair moves it back: {command}"),
        )
    } else if guarded {
        (Repair, "A repair of the environment moves it back".to_owned())
    } else {
        (Person, "Restore the guardrail of the residency first: run `freehold bootstrap`".to_owned())
    };
    let message = format!(
        "Account {account} ({}) is {location} instead of in OU {}: the guardrail of its residency does not apply. \
         {advice}.",
        environment_label(environment),
        residency.ou_name()
    );
    comparison.add_environment_finding(FindingKind::WrongOu, environment, "", remedy, message);
}

/// Checks that the account of a suspended environment is in the quarantine OU.
pub(super) fn check_quarantine(input: &CompareInput<'_>, environment: &MappedEnvironment, comparison: &mut Comparison) {
    let account = &environment.aws_account_id;
    let quarantine = input.config.organization.quarantine_ou.as_str();
    // A missing OU is reported separately.
    let Some(Some(_)) = input.seen.ous.get(quarantine) else { return };
    let Some(listed) = input.seen.accounts.get(account) else { return };
    let current_ou = current_ou(input, listed);
    if current_ou == Some(quarantine) {
        return;
    }
    let message = format!(
        "Account {account} ({}) is {} instead of in OU {quarantine}, although its tenant is suspended. Find out who \
         moved it, then move it back or resume the tenant.",
        environment_label(environment),
        location(current_ou, listed)
    );
    comparison.add_environment_finding(FindingKind::WrongOu, environment, "", Person, message);
}

/// Returns the name of Freehold's OU that the account is in.
fn current_ou<'a>(input: &CompareInput<'a>, listed: &ListedAccount) -> Option<&'a str> {
    let mut ous = input.seen.ous.iter().filter_map(|(name, ou)| Some((name, &ou.as_ref()?.ou_id)));
    ous.find(|(_, id)| Some(id.as_str()) == listed.parent.as_deref()).map(|(name, _)| name.as_str())
}

fn location(current_ou: Option<&str>, listed: &ListedAccount) -> String {
    match (current_ou, &listed.parent) {
        (Some(name), _) => format!("in OU {name}"),
        (None, Some(id)) => format!("in {id}"),
        (None, None) => "outside Freehold's OUs".to_owned(),
    }
}
