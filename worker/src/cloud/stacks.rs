//! CloudFormation stacks in an account, and the roles that they are deployed and looked at with.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Tags;

/// Which role to act as in a tenant's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The role that Organizations made; installs the baseline and then rests.
    Organization,
    /// `freehold-access`: deploys.
    Access,
    /// `freehold-verify`: looks, and is held by the guardrail as a tenant would be.
    Verify,
}

/// A CloudFormation stack to be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewStack {
    /// The stack's name.
    pub name: String,
    /// The template's text.
    #[serde(skip)]
    pub template: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, String>,
    /// Its tags.
    pub tags: Tags,
    /// Names this attempt: 1 to 128 letters, digits and hyphens.
    pub token: String,
}

/// A CloudFormation stack as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackState {
    /// `arn:aws:cloudformation:…`
    pub id: String,
    /// Where it stands.
    pub status: StackStatus,
    /// CloudFormation's own word for it, such as `CREATE_IN_PROGRESS`.
    pub status_text: String,
    /// What the stack says of itself, where it says something.
    pub reason: Option<String>,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
    /// Its tags.
    pub tags: Tags,
    /// Its parameters.
    pub parameters: BTreeMap<String, String>,
    /// When it was last updated; `None` where it never was since it was created.
    pub updated_at: Option<DateTime<Utc>>,
}

/// What CloudFormation's twenty-odd states mean to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackStatus {
    /// Look again later.
    InProgress,
    /// Deployed.
    Complete,
    /// The creation failed, whether or not all that it made is gone: delete the rest, then create anew.
    RolledBack,
    /// An update failed, and so did taking it back.
    UpdateStuck,
    /// Something in it could not be deleted.
    DeleteStuck,
    /// On its way out.
    Deleting,
    /// Gone.
    Deleted,
    /// Stands still in a state that only a person can judge.
    Broken,
}

/// The first thing that went wrong in a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackFailure {
    /// The resource's name in the template.
    pub resource: String,
    /// CloudFormation's reason.
    pub reason: String,
}
