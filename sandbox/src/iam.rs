//! Roles. There is no IAM endpoint: roles come with accounts and with CloudFormation stacks.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::policy::Document;
use crate::settings::Settings;
use crate::world::{AccountState, Session, State};

/// An IAM role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// Name, unique within the account.
    pub name: String,
    /// `arn:aws:iam::{account}:role{path}{name}`.
    pub arn: String,
    /// `AROA…`, the stable id.
    pub id: String,
    /// Who may assume it.
    pub trust: Document,
    /// Inline policies by name.
    pub inline: BTreeMap<String, Document>,
    /// ARNs of managed policies.
    pub managed: Vec<String>,
    /// The longest session, seconds.
    pub max_session_seconds: i32,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// Founds the management account and Freehold's own.
pub(crate) fn found(state: &mut State, settings: &Settings, now: DateTime<Utc>) {
    for (account, key) in [
        (&settings.management_account, &settings.management_access_key),
        (&settings.freehold_account, &settings.freehold_access_key),
    ] {
        state.accounts.insert(account.clone(), AccountState::new(account, now));
        state.access_keys.insert(
            key.clone(),
            Session {
                account: account.clone(),
                arn: format!("arn:aws:iam::{account}:user/bootstrap"),
                user_id: format!("AIDA{key}"),
                role: None,
                policy: None,
                token: None,
                expires: None,
            },
        );
    }
}
