//! Types of CloudFormation stacks, and the roles in a tenant's account.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_tenancy::config::{Capability, TemplateUrl};
use serde::{Deserialize, Serialize};

use super::Tags;

/// Role in a tenant's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Role that AWS Organizations creates in a new account. Freehold uses it to deploy and delete the baseline stack.
    Organization,
    /// `freehold-access`, which deploys stacks.
    Access,
    /// `freehold-verify`, which has only read permissions. The guardrail applies to this role in the same way as to the
    /// tenant.
    Verify,
}

/// CloudFormation stack to be created or updated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewStack {
    pub name: String,
    #[serde(skip)]
    pub template: String,
    /// Copy of the template in S3, which AWS reads in place of `template`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_url: Option<TemplateUrl>,
    /// Capabilities to acknowledge.
    #[serde(skip)]
    pub capabilities: Vec<Capability>,
    pub parameters: BTreeMap<String, String>,
    pub tags: Tags,
    /// Client request token, which makes a repeated call idempotent: 1 to 128 letters, digits and hyphens.
    pub token: String,
}

/// Current state of a CloudFormation stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackState {
    pub id: String,
    pub status: StackStatus,
    /// Status as reported by CloudFormation, such as `CREATE_IN_PROGRESS`.
    pub status_text: String,
    /// Status reason of CloudFormation, if there is one.
    pub reason: Option<String>,
    pub outputs: BTreeMap<String, String>,
    pub tags: Tags,
    pub parameters: BTreeMap<String, String>,
    /// Time of the last update; `None` if the stack has not been updated since its creation.
    pub updated_at: Option<DateTime<Utc>>,
}

/// Status of a stack. Each value combines the CloudFormation statuses that a step handles in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackStatus {
    InProgress,
    Complete,
    /// An update failed, and the previous version is in place again. The stack can be updated.
    UpdateRolledBack,
    /// The creation failed. The stack must be deleted before it can be created again.
    RolledBack,
    /// An update and its rollback failed.
    UpdateStuck,
    /// The deletion failed because at least one resource could not be deleted.
    DeleteStuck,
    Deleting,
    Deleted,
    /// The stack is in a final status that a person must resolve.
    Broken,
}

/// First resource of a stack that failed, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackFailure {
    /// Logical id of the resource in the template.
    pub resource: String,
    pub reason: String,
}
