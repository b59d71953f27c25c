//! Compares the assignments of permission sets in AWS with the configuration.

use std::collections::BTreeMap;

use freehold_tenancy::db::reconcile::MappedEnvironment;
use freehold_tenancy::finding::FindingKind;
use freehold_tenancy::finding::FindingRemedy::{Person, Repair};
use freehold_tenancy::tenant::OWN_GROUP;

use super::{CompareInput, Comparison, environment_label};
use crate::cloud::Principal;
use crate::steps::grant_access::own_group_grant;

/// Reports configured permission sets and groups that do not exist in Identity Center. Each missing object causes one
/// finding, not one finding per account.
pub(super) fn check_identity_center(input: &CompareInput<'_>, comparison: &mut Comparison) {
    for (set, _) in input.seen.permission_sets.iter().filter(|(_, arn)| arn.is_none()) {
        let message = format!(
            "Identity Center has no permission set `{set}`; its groups have no access. Run `freehold bootstrap`."
        );
        comparison.add_organization_finding(FindingKind::PermissionSetMissing, set, message);
    }
    for (group, _) in input.seen.groups.iter().filter(|(_, id)| id.is_none()) {
        let message = format!(
            "Identity Center has no group `{group}`; its members have no access. Create it, or let your identity \
             provider create it."
        );
        comparison.add_organization_finding(FindingKind::GroupMissing, group, message);
    }
}

/// Assignment that should exist in an account.
struct RequiredGrant<'a> {
    set: &'a str,
    /// Display name of the group.
    group: &'a str,
    /// Id of the group, if known.
    id: Option<String>,
}

pub(super) fn check(
    input: &CompareInput<'_>,
    environment: &MappedEnvironment,
    principals: &BTreeMap<String, Vec<Principal>>,
    comparison: &mut Comparison,
) {
    let (account, called) = (&environment.aws_account_id, environment_label(environment));
    let wanted = wanted(input, environment);
    for RequiredGrant { set, group, id } in &wanted {
        let exists = |ids: &BTreeMap<String, Option<String>>, name: &str| ids.get(name).is_none_or(Option::is_some);
        if !exists(&input.seen.permission_sets, set) || !exists(&input.seen.groups, group) {
            continue;
        }
        let assigned = principals.get(*set).into_iter().flatten();
        if !assigned.clone().any(|principal| principal.kind == "GROUP" && Some(&principal.id) == id.as_ref()) {
            let who =
                if input.seen.groups.contains_key(*group) { format!("group {group}") } else { (*group).to_owned() };
            let message = format!(
                "Account {account} ({called}): {who} lacks the configured permission set `{set}`. A repair of the \
                 environment assigns it."
            );
            comparison.add_environment_finding(
                FindingKind::AssignmentMissing,
                environment,
                &format!("{set}/{group}"),
                Repair,
                message,
            );
        }
    }
    for (set, principal) in principals.iter().flat_map(|(set, assigned)| assigned.iter().map(move |one| (set, one))) {
        let is_wanted = |one: &RequiredGrant<'_>| one.set == set && one.id.as_ref() == Some(&principal.id);
        if principal.kind == "GROUP" && wanted.iter().any(is_wanted) {
            continue;
        }
        let Principal { kind, id } = principal;
        let group = input.seen.groups.iter().find(|(_, known)| known.as_ref() == Some(id));
        let who = group.map_or_else(|| format!("{} {id}", kind.to_lowercase()), |(name, _)| format!("group {name}"));
        let message = format!(
            "Account {account} ({called}): {who} has the permission set `{set}`, but the configuration does not grant \
             it. Find out who assigned it, then add it to the configuration or remove the assignment."
        );
        comparison.add_environment_finding(
            FindingKind::AssignmentExtra,
            environment,
            &format!("{set}/{kind}/{id}"),
            Person,
            message,
        );
    }
}

/// Returns the assignments that the configuration and the tenant's tier require.
fn wanted<'a>(input: &CompareInput<'a>, environment: &MappedEnvironment) -> Vec<RequiredGrant<'a>> {
    let everywhere = input.config.access.iter().map(|access| RequiredGrant {
        set: &access.permission_set,
        group: &access.group,
        id: input.seen.groups.get(&access.group).cloned().flatten(),
    });
    let tier = input.config.tier(&environment.tier);
    let own = tier.and_then(|tier| tier.tenant_group_permission_set.as_deref()).map(|set| {
        let id = own_group_id(environment, set);
        RequiredGrant { set, group: OWN_GROUP, id }
    });
    everywhere.chain(own).collect()
}

/// Returns the id of the tenant's own group, if an operation has assigned the permission set to it.
pub(in crate::reconcile) fn own_group_id(environment: &MappedEnvironment, permission_set: &str) -> Option<String> {
    let grant = environment.grants.get(own_group_grant(permission_set))?;
    Some(grant.get("group_id")?.as_str()?.to_owned())
}
