//! Log of API calls with operation, caller and result.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Maximum number of individual calls in the log. The oldest calls are dropped first, but the counts still include
/// them.
const MAX_RECENT_CALLS: usize = 20_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    pub at: DateTime<Utc>,
    /// Name of the operation, such as `organizations:CreateAccount` or `ssoadmin:ListInstances`.
    pub operation: String,
    /// Id of the calling account; empty if the call could not be authenticated.
    pub account: String,
    /// ARN of the calling principal; empty if the call could not be authenticated.
    pub caller: String,
    /// Region of the called endpoint.
    pub region: String,
    /// Error code; `None` if the call succeeded.
    pub error: Option<String>,
}

impl CallRecord {
    /// Returns whether the call was rejected by a rate limit.
    pub fn is_throttled(&self) -> bool {
        self.error.as_deref().is_some_and(|code| {
            matches!(code, "Throttling" | "ThrottlingException" | "TooManyRequestsException" | "RequestLimitExceeded")
        })
    }
}

/// Number of all calls of an operation, and how many of them were throttled or failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCount {
    pub calls: u64,
    /// Number of calls that a rate limit rejected.
    pub throttled: u64,
    /// Number of failed calls, including throttled calls.
    pub errors: u64,
}

/// Counts of all API calls, and details of the latest calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CallLog {
    /// Counts by operation, then by calling account.
    counts: BTreeMap<String, BTreeMap<String, CallCount>>,
    recent: VecDeque<CallRecord>,
}

impl CallLog {
    pub(super) fn push(&mut self, call: CallRecord) {
        let count = self.counts.entry(call.operation.clone()).or_default().entry(call.account.clone()).or_default();
        count.calls += 1;
        count.throttled += u64::from(call.is_throttled());
        count.errors += u64::from(call.error.is_some());
        if self.recent.len() == MAX_RECENT_CALLS {
            self.recent.pop_front();
        }
        self.recent.push_back(call);
    }

    /// Returns the counts by operation (`service:Operation`), then by calling account.
    pub fn by_operation_and_account(&self) -> &BTreeMap<String, BTreeMap<String, CallCount>> {
        &self.counts
    }

    /// Returns the counts by operation, summed over all accounts.
    pub fn by_operation(&self) -> BTreeMap<String, CallCount> {
        self.counts.iter().map(|(operation, accounts)| (operation.clone(), sum(accounts.values()))).collect()
    }

    /// Returns the counts of one operation, summed over all accounts.
    pub fn of(&self, operation: &str) -> CallCount {
        self.counts.get(operation).map(|accounts| sum(accounts.values())).unwrap_or_default()
    }

    /// Returns the number of throttled calls of all operations.
    pub fn throttled(&self) -> u64 {
        self.by_operation().values().map(|count| count.throttled).sum()
    }

    /// Iterates over the latest calls, oldest first.
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
