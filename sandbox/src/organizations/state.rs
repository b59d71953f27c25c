//! The state of the organisation.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    CreateRequest, FULL_ACCESS_POLICY_ID, History, Lifecycle, Member, OrganizationalUnit, ServiceControlPolicy,
};
use crate::policy::Document;
use crate::settings::Settings;
use crate::world::ids::IdGenerator;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Organization {
    /// Id of the organisation in the format `o-…`.
    pub id: String,
    /// Id of the root, in the format `r-…`. An organisation has exactly one root.
    pub root: String,
    /// Id of the management account; service control policies do not apply to it.
    pub management_account: String,
    pub units: BTreeMap<String, OrganizationalUnit>,
    pub members: BTreeMap<String, Member>,
    /// Account ids in the order in which the accounts joined the organisation. List calls return accounts in this
    /// order.
    pub joined: Vec<String>,
    /// CreateAccount requests, oldest first.
    pub requests: Vec<CreateRequest>,
    pub policies: BTreeMap<String, ServiceControlPolicy>,
    /// Ids of the attached policies by target (root, organizational unit or account), in the order of attachment.
    pub attached: BTreeMap<String, History<Vec<String>>>,
    pub policies_enabled: bool,
    /// Tags by the id of the tagged resource.
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
    /// Service principals with trusted access, with the time at which trusted access was enabled.
    pub trusted_services: BTreeMap<String, DateTime<Utc>>,
    /// E-mail addresses of accounts outside the organisation. CreateAccount fails for these addresses.
    pub foreign_emails: BTreeSet<String>,
    /// Maximum number of accounts; `None` means that `Settings::account_quota` applies.
    #[serde(default)]
    pub account_quota: Option<usize>,
    /// Times of CloseAccount calls, for the quota of account closures within 30 days.
    pub closures: Vec<DateTime<Utc>>,
    /// Earliest time at which an account creation or closure completes; `None` if none is in progress.
    pub next_due: Option<DateTime<Utc>>,
}

impl Organization {
    /// Creates an organisation with the management account and Freehold's own account, both in the root. As in AWS,
    /// service control policies are not enabled.
    pub fn new(settings: &Settings, now: DateTime<Utc>) -> Self {
        let mut ids = IdGenerator::new(settings.seed.wrapping_add(0x6f));
        let root = ids.next_with_prefix("r-", 4);
        let member = |name: &str, email: &str, joined_method: &str| Member {
            name: name.to_owned(),
            email: email.to_owned(),
            joined_at: now,
            joined_method: joined_method.to_owned(),
            parent: History::new(now, root.clone()),
            lifecycle: Lifecycle::Active,
        };
        let (management, freehold) = (&settings.management_account, &settings.freehold_account);
        Self {
            id: ids.next_with_prefix("o-", 10),
            management_account: management.clone(),
            units: BTreeMap::new(),
            members: BTreeMap::from([
                (management.clone(), member("Management", "aws-management@example.com", "INVITED")),
                (freehold.clone(), member("Freehold", "aws-freehold@example.com", "CREATED")),
            ]),
            joined: vec![management.clone(), freehold.clone()],
            requests: Vec::new(),
            policies: BTreeMap::from([(FULL_ACCESS_POLICY_ID.to_owned(), ServiceControlPolicy::full_access(now))]),
            attached: BTreeMap::new(),
            policies_enabled: false,
            tags: BTreeMap::new(),
            trusted_services: BTreeMap::from([("sso.amazonaws.com".to_owned(), now)]),
            foreign_emails: BTreeSet::new(),
            account_quota: None,
            closures: Vec::new(),
            next_due: None,
            root,
        }
    }

    /// Returns the ARN of the root, an organizational unit, an account or a policy. The prefix of the id determines the
    /// type.
    pub fn arn_of(&self, id: &str) -> String {
        let (management, organization) = (&self.management_account, &self.id);
        if id == FULL_ACCESS_POLICY_ID {
            return format!("arn:aws:organizations::aws:policy/service_control_policy/{id}");
        }
        let kind = match id.split('-').next() {
            Some("r") => "root",
            Some("ou") => "ou",
            Some("p") => {
                return format!(
                    "arn:aws:organizations::{management}:policy/{organization}/service_control_policy/{id}"
                );
            }
            _ => "account",
        };
        format!("arn:aws:organizations::{management}:{kind}/{organization}/{id}")
    }

    /// Records that an account creation or closure completes at `at`.
    pub(super) fn schedule(&mut self, at: DateTime<Utc>) {
        self.next_due = Some(self.next_due.map_or(at, |due| due.min(at)));
    }

    /// Returns whether the id belongs to the root, an organizational unit or an account.
    pub fn is_valid_target(&self, id: &str) -> bool {
        id == self.root || self.units.contains_key(id) || self.members.contains_key(id)
    }

    /// Returns whether the id belongs to the root or to an organizational unit.
    pub fn is_valid_parent(&self, id: &str) -> bool {
        id == self.root || self.units.contains_key(id)
    }

    /// Returns the service control policies in effect for an account: one list for the root, one for each
    /// organizational unit on the path, and one for the account. The result is empty for the management account, and if
    /// service control policies are not enabled.
    pub fn effective_policies(&self, account: &str, now: DateTime<Utc>) -> Vec<Vec<&Document>> {
        let Some(member) = self.members.get(account) else {
            return Vec::new();
        };
        if !self.policies_enabled || account == self.management_account {
            return Vec::new();
        }
        let mut path = vec![account];
        let mut parent = member.parent.effective(now).as_str();
        while let Some(unit) = self.units.get(parent) {
            path.push(parent);
            parent = &unit.parent;
        }
        path.push(&self.root);
        path.into_iter().rev().map(|target| self.effective_policies_of_target(target, now)).collect()
    }

    fn effective_policies_of_target(&self, target: &str, now: DateTime<Utc>) -> Vec<&Document> {
        let attached = self.attached.get(target).map(|attached| attached.effective(now));
        let policies = attached.into_iter().flatten().filter_map(|id| self.policies.get(id));
        policies.map(|policy| policy.document.effective(now)).collect()
    }
}
