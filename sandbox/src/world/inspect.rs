//! What a test may ask the world without going through AWS's API.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{BusySpan, CallLog, World};
use crate::organizations::CreateRequest;

/// An account, as the organisation knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountView {
    /// Id.
    pub id: String,
    /// E-mail.
    pub email: String,
    /// Name.
    pub name: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Id of the root or unit above it.
    pub parent: String,
    /// Name of that unit; `Root` for the root.
    pub parent_name: String,
    /// `ACTIVE`, `PENDING_CLOSURE`, `CLOSED`.
    pub state: &'static str,
    /// From when on its roles can be assumed.
    pub settled_at: Option<DateTime<Utc>>,
    /// The names of its IAM roles.
    pub roles: Vec<String>,
}

/// A service control policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyView {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Content.
    pub content: String,
    /// Ids of the root, units and accounts that it is attached to.
    pub targets: Vec<String>,
}

/// A unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitView {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Id of the root or unit above it.
    pub parent: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A CloudFormation stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StackView {
    /// The account that it is in.
    pub account: String,
    /// The region that it is in.
    pub region: String,
    /// Its ARN.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `CREATE_COMPLETE`, …
    pub status: &'static str,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
}

/// Who has which permission set in which account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AssignmentView {
    /// The account.
    pub account: String,
    /// The permission set's name.
    pub permission_set: String,
    /// `USER` or `GROUP`.
    pub principal_type: String,
    /// Its id in the Identity Store.
    pub principal_id: String,
}

impl World {
    /// Every account that exists by now, in the order in which they joined; the management account and Freehold's own
    /// are the first two.
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

    /// The account with this e-mail, if it exists by now.
    pub fn account_by_email(&self, email: &str) -> Option<AccountView> {
        self.accounts().into_iter().find(|account| account.email.eq_ignore_ascii_case(email))
    }

    /// Every request for an account, oldest first.
    pub fn create_requests(&self) -> Vec<CreateRequest> {
        let mut state = self.state();
        state.advance(self.settings(), self.clock().now());
        state.organization.requests.clone()
    }

    /// Every service control policy.
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

    /// Every unit.
    pub fn units(&self) -> Vec<UnitView> {
        let state = self.state();
        let organization = &state.organization;
        let units = organization.units.iter();
        units
            .map(|(id, unit)| UnitView {
                id: id.clone(),
                name: unit.name.clone(),
                parent: unit.parent.clone(),
                tags: organization.tags.get(id).cloned().unwrap_or_default(),
            })
            .collect()
    }

    /// Every stack that there ever was, deleted ones included, by account and region.
    pub fn stacks(&self) -> Vec<StackView> {
        let mut state = self.state();
        state.advance(self.settings(), self.clock().now());
        let regions = state.accounts.values().flat_map(|account| {
            account.regions.iter().map(|(region, held)| (account.id.as_str(), region.as_str(), held))
        });
        let stacks =
            regions.flat_map(|(account, region, held)| held.stacks.iter().map(move |stack| (account, region, stack)));
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

    /// Every account assignment.
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

    /// Makes an e-mail the one of an account outside this organisation: CreateAccount with it fails with
    /// EMAIL_ALREADY_EXISTS.
    pub fn reserve_email(&self, email: &str) {
        self.state().organization.foreign_emails.insert(email.to_owned());
    }

    /// AWS allows the organisation so many accounts from now on.
    pub fn raise_account_quota(&self, quota: usize) {
        self.state().organization.account_quota = Some(quota);
    }

    /// What has been called so far.
    pub fn calls(&self) -> CallLog {
        self.state().calls.clone()
    }

    /// When the world was working, and for whom.
    pub fn busy(&self) -> Vec<BusySpan> {
        self.state().busy.iter().cloned().collect()
    }
}
