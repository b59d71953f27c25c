//! IAM Identity Center: assignments of permission sets, users and groups.

use serde::{Deserialize, Serialize};

/// The assignment of a permission set to a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    pub permission_set_arn: String,
    /// Id of the group in the Identity Store.
    pub group_id: String,
}

/// A request to create or delete an account assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Id of the request; a UUID.
    pub request_id: String,
    pub state: AssignmentState,
}

/// The status of a request to create or delete an account assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssignmentState {
    InProgress,
    Succeeded,
    /// The failure reason that AWS gives.
    Failed(String),
}

/// The administrator of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person<'a> {
    /// E-mail address, which is also the user name.
    pub email: &'a str,
    pub display_name: &'a str,
}

/// The membership of a user in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub id: String,
    pub user_id: String,
}

/// A user of the Identity Store, with the facts that decide whether it may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Whether Freehold created the user.
    pub made_here: bool,
    /// Number of groups of the user; exact up to one page.
    pub groups: usize,
    /// Whether permission sets are assigned to the user directly, besides those of its groups.
    pub has_assignments: bool,
}
