//! Types of the reconciler's paginated reads.

/// Page of a paginated list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Items of the page. A page can be empty although more pages follow.
    pub items: Vec<T>,
    /// Token of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// Id of one of Freehold's OUs, with the state of its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardedOu {
    pub ou_id: String,
    /// State of the guardrail policy of this OU.
    pub policy: PolicyAttachment,
}

/// State of a policy with regard to one OU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyAttachment {
    /// The policy is attached to the OU. Contains the content of the policy.
    Attached(String),
    /// The policy exists, but it is not attached to this OU.
    Detached,
    /// No policy with this name exists.
    Missing,
}

/// User or group to which a permission set is assigned in an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Principal {
    /// Type as reported by AWS: `GROUP` or `USER`.
    pub kind: String,
    /// Id of the user or group in the Identity Store.
    pub id: String,
}
