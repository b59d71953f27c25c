//! Who has which permission set where.

use std::collections::BTreeMap;

use freehold_tenancy::db::reconcile::MappedEnvironment;
use freehold_tenancy::finding::FindingKind;
use freehold_tenancy::finding::FindingRemedy::{Person, Repair};

use super::{CompareInput, Comparison, called};
use crate::cloud::Principal;
use crate::steps::grant_access::own_group_grant;

/// Permission sets and groups that the configuration names and Identity Center does not know: one finding each, and not
/// one for each account.
pub(super) fn declared(sides: &CompareInput<'_>, comparison: &mut Comparison) {
    for (set, _) in sides.seen.permission_sets.iter().filter(|(_, arn)| arn.is_none()) {
        let message =
            format!("Identity Center has no permission set `{set}`, so that nobody has it. Run `freehold bootstrap`.");
        comparison.organization(FindingKind::PermissionSetMissing, set, message);
    }
    for (group, _) in sides.seen.groups.iter().filter(|(_, id)| id.is_none()) {
        let message = format!(
            "Identity Center has no group `{group}`, so that its people get in nowhere. Create it, or let your identity \
             provider bring it."
        );
        comparison.organization(FindingKind::GroupMissing, group, message);
    }
}

/// One assignment that should be there.
struct Wanted<'a> {
    set: &'a str,
    /// What the group is called.
    group: &'a str,
    /// Its id, where that is known.
    id: Option<String>,
}

pub(super) fn check(
    sides: &CompareInput<'_>,
    environment: &MappedEnvironment,
    holders: &BTreeMap<String, Vec<Principal>>,
    comparison: &mut Comparison,
) {
    let (account, called) = (&environment.aws_account_id, called(environment));
    let wanted = wanted(sides, environment);
    for Wanted { set, group, id } in &wanted {
        let known = |name: &BTreeMap<String, Option<String>>, what: &str| name.get(what).is_none_or(Option::is_some);
        if !known(&sides.seen.permission_sets, set) || !known(&sides.seen.groups, group) {
            continue;
        }
        let held = holders.get(*set).into_iter().flatten();
        if !held.clone().any(|holder| holder.kind == "GROUP" && Some(&holder.id) == id.as_ref()) {
            let who =
                if sides.seen.groups.contains_key(*group) { format!("group {group}") } else { (*group).to_owned() };
            let message = format!(
                "In account {account}, {called}, {who} does not have `{set}`, which is declared. A repair of the environment \
                 assigns it."
            );
            comparison.environment(
                FindingKind::AssignmentMissing,
                environment,
                &format!("{set}/{group}"),
                Repair,
                message,
            );
        }
    }
    for (set, holder) in holders.iter().flat_map(|(set, held)| held.iter().map(move |holder| (set, holder))) {
        let declared = |one: &Wanted<'_>| one.set == set && one.id.as_ref() == Some(&holder.id);
        if holder.kind == "GROUP" && wanted.iter().any(declared) {
            continue;
        }
        let Principal { kind, id } = holder;
        let group = sides.seen.groups.iter().find(|(_, known)| known.as_ref() == Some(id));
        let who = group.map_or_else(|| format!("{} {id}", kind.to_lowercase()), |(name, _)| format!("group {name}"));
        let message = format!(
            "In account {account}, {called}, {who} has `{set}`, which nothing declares. Find out who gave it to them, then \
             declare it or take it away."
        );
        comparison.environment(
            FindingKind::AssignmentExtra,
            environment,
            &format!("{set}/{kind}/{id}"),
            Person,
            message,
        );
    }
}

/// What the configuration and the tenant's tier declare.
fn wanted<'a>(sides: &CompareInput<'a>, environment: &MappedEnvironment) -> Vec<Wanted<'a>> {
    let everywhere = sides.config.access.iter().map(|access| Wanted {
        set: &access.permission_set,
        group: &access.group,
        id: sides.seen.groups.get(&access.group).cloned().flatten(),
    });
    let tier = sides.config.tier(&environment.tier);
    let own = tier.and_then(|tier| tier.tenant_group_permission_set.as_deref()).map(|set| {
        let grant = environment.grants.get(own_group_grant(set));
        let id = grant.and_then(|grant| grant.get("group_id")?.as_str()).map(str::to_owned);
        Wanted { set, group: "the tenant's own group", id }
    });
    everywhere.chain(own).collect()
}
