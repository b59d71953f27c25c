//! A step as the database has it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::db::{Result, attention};
use crate::step::{Facts, JournalEntry, StepState};

pub(super) struct Row {
    pub(super) name: String,
    pub(super) after: Vec<String>,
    pub(super) state: StepState,
    pub(super) intent: Option<Value>,
    pub(super) intent_at: Option<DateTime<Utc>>,
    pub(super) facts: Value,
    pub(super) attempts: i32,
    pub(super) attempts_without_progress: i32,
    pub(super) waits_for: Option<String>,
    pub(super) check_at: Option<DateTime<Utc>>,
    pub(super) attention: Option<Value>,
    pub(super) blocked_since: Option<DateTime<Utc>>,
    pub(super) last_error: Option<String>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) retried_at: Option<DateTime<Utc>>,
    pub(super) finished_at: Option<DateTime<Utc>>,
}

impl Row {
    pub(super) fn entry(self) -> Result<JournalEntry> {
        Ok(JournalEntry {
            name: self.name,
            after: self.after,
            state: self.state,
            intent: self.intent,
            intent_at: self.intent_at,
            facts: object(self.facts),
            attempts: self.attempts.unsigned_abs(),
            attempts_without_progress: self.attempts_without_progress.unsigned_abs(),
            waits_for: self.waits_for,
            check_at: self.check_at,
            attention: self.attention.map(attention::read).transpose()?,
            blocked_since: self.blocked_since,
            last_error: self.last_error,
            started_at: self.started_at,
            retried_at: self.retried_at,
            finished_at: self.finished_at,
        })
    }
}

pub(super) fn object(value: Value) -> Facts {
    match value {
        Value::Object(facts) => facts,
        _ => Facts::new(),
    }
}
