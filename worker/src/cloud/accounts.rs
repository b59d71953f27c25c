//! Accounts: asked for, being made, and as the organisation has them.

use chrono::{DateTime, Utc};
use freehold_tenancy::AwsAccountId;
use serde::{Deserialize, Serialize};

use super::Tags;

/// An account to be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAccount {
    /// 1 to 50 printable ASCII characters; holds the environment's id, by which a creation is found again.
    pub name: String,
    /// Never used before and never again; by it the account is found again.
    pub email: String,
    /// Names this installation and this environment.
    pub tags: Tags,
}

/// How far a CreateAccount has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// `car-…`
    pub request_id: String,
    /// The name that was asked for; AWS does not give the e-mail address back.
    pub account_name: String,
    /// When AWS accepted it.
    pub requested_at: DateTime<Utc>,
    /// When it ended, once it has.
    pub completed_at: Option<DateTime<Utc>>,
    /// Where it stands.
    pub state: CreationState,
}

/// The state of a CreateAccount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreationState {
    /// Look again later.
    InProgress,
    /// The account exists.
    Succeeded(AwsAccountId),
    /// AWS's failure reason, such as `EMAIL_ALREADY_EXISTS`.
    Failed(String),
}

/// An account as the organisation lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAccount {
    /// Its id.
    pub id: AwsAccountId,
    /// Its root user's e-mail address.
    pub email: String,
    /// Its name.
    pub name: String,
    /// `ACTIVE`, `SUSPENDED`, …
    pub state: String,
    /// The OU or root that it is in, where AWS says so.
    pub parent: Option<String>,
}

/// A residency's OU and its guardrail, as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidencyOu {
    /// `ou-…`
    pub ou_id: String,
    /// Whether the OU carries the residency's region SCP, with the content that the configuration asks for.
    pub guarded: bool,
}

/// Where a region stands in an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionStatus {
    /// It can be used.
    Enabled,
    /// It will be.
    Enabling,
    /// It has to be asked for.
    Disabled,
    /// Somebody is switching it off.
    Disabling,
}
