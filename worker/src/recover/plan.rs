//! Derives the changes of a recovery from the observed accounts and the database, as a pure function.

mod lost_accounts;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use freehold_tenancy::db::recovery::{KnownEnvironment, KnownState};
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::recovery::{Change, TenantDetails};
use freehold_tenancy::{AwsAccountId, Config, EnvironmentId, EnvironmentName, ExternalId, TenantId};
use serde_json::json;

use super::item::{RecoveryItem, Resolution};
use super::observe::{Observed, SeenAccount};
use crate::cloud::{Creation, NewAccount, Tags};

/// Input of a plan. AWS was read after the database.
pub(super) struct PlanInput<'a> {
    pub(super) seen: &'a Observed,
    pub(super) known: &'a KnownState,
    /// Details that the operator gives.
    pub(super) details: &'a TenantDetails,
    pub(super) config: &'a Config,
    pub(super) now: DateTime<Utc>,
}

/// Names and ids that the planned changes use, in addition to those in the database.
#[derive(Default)]
struct Planned {
    environments: BTreeSet<EnvironmentId>,
    names: BTreeSet<(TenantId, EnvironmentName)>,
    tenants: BTreeSet<TenantId>,
    external_ids: BTreeSet<ExternalId>,
}

/// Returns the differences between AWS and the database, those that are resolved by the recovery first.
pub(super) fn items(input: &PlanInput<'_>) -> Vec<RecoveryItem> {
    let mut planned = Planned::default();
    let mapped = input.known.environments.iter();
    let mut items: Vec<_> =
        mapped.filter_map(|(id, known)| mapped_environment(input, *id, known, known.account.as_ref()?)).collect();
    for account in input.seen.accounts.values() {
        if let Some(tags) = &account.lost_tags {
            items.push(lost_accounts::item(input, account, tags, &mut planned));
        }
    }
    for creation in &input.seen.creations {
        items.extend(open_creation(input, creation, &planned));
    }
    items.sort_by_key(|item| item.resolution);
    items
}

impl SeenAccount {
    fn is_active(&self) -> bool {
        self.listed.state == "ACTIVE"
    }

    fn is_closed(&self) -> bool {
        ["SUSPENDED", "PENDING_CLOSURE", "CLOSED"].contains(&self.listed.state.as_str())
    }

    /// Returns the intent with which the account was requested.
    fn intent(&self, tags: &Tags) -> serde_json::Value {
        let (name, email) = (self.listed.name.clone(), self.listed.email.clone());
        json!(NewAccount { name, email, tags: tags.clone() })
    }
}

/// Compares an environment with its account.
fn mapped_environment(
    input: &PlanInput<'_>,
    id: EnvironmentId,
    known: &KnownEnvironment,
    account_id: &AwsAccountId,
) -> Option<RecoveryItem> {
    let label = label(input, id, known);
    let item = |resolution, message, changes| {
        Some(RecoveryItem {
            resolution,
            account: Some(account_id.clone()),
            tenant: Some(known.tenant_id),
            environment: Some(id),
            message,
            changes,
        })
    };
    let Some(account) = input.seen.accounts.get(account_id) else {
        let message = format!(
            "Account {account_id} of {label} is not in the organisation. Find out who removed it, then invite it back \
             or offboard the environment."
        );
        return item(Resolution::Decide, message, Vec::new());
    };
    let is_offboarding = known.open == Some(OperationKind::Offboard);
    if account.is_closed() && account.is_quarantined {
        let message = format!("record that account {account_id} of {label} is closed, and end its mapping");
        return item(Resolution::Recover, message, vec![Change::RecordClosure(id)]);
    }
    if !account.is_active() {
        let message = format!(
            "Account {account_id} of {label} is {} but not in the quarantine OU, so Freehold did not close it. Find \
             out who closed the account; AWS can reopen an account within 90 days.",
            account.listed.state
        );
        return item(Resolution::Decide, message, Vec::new());
    }
    let was_offboarded = match known.open {
        None => known.state == EnvironmentState::Ready,
        // A cancelled onboarding is offboarded, and an upgrade or a change of regions never moves the account. Other
        // operations may not have moved it yet.
        Some(kind) => kind == OperationKind::Onboard || kind.keeps_environment_state(),
    };
    if account.is_quarantined && known.open == Some(OperationKind::Repair) {
        let message = format!(
            "Account {account_id} of {label} is in the quarantine OU, and a repair of the environment was in progress \
             at the backup. If the environment was offboarded since, offboard it again; otherwise move the account \
             back to the OU of its residency."
        );
        return item(Resolution::Decide, message, Vec::new());
    }
    if account.is_quarantined && was_offboarded {
        let message = format!(
            "offboard {label} again: its account {account_id} is in the quarantine OU; the cooling-off period starts \
             anew"
        );
        return item(Resolution::Recover, message, vec![Change::Offboard(id)]);
    }
    // A suspended environment is stored as offboarding, without an open offboarding.
    let is_suspended = known.open.is_none() && known.state == EnvironmentState::Offboarding;
    if !account.is_quarantined && is_suspended {
        let message = format!(
            "Account {account_id} of {label} is not in the quarantine OU, but its tenant is suspended. If the tenant \
             was resumed since the backup, resume it again; otherwise move the account back."
        );
        return item(Resolution::Decide, message, Vec::new());
    }
    if !account.is_quarantined && is_offboarding && known.is_suspended {
        if known.is_cooled_off {
            let message = format!(
                "Account {account_id} of {label} has left the quarantine OU, but its cooling-off period has ended. \
                 Find out who moved it, then move it back."
            );
            return item(Resolution::Decide, message, Vec::new());
        }
        let message = format!("restore {label}: its account {account_id} has left the quarantine OU since the backup");
        return item(Resolution::Recover, message, vec![Change::Restore(id)]);
    }
    None
}

/// Returns the names of the environment and the company, for messages.
fn label(input: &PlanInput<'_>, id: EnvironmentId, known: &KnownEnvironment) -> String {
    match input.known.tenants.get(&known.tenant_id) {
        Some(tenant) => format!("{id} ({} of {})", known.name, tenant.company_name),
        None => id.to_string(),
    }
}

/// Compares an account creation in progress with the database.
fn open_creation(input: &PlanInput<'_>, creation: &Creation, planned: &Planned) -> Option<RecoveryItem> {
    // AWS reports neither the tags nor the e-mail address of a creation, but the account name ends with the id.
    let id: EnvironmentId = creation.account_name.rsplit(' ').next()?.parse().ok()?;
    if planned.environments.contains(&id) {
        return None;
    }
    let known = input.known.environments.get(&id);
    let item = |resolution, message, changes| {
        let tenant = known.map(|known| known.tenant_id);
        Some(RecoveryItem { resolution, account: None, tenant, environment: Some(id), message, changes })
    };
    let request = &creation.request_id;
    match known {
        None => item(
            Resolution::Wait,
            format!(
                "The account of {id}, which is not in the database, is being created ({request}). Repeat the command \
                 when the account exists."
            ),
            Vec::new(),
        ),
        Some(known) if known.open == Some(OperationKind::Onboard) && !known.is_account_requested => {
            let email = input.config.organization.account_email.address(id);
            let intent = json!(NewAccount { name: creation.account_name.clone(), email, tags: Tags::new() });
            let change = Change::RestoreRequest { environment: id, intent, requested_at: creation.requested_at };
            let label = label(input, id, known);
            item(Resolution::Recover, format!("continue the account creation {request} of {label}"), vec![change])
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
