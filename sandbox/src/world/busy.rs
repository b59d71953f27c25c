//! A log of the time that the simulated AWS spent on background work, so that a benchmark can separate waiting for AWS
//! from waiting for Freehold.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Maximum number of spans kept; the oldest are dropped first.
const MAX_SPANS: usize = 100_000;

/// A span of time in which the simulated AWS worked for an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BusySpan {
    /// `None` while the account is being created and has no id.
    pub account_id: Option<String>,
    /// E-mail of the account, set only while the account is created and becomes ready.
    pub email: Option<String>,
    /// Kind of work: `create-account`, `settle`, `subscribe`, `opt-in`, `stack`, `assignment`, …
    pub activity: String,
    /// Time of the request that started the work.
    pub from: DateTime<Utc>,
    /// End of the work; may be in the future.
    pub until: DateTime<Utc>,
}

impl BusySpan {
    /// Creates a span of work for an existing account.
    pub fn account(account_id: &str, activity: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { account_id: Some(account_id.to_owned()), email: None, activity: activity.to_owned(), from, until }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BusyLog(VecDeque<BusySpan>);

impl BusyLog {
    pub(super) fn push(&mut self, busy: BusySpan) {
        if self.0.len() == MAX_SPANS {
            self.0.pop_front();
        }
        self.0.push_back(busy);
    }

    /// Iterates over the kept spans, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &BusySpan> {
        self.0.iter()
    }
}
