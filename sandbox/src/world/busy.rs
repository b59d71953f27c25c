//! Log of the background work of the simulated AWS. With this log, a benchmark can distinguish the time spent waiting
//! for AWS from the time spent waiting for Freehold.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Maximum number of spans in the log. The oldest spans are dropped first.
const MAX_BUSY_SPANS: usize = 100_000;

/// A time span during which the simulated AWS performed background work for one account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackgroundWorkSpan {
    /// Account id; `None` while the account is being created and has no id.
    pub account_id: Option<String>,
    /// E-mail address of the account; set only for work before the account is ready.
    pub email: Option<String>,
    /// Kind of work: `create-account`, `settle`, `subscribe`, `opt-in`, `stack`, `assignment`, …
    pub activity: String,
    /// Time of the request that started the work.
    pub from: DateTime<Utc>,
    /// Time at which the work completes; may be in the future.
    pub until: DateTime<Utc>,
}

impl BackgroundWorkSpan {
    /// Creates the record of a period in which an existing account is busy with `activity`.
    pub fn account(account_id: &str, activity: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { account_id: Some(account_id.to_owned()), email: None, activity: activity.to_owned(), from, until }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BackgroundWorkLog(VecDeque<BackgroundWorkSpan>);

impl BackgroundWorkLog {
    pub(super) fn push(&mut self, busy: BackgroundWorkSpan) {
        if self.0.len() == MAX_BUSY_SPANS {
            self.0.pop_front();
        }
        self.0.push_back(busy);
    }

    /// Iterates over the spans in the log, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &BackgroundWorkSpan> {
        self.0.iter()
    }
}
