//! Accounts of this installation that the database does not know.

use freehold_tenancy::db::recovery::KnownEnvironment;
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::recovery::{Change, EnvironmentDetails, LostEnvironment, LostTenant};
use freehold_tenancy::{EnvironmentId, TenantId};

use super::super::details;
use super::super::item::{RecoveryItem, Resolution};
use super::super::observe::SeenAccount;
use super::{PlanInput, Planned, label};
use crate::account_tags;
use crate::cloud::Tags;

/// Returns the way in which a lost account gets back to its environment.
pub(super) fn item(input: &PlanInput<'_>, account: &SeenAccount, tags: &Tags, planned: &mut Planned) -> RecoveryItem {
    let id = |key| tags.get(key).cloned().unwrap_or_default();
    let environment: Option<EnvironmentId> = id(account_tags::ENVIRONMENT).parse().ok();
    let tenant: Option<TenantId> = id(account_tags::TENANT).parse().ok();
    let item = |resolution, message, changes| RecoveryItem {
        resolution,
        account: Some(account.listed.id.clone()),
        tenant,
        environment,
        message,
        changes,
    };
    let result = match (tenant, environment) {
        (Some(tenant), Some(environment)) => changes(input, account, tags, (tenant, environment), planned),
        _ => Err("its tags name no tenant or no environment. Correct or remove its tags.".to_owned()),
    };
    match result {
        Ok((message, changes)) => item(Resolution::Recover, message, changes),
        Err(reason) => {
            let (id, name) = (&account.listed.id, &account.listed.name);
            let message = format!("Account {id} ({name}) has no environment in the database: {reason}");
            item(Resolution::Decide, message, Vec::new())
        }
    }
}

/// Returns the changes with their description. Fails with the reason why a person must decide.
fn changes(
    input: &PlanInput<'_>,
    account: &SeenAccount,
    tags: &Tags,
    (tenant, id): (TenantId, EnvironmentId),
    planned: &mut Planned,
) -> Result<(String, Vec<Change>), String> {
    if !account.is_active() && !account.is_closed() {
        return Err(format!("it is {}. Repeat the command when it is active.", account.listed.state));
    }
    if !planned.environments.insert(id) {
        return Err(format!("another account has the tags of {id} too. Find out which one the tenant uses."));
    }
    match input.known.environments.get(&id) {
        Some(known) => known_environment(input, account, tags, id, known),
        None => lost_environment(input, account, tags, (tenant, id), planned),
    }
}

/// Gives the account to an environment that waits for one.
fn known_environment(
    input: &PlanInput<'_>,
    account: &SeenAccount,
    tags: &Tags,
    id: EnvironmentId,
    known: &KnownEnvironment,
) -> Result<(String, Vec<Change>), String> {
    if let Some(other) = &known.account {
        return Err(format!("its tags name {id}, whose account is {other}. Find out which one the tenant uses."));
    }
    let Some(kind) = known.open else {
        return Err(format!("its tags name {id}, which has no open operation. Close it or remove its tags."));
    };
    let mut changes = Vec::new();
    if kind == OperationKind::Onboard && !known.is_account_requested {
        changes.push(request(input, account, tags, id));
    }
    changes.push(mapping(input, account, id));
    let account_id = &account.listed.id;
    let mut message = format!("give account {account_id} to {}", label(input, id, known));
    if account.is_closed() {
        message.push_str(", and record that it is closed");
        changes.push(Change::RecordClosure(id));
    } else if account.is_quarantined && kind == OperationKind::Onboard {
        message.push_str(", and offboard it, because the account is in the quarantine OU");
        changes.push(Change::Offboard(id));
    }
    Ok((message, changes))
}

