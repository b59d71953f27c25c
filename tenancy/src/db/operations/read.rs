//! Reads operations and their properties from the database.

use crate::attention::{Attention, Remedy};
use crate::db::{PgPool, Result, parse_json, parse_text, steps};
use crate::operation::{Operation, OperationKind, OperationState};
use crate::{EnvironmentId, OperationId, TenantId};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

/// Filter for operations; a field that is `None` matches all operations.
#[derive(Debug, Clone, Default)]
pub struct OperationFilter {
    pub state: Option<OperationState>,
    /// Attention code of the operation.
    pub code: Option<String>,
    pub tenant: Option<TenantId>,
}

/// Returns the tenant of an operation, or `None` if the operation does not exist.
pub async fn tenant_of(pool: &PgPool, id: OperationId) -> Result<Option<TenantId>> {
    let tenant = sqlx::query_scalar!(
        "/* db::operations::tenant_of */ select tenant_id from operations where id = $1",
        id.as_uuid(),
    );
    Ok(tenant.fetch_optional(pool).await?.map(TenantId::from))
}

/// Returns at most `limit` operations that are older than the operation `before`, newest first, without their steps.
pub async fn list(
    pool: &PgPool,
    filter: &OperationFilter,
    before: Option<OperationId>,
    limit: i64,
) -> Result<Vec<Operation>> {
    let rows = sqlx::query_as!(
        Row,
        r#"/* db::operations::list */
        select o.id, o.tenant_id, o.environment_id, e.name as environment_name, o.kind as "kind: OperationKind",
            o.input, o.requested_by, o.state as "state: OperationState", o.attention_code, o.attention_message,
            o.attention_remedies, o.attention_aws_request_id, o.wake_at, o.created_at, o.started_at, o.finished_at,
            o.updated_at, case when o.state = 'failed' then (
                select s.attention from operation_steps s where s.operation_id = o.id and s.state = 'failed'
                order by s.position limit 1
            ) end as failure
        from operations o join environments e on e.id = o.environment_id
        where ($1::uuid is null or o.id < $1)
          and ($2::text is null or o.state = $2)
          and ($3::text is null or o.attention_code = $3)
          and ($4::uuid is null or o.tenant_id = $4)
        order by o.id desc limit $5"#,
        before.map(OperationId::as_uuid),
        filter.state.map(OperationState::as_str),
        filter.code,
        filter.tenant.map(TenantId::as_uuid),
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| row.operation(Vec::new())).collect()
}

/// Returns an operation with its steps.
pub async fn get(pool: &PgPool, id: OperationId) -> Result<Option<Operation>> {
    let row = sqlx::query_as!(
        Row,
        r#"/* db::operations::get */
        select o.id, o.tenant_id, o.environment_id, e.name as environment_name, o.kind as "kind: OperationKind",
            o.input, o.requested_by, o.state as "state: OperationState", o.attention_code, o.attention_message,
            o.attention_remedies, o.attention_aws_request_id, o.wake_at, o.created_at, o.started_at, o.finished_at,
            o.updated_at, case when o.state = 'failed' then (
                select s.attention from operation_steps s where s.operation_id = o.id and s.state = 'failed'
                order by s.position limit 1
            ) end as failure
        from operations o join environments e on e.id = o.environment_id
        where o.id = $1"#,
        id.as_uuid(),
    )
    .fetch_optional(pool)
    .await?;
    match row {
        Some(row) => Ok(Some(row.operation(steps::journal(pool, id).await?)?)),
        None => Ok(None),
    }
}

/// Properties of an operation that a worker needs to run it.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationProperties {
    pub tenant_id: TenantId,
    pub environment_id: EnvironmentId,
    pub kind: OperationKind,
    /// Parameters of the request that created the operation, as a JSON object.
    pub input: Value,
    pub created_at: DateTime<Utc>,
    /// Whether a second person must approve the account; `None` if the previous version accepted the operation.
    pub approval_required: Option<bool>,
    /// Trace context of the request; `None` if the request was not traced.
    pub traceparent: Option<String>,
}

/// Returns the properties of an operation that a worker needs to run it.
pub async fn subject(pool: &PgPool, id: OperationId) -> Result<Option<OperationProperties>> {
    let row = sqlx::query!(
        r#"/* db::operations::subject */
        select tenant_id, environment_id, kind as "kind: OperationKind", input, created_at, approval_required,
            traceparent
        from operations where id = $1"#,
        id.as_uuid(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| OperationProperties {
        tenant_id: row.tenant_id.into(),
        environment_id: row.environment_id.into(),
        kind: row.kind,
        input: row.input,
        created_at: row.created_at,
        approval_required: row.approval_required,
        traceparent: row.traceparent,
    }))
}

/// Returns the number of operations per state.
pub async fn counts(pool: &PgPool) -> Result<Vec<(OperationState, i64)>> {
    let rows = sqlx::query!(
        r#"/* db::operations::counts */
        select state as "state: OperationState", count(*) as "count!" from operations group by state order by state"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.state, row.count)).collect())
}

struct Row {
    id: Uuid,
    tenant_id: Uuid,
    environment_id: Uuid,
    environment_name: String,
    kind: OperationKind,
    input: Value,
    requested_by: Value,
    state: OperationState,
    attention_code: Option<String>,
    attention_message: Option<String>,
    attention_remedies: Option<Vec<String>>,
    attention_aws_request_id: Option<String>,
    wake_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    failure: Option<Value>,
}

impl Row {
    fn operation(self, steps: Vec<crate::step::JournalEntry>) -> Result<Operation> {
        let attention = match (self.attention_code, self.attention_message) {
            (Some(code), Some(message)) => {
                let remedies = self.attention_remedies.unwrap_or_default();
                let remedies = remedies.into_iter().map(parse_text::<Remedy>).collect::<Result<_>>()?;
                Some(Attention { code, message, remedies, aws_request_id: self.attention_aws_request_id })
            }
            _ => None,
        };
        Ok(Operation {
            id: self.id.into(),
            tenant_id: self.tenant_id.into(),
            environment_id: self.environment_id.into(),
            environment_name: parse_text(self.environment_name)?,
            kind: self.kind,
            input: self.input,
            requested_by: parse_json(self.requested_by, "a requester")?,
            state: self.state,
            attention,
            failure: self.failure.map(|value| parse_json(value, "a failure")).transpose()?,
            wake_at: self.wake_at,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            updated_at: self.updated_at,
            steps,
        })
    }
}
