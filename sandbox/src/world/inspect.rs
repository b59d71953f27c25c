//! Functions with which tests read the state of the simulated AWS directly, without API calls.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{BackgroundWorkSpan, CallLog, World};
use crate::organizations::CreateRequest;

/// Data of an account, as returned by [`World::accounts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountView {
    pub id: String,
    pub email: String,
    pub name: String,
    pub tags: BTreeMap<String, String>,
    /// Id of the parent (root or organizational unit).
    pub parent: String,
    /// Name of the parent organizational unit; `Root` for the root.
    pub parent_name: String,
    /// State as in ListAccounts: `ACTIVE`, `PENDING_CLOSURE` or `CLOSED`.
    pub state: &'static str,
    /// Time from which the account's roles can be assumed.
    pub settled_at: Option<DateTime<Utc>>,
    /// Names of the account's IAM roles.
    pub roles: Vec<String>,
}

/// Data of a service control policy, as returned by [`World::policies`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyView {
    pub id: String,
    pub name: String,
    pub content: String,
    /// Ids of the root, organizational units and accounts that the policy is attached to.
    pub targets: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrganizationalUnitView {
    pub id: String,
    pub name: String,
    /// Id of the parent (root or organizational unit).
    pub parent: String,
    pub tags: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StackView {
    pub account: String,
    pub region: String,
    pub id: String,
    pub name: String,
    /// Stack status such as `CREATE_COMPLETE`.
    pub status: &'static str,
    pub outputs: BTreeMap<String, String>,
}

/// Data of an account assignment, as returned by [`World::assignments`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AssignmentView {
    pub account: String,
    /// Name of the permission set.
    pub permission_set: String,
    /// Type of the principal, either `USER` or `GROUP`.
    pub principal_type: String,
    /// Id of the user or group in the Identity Store.
    pub principal_id: String,
}

impl World {
    /// Returns all existing accounts, in the order in which they joined the organisation. The first two are the
    /// management account and Freehold's own account.
    pub fn accounts(&self) -> Vec<AccountView> {
        let mut state = self.state();
        state.advance(self.settings(), self.clock().now());
        let organization = &state.organization;
        let members = organization.joined.iter().filter_map(|id| organization.members.get_key_value(id));
        members
            .map(|(id, member)| {
                let account = state.accounts.get(id);
                let parent = member.parent.current().clone();
                AccountView {
                    id: id.clone(),
                    email: member.email.clone(),
                    name: member.name.clone(),
                    tags: organization.tags.get(id).cloned().unwrap_or_default(),
                    parent_name: organization.units.get(&parent).map_or("Root", |unit| &unit.name).to_owned(),
                    parent,
                    state: member.lifecycle.state_and_status().0,
                    settled_at: account.map(|account| account.settled_at),
                    roles: account.map(|account| account.roles.keys().cloned().collect()).unwrap_or_default(),
                }
            })
            .collect()
    }

    /// Returns the account with this e-mail address, or `None` if it does not exist yet.
    pub fn account_by_email(&self, email: &str) -> Option<AccountView> {
        self.accounts().into_iter().find(|account| account.email.eq_ignore_ascii_case(email))
    }

    /// Returns all CreateAccount requests, oldest first.
    pub fn create_requests(&self) -> Vec<CreateRequest> {
        let mut state = self.state();
        state.advance(self.settings(), self.clock().now());
        state.organization.requests.clone()
    }

    pub fn policies(&self) -> Vec<PolicyView> {
        let state = self.state();
        let organization = &state.organization;
        let targets = |id: &String| {
            let attached = organization.attached.iter().filter(|(_, policies)| policies.current().contains(id));
            attached.map(|(target, _)| target.clone()).collect()
        };
        let policies = organization.policies.iter();
        policies
            .map(|(id, policy)| PolicyView {
                id: id.clone(),
                name: policy.name.clone(),
                content: policy.content.clone(),
                targets: targets(id),
            })
            .collect()
    }

    pub fn units(&self) -> Vec<OrganizationalUnitView> {
        let state = self.state();
        let organization = &state.organization;
        let units = organization.units.iter();
        units
            .map(|(id, unit)| OrganizationalUnitView {
                id: id.clone(),
                name: unit.name.clone(),
                parent: unit.parent.clone(),
                tags: organization.tags.get(id).cloned().unwrap_or_default(),
            })
            .collect()
    }

    /// Returns all stacks, including deleted stacks, ordered by account and region.
    pub fn stacks(&self) -> Vec<StackView> {
        let mut state = self.state();
        state.advance(self.settings(), self.clock().now());
        let regions = state.accounts.values().flat_map(|account| {
            account.regions.iter().map(|(region, state)| (account.id.as_str(), region.as_str(), state))
        });
        let stacks =
            regions.flat_map(|(account, region, state)| state.stacks.iter().map(move |stack| (account, region, stack)));
        stacks
            .map(|(account, region, stack)| StackView {
                account: account.to_owned(),
                region: region.to_owned(),
                id: stack.id.clone(),
                name: stack.name.clone(),
                status: stack.status.as_str(),
                outputs: stack.outputs.iter().map(|(key, output)| (key.clone(), output.value.clone())).collect(),
            })
            .collect()
    }

    pub fn assignments(&self) -> Vec<AssignmentView> {
        let mut state = self.state();
        state.advance(self.settings(), self.clock().now());
        let center = &state.identity_center;
        let name = |arn: &String| center.permission_sets.get(arn).map_or(arn, |set| &set.name).clone();
        let assignments = center.assignments.iter();
        assignments
            .map(|assignment| AssignmentView {
                account: assignment.account.clone(),
                permission_set: name(&assignment.permission_set),
                principal_type: assignment.principal_type.clone(),
                principal_id: assignment.principal_id.clone(),
            })
            .collect()
    }

    /// Marks an e-mail address as used by an account outside the organisation, so that CreateAccount with this address
    /// fails with EMAIL_ALREADY_EXISTS.
    pub fn reserve_email(&self, email: &str) {
        self.state().organization.foreign_emails.insert(email.to_owned());
    }

    /// Sets the maximum number of accounts in the organisation.
    pub fn set_account_quota(&self, quota: usize) {
        self.state().organization.account_quota = Some(quota);
    }

    pub fn calls(&self) -> CallLog {
        self.state().calls.clone()
    }

    /// Returns the latest spans of background work, oldest first.
    pub fn busy(&self) -> Vec<BackgroundWorkSpan> {
        self.state().busy.iter().cloned().collect()
    }
}
