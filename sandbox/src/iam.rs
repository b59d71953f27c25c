//! IAM roles. There is no IAM endpoint: roles are created together with accounts and by CloudFormation stacks.

mod managed;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use managed::{is_aws_managed_policy, managed_policy};

use crate::policy::{AccessRequest, ConditionKeys, Decision, Document, Principal, evaluate};
use crate::settings::Settings;
use crate::world::ids::UPPERCASE;
use crate::world::{AccountState, Session, State};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// Role name, unique within the account.
    pub name: String,
    /// ARN of the role in the format `arn:aws:iam::{account}:role{path}{name}`.
    pub arn: String,
    /// Unique id of the role in the format `AROA…`.
    pub id: String,
    /// Trust policy, which determines the principals that can assume the role.
    pub trust: Document,
    /// Inline policies of the role by policy name.
    pub inline: BTreeMap<String, Document>,
    /// ARNs of the managed policies attached to the role.
    pub managed: Vec<String>,
    pub max_session_seconds: i32,
    pub tags: BTreeMap<String, String>,
    pub created_at: DateTime<Utc>,
}

impl Role {
    /// Returns the inline and managed policies. An AWS-managed policy that the sandbox does not contain grants no
    /// permissions.
    pub fn policies(&self) -> Vec<Document> {
        let managed = self.managed.iter().filter_map(|arn| managed_policy(arn));
        self.inline.values().cloned().chain(managed).collect()
    }
}

impl State {
    /// Returns whether the trust policy of a role allows a service to assume the role.
    pub(crate) fn can_service_assume_role(&self, arn: &str, service: &str) -> bool {
        let Some((account, path)) = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/")) else {
            return false;
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        let role = self.accounts.get(account).and_then(|account| account.roles.get(name));
        role.is_some_and(|role| {
            let request = AccessRequest {
                action: "sts:AssumeRole",
                resource: &role.arn,
                principal: Principal::Service(service),
                keys: &ConditionKeys::default(),
            };
            evaluate([&role.trust], &request) == Decision::Allow
        })
    }

    /// Returns the document of a managed policy that AWS or a stack of the account has created, or `None` if there is
    /// no such policy. An AWS-managed policy that the sandbox does not contain grants no permissions.
    pub(crate) fn managed_policy(&self, account: &str, arn: &str) -> Option<Document> {
        if is_aws_managed_policy(arn) {
            return Some(managed_policy(arn).unwrap_or_default());
        }
        let mut regions = self.accounts.get(account)?.regions.values();
        regions.find_map(|region| region.stacks.managed_policy(arn)).cloned()
    }

    /// Creates a role without policies and with sessions of at most one hour, the default of IAM. The role is not added
    /// to the account.
    pub fn new_role(&mut self, account: &str, path: &str, name: &str, trust: Document, now: DateTime<Utc>) -> Role {
        Role {
            name: name.to_owned(),
            arn: format!("arn:aws:iam::{account}:role{path}{name}"),
            id: format!("AROA{}", self.ids.next(UPPERCASE, 17)),
            trust,
            inline: BTreeMap::new(),
            managed: Vec::new(),
            max_session_seconds: 3_600,
            tags: BTreeMap::new(),
            created_at: now,
        }
    }

    /// Replaces all policies of a role with one inline policy. Does nothing if the role does not exist.
    pub(crate) fn replace_role_policy(&mut self, account: &str, role: &str, policy: Document) {
        let account = self.accounts.get_mut(account);
        if let Some(role) = account.and_then(|account| account.roles.get_mut(role)) {
            role.managed.clear();
            role.inline = BTreeMap::from([("policy".to_owned(), policy)]);
        }
    }

    /// Adds a role with AdministratorAccess to an account. `trusted` is the id of the account that can assume the role.
    pub(crate) fn add_access_role(
        &mut self,
        account: &str,
        name: &str,
        trusted: &str,
        external_id: Option<&str>,
        now: DateTime<Utc>,
    ) {
        let mut statement = json!({
            "Effect": "Allow",
            "Principal": { "AWS": format!("arn:aws:iam::{trusted}:root") },
            "Action": "sts:AssumeRole",
        });
        if let Some(external_id) = external_id {
            statement["Condition"] = json!({ "StringEquals": { "sts:ExternalId": external_id } });
        }
        let mut role = self.new_role(account, "/", name, document(json!([statement])), now);
        role.managed.push("arn:aws:iam::aws:policy/AdministratorAccess".into());
        if let Some(account) = self.accounts.get_mut(account) {
            account.roles.insert(name.to_owned(), role);
        }
    }
}

/// Creates the management account and Freehold's own account, with their access keys, the roles that Freehold assumes
/// and the access role of Freehold's account.
pub(crate) fn create_initial_accounts(state: &mut State, settings: &Settings, now: DateTime<Utc>) {
    let (management, freehold) = (&settings.management_account, &settings.freehold_account);
    for account in [management, freehold] {
        state.accounts.insert(account.clone(), AccountState::new(account, now));
    }
    state.add_access_role(freehold, "OrganizationAccountAccessRole", management, None, now);
    create_freehold_roles(state, settings, now);
}

/// Creates the roles of the management account that Freehold assumes, unless they exist, and the access keys that may
/// assume them.
pub(crate) fn create_freehold_roles(state: &mut State, settings: &Settings, now: DateTime<Utc>) {
    let (management, freehold) = (&settings.management_account, &settings.freehold_account);
    for (role, policy) in
        [(&settings.control_role, &settings.control_policy), (&settings.people_role, &settings.people_policy)]
    {
        if state.accounts.get(management).is_some_and(|account| account.roles.contains_key(role)) {
            continue;
        }
        state.add_access_role(management, role, freehold, settings.control_external_id.as_deref(), now);
        if let Some(policy) = policy {
            state.replace_role_policy(management, role, policy.clone());
        }
    }
    let everything = json!([{ "Effect": "Allow", "Action": "*", "Resource": "*" }]);
    let roles = [&settings.control_role, &settings.people_role];
    let roles = roles.map(|role| format!("arn:aws:iam::{management}:role/{role}"));
    let assume = json!([{ "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": roles }]);
    for (account, key, user, policy) in [
        (management, &settings.management_access_key, "administrator", everything),
        (freehold, &settings.freehold_access_key, "freehold", assume),
    ] {
        state.access_keys.insert(
            key.clone(),
            Session {
                account: account.clone(),
                arn: format!("arn:aws:iam::{account}:user/{user}"),
                user_id: format!("AIDA{}", key.trim_start_matches("AKIA")),
                role: None,
                policy: Some(document(policy)),
                managed_session_policies: Vec::new(),
                token: None,
                expires: None,
                uses_system_clock: false,
            },
        );
    }
}

fn document(statements: serde_json::Value) -> Document {
    let value = json!({ "Version": "2012-10-17", "Statement": statements });
    Document::from_value(value).unwrap_or_default()
}
