//! CloudFormation stacks, and the roles in a tenant's account.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Tags;

/// A role in a tenant's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The role that Organizations creates. It installs the baseline and is not used afterwards.
    Organization,
    /// `freehold-access`, which deploys stacks.
    Access,
    /// `freehold-verify`, which only reads. The guardrail restricts it like the tenant.
    Verify,
}

/// A CloudFormation stack to be created or updated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewStack {
    pub name: String,
    #[serde(skip)]
    pub template: String,
    pub parameters: BTreeMap<String, String>,
    pub tags: Tags,
    /// Client request token of this attempt: 1 to 128 letters, digits and hyphens.
    pub token: String,
}

/// The current state of a CloudFormation stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackState {
    pub id: String,
    pub status: StackStatus,
    /// Status in CloudFormation's terms, such as `CREATE_IN_PROGRESS`.
    pub status_text: String,
    /// Status reason of CloudFormation, if there is one.
    pub reason: Option<String>,
    pub outputs: BTreeMap<String, String>,
    pub tags: Tags,
    pub parameters: BTreeMap<String, String>,
    /// Time of the last update; `None` if the stack has not been updated since its creation.
    pub updated_at: Option<DateTime<Utc>>,
}

/// The statuses of CloudFormation, grouped by how a step continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackStatus {
    InProgress,
    Complete,
    /// The creation failed. Delete the rest of the stack, then create it again.
    RolledBack,
    /// An update and its rollback failed.
    UpdateStuck,
    /// The deletion failed because of at least one resource.
    DeleteStuck,
    Deleting,
    Deleted,
    /// A final state that needs a person.
    Broken,
}

/// The first failure in a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackFailure {
    /// Logical id of the resource in the template.
    pub resource: String,
    pub reason: String,
}
