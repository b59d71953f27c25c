//! Types of IAM Identity Center: assignments of permission sets, users and groups.

use freehold_tenancy::TenantId;
use serde::{Deserialize, Serialize};

/// Assignment of a permission set to a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    pub permission_set_arn: String,
    /// Id of the group in the Identity Store.
    pub group_id: String,
}

/// Request to create or delete an account assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Id of the request, which is a UUID.
    pub request_id: String,
    pub state: AssignmentState,
}

/// Status of a request to create or delete an account assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssignmentState {
    InProgress,
    Succeeded,
    /// The request has failed. Contains AWS's failure reason.
    Failed(String),
}

/// Administrator of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person<'a> {
    /// E-mail address, which is also the user name.
    pub email: &'a str,
    pub display_name: &'a str,
}

/// Membership of a user in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub id: String,
    pub user_id: String,
}

/// Group that Freehold has created for one tenant. Only [`crate::aws`] creates values, after it has verified the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnGroup {
    id: String,
    name: String,
}

impl OwnGroup {
    pub(crate) fn new(id: String, name: String) -> Self {
        Self { id, name }
    }

    /// Returns the display name of a tenant's group.
    pub fn name_of(tenant: TenantId) -> String {
        format!("freehold-{tenant}")
    }

    /// Returns the id of the group in the Identity Store.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

/// User of the Identity Store, with the properties that decide whether Freehold may delete the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Whether Freehold created the user.
    pub created_by_freehold: bool,
    /// Number of groups of the user. Only the first page of memberships is counted.
    pub groups: usize,
    /// Whether permission sets are assigned to the user directly, not through a group.
    pub has_assignments: bool,
    pub id: String,
}

/// User that Freehold has created and that has no use outside one group. Only such a user is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnUser(String);

impl User {
    /// Returns the user for its deletion, or `None` if Freehold did not create it or if it has another use.
    pub fn into_own(self) -> Option<OwnUser> {
        let is_own = self.created_by_freehold && self.groups <= 1 && !self.has_assignments;
        is_own.then_some(OwnUser(self.id))
    }
}

impl OwnUser {
    /// Returns the id of the user in the Identity Store.
    pub fn id(&self) -> &str {
        &self.0
    }
}
