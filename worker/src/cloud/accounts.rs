//! Types of AWS accounts: creation requests and their status, listed accounts, OUs and regions.

use chrono::{DateTime, Utc};
use freehold_tenancy::AwsAccountId;
use serde::{Deserialize, Serialize};

use super::Tags;

/// Parameters of a CreateAccount request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAccount {
    /// Account name of 1 to 50 printable ASCII characters. It contains the environment's id, so that a lost request can
    /// be found.
    pub name: String,
    /// E-mail address of the root user. It is unique and never reused, so that the account can be found by it.
    pub email: String,
    /// Tags that identify the installation and the environment.
    pub tags: Tags,
}

/// Status of a CreateAccount request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// Id of the request: `car-…`.
    pub request_id: String,
    /// Name of the requested account. AWS does not report the requested e-mail address.
    pub account_name: String,
    /// Time at which AWS accepted the request.
    pub requested_at: DateTime<Utc>,
    /// Time at which the request succeeded or failed; `None` while the request is in progress.
    pub completed_at: Option<DateTime<Utc>>,
    pub state: CreationState,
}

/// State of a CreateAccount request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreationState {
    InProgress,
    /// The account with this id has been created.
    Succeeded(AwsAccountId),
    /// The request has failed. Contains AWS's failure reason, such as `EMAIL_ALREADY_EXISTS`.
    Failed(String),
}

/// Account in AWS's list of the organisation's accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAccount {
    pub id: AwsAccountId,
    /// E-mail address of the root user.
    pub email: String,
    pub name: String,
    /// State as reported by AWS, such as `ACTIVE` or `SUSPENDED`.
    pub state: String,
    /// Time at which the account joined the organisation; `None` if AWS does not report it.
    pub joined_at: Option<DateTime<Utc>>,
    /// Id of the OU or root that contains the account; `None` if AWS does not report it.
    pub parent: Option<String>,
}

/// OU of a residency and the state of its guardrail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidencyOu {
    pub ou_id: String,
    /// Whether the residency's guardrail is attached to the OU, with the content that the configuration requires.
    pub guarded: bool,
}

/// Opt-in status of a region in an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionStatus {
    Enabled,
    /// Opt-in has started; the region is not usable yet.
    Enabling,
    /// The region is usable only after an opt-in.
    Disabled,
    /// Opt-out has started.
    Disabling,
}
