//! Which OU an account is in.

use freehold_tenancy::db::reconcile::MappedEnvironment;
use freehold_tenancy::finding::FindingKind;
use freehold_tenancy::finding::FindingRemedy::{Person, Repair};

use super::{CompareInput, Comparison, called};
use crate::guardrail;

pub(super) fn check(sides: &CompareInput<'_>, environment: &MappedEnvironment, comparison: &mut Comparison) {
    let account = &environment.aws_account_id;
    // A residency that is no longer declared has no OU that could be the right one; nor has one whose OU is gone, which is
    // a finding of its own.
    let Some(residency) = sides.config.residency(&environment.residency) else { return };
    let Ok(wanted) = guardrail::of_residency(residency, &sides.config.organization) else { return };
    let Some((ou_id, guarded)) = sides.seen.ou(&residency.ou_name(), &wanted) else { return };
    let Some(listed) = sides.seen.accounts.get(account) else { return };
    if listed.parent.as_deref() == Some(ou_id) {
        return;
    }
    let ous = sides.seen.ous.iter().filter_map(|(name, ou)| Some((name, &ou.as_ref()?.ou_id)));
    let place =
        ous.clone().find(|(_, id)| Some(id.as_str()) == listed.parent.as_deref()).map(|(name, _)| name.as_str());
    let in_quarantine = place == Some(sides.config.organization.quarantine_ou.as_str());
    let shown = match (place, &listed.parent) {
        (Some(name), _) => format!("OU {name}"),
        (None, Some(id)) => id.clone(),
        (None, None) => "none of Freehold's OUs".to_owned(),
    };
    let (remedy, how) = if in_quarantine {
        // Nobody gets there by accident.
        (
            Person,
            "Somebody may have meant to take it out of service: find out, then move it back or offboard the environment",
        )
    } else if guarded {
        (Repair, "A repair of the environment moves it back")
    } else {
        (Person, "The guardrail of that OU has to be put right first: run `freehold bootstrap`")
    };
    let message = format!(
        "Account {account}, {}, is in {shown} and not in OU {}, so that the guardrail of its residency does not hold it. \
         {how}.",
        called(environment),
        residency.ou_name()
    );
    comparison.environment(FindingKind::WrongOu, environment, "", remedy, message);
}
