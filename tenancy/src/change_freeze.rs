//! Change freeze: a time in which no update starts in any environment.

use chrono::{DateTime, Utc};

use crate::requester::Requester;

/// Change freeze that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeFreeze {
    pub reason: String,
    /// End of the freeze; `None` if it ends by hand.
    pub until: Option<DateTime<Utc>>,
    pub set_by: Requester,
    pub set_at: DateTime<Utc>,
}
