//! Pin: keeps an environment on its release until a date.

use chrono::{DateTime, Utc};

use crate::requester::Requester;

/// Pin of an environment to its release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentPin {
    pub reason: String,
    /// End of the pin; `None` if it has no end.
    pub until: Option<DateTime<Utc>>,
    pub pinned_by: Requester,
    pub pinned_at: DateTime<Utc>,
}