/// Recreates an environment that was created after the backup.
fn lost_environment(
    input: &PlanInput<'_>,
    account: &SeenAccount,
    tags: &Tags,
    (tenant_id, id): (TenantId, EnvironmentId),
    planned: &mut Planned,
) -> Result<(String, Vec<Change>), String> {
    let no_details = EnvironmentDetails::default();
    let given = input.details.get(&id).unwrap_or(&no_details);
    let created_at = account.listed.joined_at.unwrap_or(input.now);
    let (tenant, environment) = details::lost(tags, tenant_id, id, given, input.config, created_at)
        .map_err(|problems| format!("{problems}. Give the details of {id} with --tenant-details FILE."))?;
    let tenant = LostTenant { admin_email: input.seen.admin_emails.get(&tenant_id).cloned(), ..tenant };
    check_unused(input, &tenant, &environment, planned)?;

    let known = input.known.tenants.get(&tenant_id);
    let company = known.map_or(&tenant.company_name, |known| &known.company_name);
    let is_suspended = account.is_quarantined || account.is_closed();
    let kind = if is_suspended { OperationKind::Offboard } else { OperationKind::Onboard };
    let mut message = format!("recreate {id} ({} of {company}) with account {}", environment.name, account.listed.id);
    if account.is_closed() {
        message.push_str(", which is closed");
    } else if is_suspended {
        message.push_str(", and offboard it, because the account is in the quarantine OU");
    }
    planned.names.insert((tenant_id, environment.name.clone()));
    let is_new = known.is_none() && planned.tenants.insert(tenant_id);
    if is_new && tenant.admin_email.is_none() {
        message.push_str(", without the e-mail address of its administrator, which is unknown");
    }
    if is_new {
        planned.external_ids.extend(tenant.external_id.clone());
    }
    let mut changes = vec![Change::Recreate { tenant: is_new.then_some(tenant), environment, kind }];
    if !is_suspended {
        changes.push(request(input, account, tags, id));
    }
    changes.push(mapping(input, account, id));
    if account.is_closed() {
        changes.push(Change::RecordClosure(id));
    }
    Ok((message, changes))
}

/// Fails if another tenant uses the external id, or another environment of the tenant uses the name.
fn check_unused(
    input: &PlanInput<'_>,
    tenant: &LostTenant,
    environment: &LostEnvironment,
    planned: &Planned,
) -> Result<(), String> {
    if input.known.tenants.get(&tenant.id).is_some_and(|known| known.is_offboarded) {
        return Err(format!("its tenant {} is offboarded. Close it or remove its tags.", tenant.id));
    }
    let is_new = !input.known.tenants.contains_key(&tenant.id) && !planned.tenants.contains(&tenant.id);
    if let Some(external_id) = tenant.external_id.as_ref().filter(|_| is_new) {
        let mut others = input.known.tenants.iter().filter(|(_, known)| !known.is_offboarded);
        let other = others.find(|(_, known)| known.external_id.as_ref() == Some(external_id)).map(|(id, _)| id);
        if let Some(other) = other {
            return Err(format!(
                "its tenant {} has the external id {external_id}, which {other} uses. The signup was probably \
                 repeated: offboard {other}, or give another external id with --tenant-details FILE.",
                tenant.id
            ));
        }
        if planned.external_ids.contains(external_id) {
            return Err(format!("another lost tenant has the same external id {external_id}."));
        }
    }
    let name = (tenant.id, environment.name.clone());
    let is_same = |known: &KnownEnvironment| known.tenant_id == tenant.id && known.name == environment.name;
    let is_active = |known: &KnownEnvironment| known.state != EnvironmentState::Offboarded;
    if planned.names.contains(&name) || input.known.environments.values().any(|one| is_same(one) && is_active(one)) {
        return Err(format!(
            "its tenant {} has another environment {}. Give another name with --tenant-details FILE.",
            tenant.id, environment.name
        ));
    }
    Ok(())
}

fn request(input: &PlanInput<'_>, account: &SeenAccount, tags: &Tags, environment: EnvironmentId) -> Change {
    let requested_at = account.listed.joined_at.unwrap_or(input.now);
    Change::RestoreRequest { environment, intent: account.intent(tags), requested_at }
}

fn mapping(input: &PlanInput<'_>, account: &SeenAccount, environment: EnvironmentId) -> Change {
    Change::MapAccount {
        environment,
        account: account.listed.id.clone(),
        name: account.listed.name.clone(),
        valid_from: account.listed.joined_at.unwrap_or(input.now),
    }
}
