//! Records the assignments that a comparison has found, for the access review.

use chrono::{DateTime, Utc};
use freehold_tenancy::access_grant::{Assignment, ObservedAccess, PrincipalKind};
use freehold_tenancy::db::reconcile::MappedEnvironment;
use freehold_tenancy::db::{PgPool, Result, access_grants};

use super::compare::{CompareInput, is_settled, own_group_id};
use crate::cloud::Principal;
use crate::steps::tenant_group_name;

/// Records the assignments in the accounts that were compared in full.
pub(super) async fn record(pool: &PgPool, input: &CompareInput<'_>, now: DateTime<Utc>) -> Result<()> {
    let settled = input.known.environments.iter().filter(|environment| is_settled(input, environment.settled_at));
    let observed: Vec<ObservedAccess> = settled
        .filter_map(|environment| {
            let account = &environment.aws_account_id;
            let principals = input.seen.access.get(account)?.iter();
            let principals = principals.chain(input.seen.other_access.get(account)?);
            Some(ObservedAccess {
                tenant_id: environment.tenant_id,
                environment_id: environment.id,
                account: environment.aws_account_id.clone(),
                assignments: assignments(input, environment, principals),
            })
        })
        .collect();
    access_grants::observe(pool, &observed, input.started_at, now).await
}

fn assignments<'a>(
    input: &CompareInput<'_>,
    environment: &MappedEnvironment,
    principals: impl Iterator<Item = (&'a String, &'a Vec<Principal>)>,
) -> Vec<Assignment> {
    let arn_of = |set: &String| match input.seen.permission_sets.get(set) {
        Some(arn) => arn.clone(),
        None => input.seen.other_permission_sets.get(set).cloned(),
    };
    let of_set = principals.filter_map(|(set, principals)| Some((set, arn_of(set)?, principals)));
    let mut found: Vec<_> = of_set
        .flat_map(|(set, arn, principals)| principals.iter().map(move |principal| (set, arn.clone(), principal)))
        .map(|(permission_set, permission_set_arn, principal)| {
            let (principal_kind, principal_name) = kind_and_name(input, environment, permission_set, principal);
            Assignment {
                permission_set: permission_set.clone(),
                permission_set_arn,
                principal_kind,
                principal_id: principal.id.clone(),
                principal_name,
            }
        })
        .collect();
    // A page that was read twice must not insert a row twice.
    found.sort();
    found.dedup();
    found
}

fn kind_and_name(
    input: &CompareInput<'_>,
    environment: &MappedEnvironment,
    permission_set: &str,
    principal: &Principal,
) -> (PrincipalKind, Option<String>) {
    if principal.kind != "GROUP" {
        return (PrincipalKind::User, None);
    }
    if own_group_id(environment, permission_set).as_ref() == Some(&principal.id) {
        return (PrincipalKind::TenantGroup, Some(tenant_group_name(environment.tenant_id)));
    }
    let Some((name, _)) = input.seen.groups.iter().find(|(_, id)| id.as_ref() == Some(&principal.id)) else {
        return (PrincipalKind::OtherGroup, None);
    };
    let mut configured = input.config.access.iter();
    let is_configured = configured.any(|access| access.group == *name && access.permission_set == permission_set);
    let kind = if is_configured { PrincipalKind::ConfiguredGroup } else { PrincipalKind::OtherGroup };
    (kind, Some(name.clone()))
}
