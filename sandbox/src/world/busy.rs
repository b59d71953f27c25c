//! When the world was working on something, so that a benchmark can tell its own waiting from AWS's.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How many spans are remembered; older ones are forgotten first.
const REMEMBERED: usize = 100_000;

/// A span of time in which the world worked for an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BusySpan {
    /// The account, once it has an id.
    pub account_id: Option<String>,
    /// The account's e-mail, where it is known.
    pub email: Option<String>,
    /// What was being done: `create-account`, `settle`, `subscribe`, `opt-in`, `stack`, `assignment`, …
    pub activity: String,
    /// When the work was asked for.
    pub from: DateTime<Utc>,
    /// When it was done; may lie ahead.
    pub until: DateTime<Utc>,
}

impl BusySpan {
    /// Work for an account that exists.
    pub fn account(account_id: &str, activity: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { account_id: Some(account_id.to_owned()), email: None, activity: activity.to_owned(), from, until }
    }
}

/// The latest spans.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BusyLog(VecDeque<BusySpan>);

impl BusyLog {
    pub(super) fn push(&mut self, busy: BusySpan) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(busy);
    }

    /// Every remembered span, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &BusySpan> {
        self.0.iter()
    }
}
