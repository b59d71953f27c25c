//! Types of the reconciler's paginated reads.

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Items of the page. It may be empty although more pages follow.
    pub items: Vec<T>,
    /// Token of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// An OU of Freehold and the state of its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardedOu {
    pub ou_id: String,
    /// State of the requested policy on this OU.
    pub policy: PolicyAttachment,
}

/// The relation of a policy to an OU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyAttachment {
    /// Attached to the OU, with this content.
    Attached(String),
    /// Exists, but is not attached to this OU.
    Detached,
    /// No policy of this name exists.
    Missing,
}

/// A user or group with a permission set in an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Principal {
    /// Type in AWS's terms: `GROUP` or `USER`.
    pub kind: String,
    /// Id in the Identity Store.
    pub id: String,
}
