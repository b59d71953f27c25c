//! Reads the journal entries of operations.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::db::{PgPool, Result, parse_json};
use crate::step::{Facts, JournalEntry, StepName, StepState};
use crate::{EnvironmentId, OperationId};

/// Returns the journal of an operation, with the steps in the order of the workflow.
pub async fn journal(pool: &PgPool, id: OperationId) -> Result<Vec<JournalEntry>> {
    let rows = sqlx::query_as!(
        Row,
        r#"/* db::steps::journal */
        select name, after, state as "state: StepState", intent, intent_at, facts, attempts, attempts_without_progress,
            waits_for, check_at, skip_reason, attention, blocked_since, last_error, last_error_aws_request_id,
            started_at, retried_at, finished_at
        from operation_steps where operation_id = $1 order by position"#,
        id.as_uuid(),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::entry).collect()
}

/// Returns the journal entries of all other operations of the environment, latest operation first.
pub async fn history(pool: &PgPool, environment: EnvironmentId, id: OperationId) -> Result<Vec<JournalEntry>> {
    let rows = sqlx::query_as!(
        Row,
        r#"/* db::steps::history */
        select s.name, s.after, s.state as "state: StepState", s.intent, s.intent_at, s.facts, s.attempts,
            s.attempts_without_progress, s.waits_for, s.check_at, s.skip_reason, s.attention, s.blocked_since,
            s.last_error, s.last_error_aws_request_id, s.started_at, s.retried_at, s.finished_at
        from operation_steps s join operations o on o.id = s.operation_id
        where o.environment_id = $1 and o.id <> $2 order by o.created_at desc, o.id desc, s.position"#,
        environment.as_uuid(),
        id.as_uuid(),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::entry).collect()
}

/// Returns the durations in seconds that at most `limit` runs of a step have stored in the fact `fact`, latest run
/// first.
pub async fn recent_durations(pool: &PgPool, step: StepName, fact: &str, limit: i64) -> Result<Vec<f64>> {
    let rows = sqlx::query_scalar!(
        r#"/* db::steps::recent_durations */
        select (facts ->> $2)::float8 as "seconds!" from operation_steps
        where name = $1 and state = 'done' and facts ? $2 order by finished_at desc limit $3"#,
        step.as_str(),
        fact,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

struct Row {
    name: String,
    after: Vec<String>,
    state: StepState,
    intent: Option<Value>,
    intent_at: Option<DateTime<Utc>>,
    facts: Value,
    attempts: i32,
    attempts_without_progress: i32,
    waits_for: Option<String>,
    check_at: Option<DateTime<Utc>>,
    skip_reason: Option<String>,
    attention: Option<Value>,
    blocked_since: Option<DateTime<Utc>>,
    last_error: Option<String>,
    last_error_aws_request_id: Option<String>,
    started_at: Option<DateTime<Utc>>,
    retried_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl Row {
    fn entry(self) -> Result<JournalEntry> {
        Ok(JournalEntry {
            name: self.name,
            after: self.after,
            state: if self.skip_reason.is_some() { StepState::Skipped } else { self.state },
            intent: self.intent,
            intent_at: self.intent_at,
            facts: object(self.facts),
            attempts: self.attempts.unsigned_abs(),
            attempts_without_progress: self.attempts_without_progress.unsigned_abs(),
            waits_for: self.waits_for,
            check_at: self.check_at,
            skip_reason: self.skip_reason,
            attention: self.attention.map(|value| parse_json(value, "an attention")).transpose()?,
            blocked_since: self.blocked_since,
            last_error: self.last_error,
            last_error_aws_request_id: self.last_error_aws_request_id,
            started_at: self.started_at,
            retried_at: self.retried_at,
            finished_at: self.finished_at,
        })
    }
}

pub(in crate::db) fn object(value: Value) -> Facts {
    match value {
        Value::Object(facts) => facts,
        _ => Facts::new(),
    }
}
