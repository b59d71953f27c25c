//! IAM Identity Center: who may do what in an account, and the people and groups behind it.

use serde::{Deserialize, Serialize};

/// Who gets which permission set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    /// The ARN of the permission set.
    pub permission_set_arn: String,
    /// The id of the group in the Identity Store.
    pub group_id: String,
}

/// How far an account assignment has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The id of the request; a UUID.
    pub request_id: String,
    /// Where it stands.
    pub state: AssignmentState,
}

/// The state of an account assignment's creation or deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssignmentState {
    /// Look again later.
    InProgress,
    /// Done.
    Succeeded,
    /// AWS's reason, in its own words.
    Failed(String),
}

/// The person that administers a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person<'a> {
    /// The user name, and where mail goes.
    pub email: &'a str,
    /// Shown beside it.
    pub display_name: &'a str,
}

/// A user's place in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Its own id.
    pub id: String,
    /// The user's id.
    pub user_id: String,
}

/// What a user of the Identity Store is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Whether Freehold made it.
    pub made_here: bool,
    /// In how many groups it is.
    pub groups: usize,
    /// Whether permission sets are assigned to it beside those of its groups.
    pub has_assignments: bool,
}
