//! What a comparison of the cloud with the database reads: long lists, a page at a time.

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it; it may be empty although others follow.
    pub items: Vec<T>,
    /// Leads to the next page, if there is one.
    pub next: Option<String>,
}

/// One of Freehold's OUs, and the policy that it should carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardedOu {
    /// `ou-…`
    pub ou_id: String,
    /// How the policy of the name asked for stands to it.
    pub policy: PolicyAttachment,
}

/// How a policy stands to an OU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyAttachment {
    /// It is on the OU, with this text.
    Attached(String),
    /// It exists, but not on this OU.
    Detached,
    /// There is none of that name.
    Missing,
}

/// Somebody who holds a permission set in an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Principal {
    /// `GROUP` or `USER`.
    pub kind: String,
    /// The id in the Identity Store.
    pub id: String,
}
