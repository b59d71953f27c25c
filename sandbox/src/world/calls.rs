//! What has been called, by whom, and how it ended.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How many single calls are remembered; the counts go on for ever.
const REMEMBERED: usize = 20_000;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// When.
    pub at: DateTime<Utc>,
    /// `service:Operation`, as in `organizations:CreateAccount` or `ssoadmin:ListInstances`.
    pub operation: String,
    /// The account that called; empty when nobody can tell.
    pub account: String,
    /// The principal that called.
    pub caller: String,
    /// The region that was asked.
    pub region: String,
    /// The error code; none if it went well.
    pub error: Option<String>,
}

impl CallRecord {
    /// Whether it was refused because there were too many.
    pub fn throttled(&self) -> bool {
        self.error.as_deref().is_some_and(|code| {
            matches!(code, "Throttling" | "ThrottlingException" | "TooManyRequestsException" | "RequestLimitExceeded")
        })
    }
}

/// How often an operation was called from one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCount {
    /// All calls.
    pub calls: u64,
    /// Those that were throttled.
    pub throttled: u64,
    /// Those that ended in an error, throttled ones included.
    pub errors: u64,
}

/// The log of calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CallLog {
    /// By operation, then by calling account.
    counts: BTreeMap<String, BTreeMap<String, CallCount>>,
    recent: VecDeque<CallRecord>,
}

impl CallLog {
    pub(super) fn push(&mut self, call: CallRecord) {
        let count = self.counts.entry(call.operation.clone()).or_default().entry(call.account.clone()).or_default();
        count.calls += 1;
        count.throttled += u64::from(call.throttled());
        count.errors += u64::from(call.error.is_some());
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(call);
    }

    /// The counts of every operation (`service:Operation`), then calling account.
    pub fn by_operation_and_account(&self) -> &BTreeMap<String, BTreeMap<String, CallCount>> {
        &self.counts
    }

    /// The counts of every operation, from whichever account.
    pub fn by_operation(&self) -> BTreeMap<String, CallCount> {
        self.counts.iter().map(|(operation, accounts)| (operation.clone(), sum(accounts.values()))).collect()
    }

    /// The counts of one operation, from whichever account.
    pub fn of(&self, operation: &str) -> CallCount {
        self.counts.get(operation).map(|accounts| sum(accounts.values())).unwrap_or_default()
    }

    /// How many calls were throttled in all.
    pub fn throttled(&self) -> u64 {
        self.by_operation().values().map(|count| count.throttled).sum()
    }

    /// The latest calls, oldest first.
    pub fn recent(&self) -> impl Iterator<Item = &CallRecord> {
        self.recent.iter()
    }
}

fn sum<'a>(counts: impl Iterator<Item = &'a CallCount>) -> CallCount {
    counts.fold(CallCount::default(), |total, count| CallCount {
        calls: total.calls + count.calls,
        throttled: total.throttled + count.throttled,
        errors: total.errors + count.errors,
    })
}
