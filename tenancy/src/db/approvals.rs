//! Stores approvals: requests of one person that a second person approves or rejects.

mod read;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{PgPool, Result, events, parse_json};
use crate::approval::{Approval, ApprovalAction, ApprovalState, approval_hash};
use crate::event::{EventType, NewEvent};
use crate::operation::Requester;
use crate::{ApprovalId, OperationId};

pub use read::{ApprovalFilter, get, list};

/// Returns whether `action` was approved for the operation.
pub async fn is_granted(pool: &PgPool, id: OperationId, action: ApprovalAction) -> Result<bool> {
    let mut connection = pool.acquire().await?;
    granted(&mut connection, id, action).await
}

pub(super) async fn granted(tx: &mut PgConnection, id: OperationId, action: ApprovalAction) -> Result<bool> {
    let granted = sqlx::query_scalar!(
        r#"/* db::approvals::granted */
        select exists (
            select from approvals where operation_id = $1 and action = $2 and state = 'approved'
        ) as "granted!""#,
        id.as_uuid(),
        action.as_str(),
    );
    Ok(granted.fetch_one(tx).await?)
}

/// Ends the pending approval request of a finished operation as expired. The caller must have locked the operation.
pub(super) async fn withdraw(tx: &mut PgConnection, id: OperationId, by: &Requester, now: DateTime<Utc>) -> Result<()> {
    let Some(pending) = pending(&mut *tx, id).await? else { return Ok(()) };
    close(&mut *tx, pending.id, ApprovalState::Expired, None, by, now).await?;
    append_event(tx, EventType::ApprovalRejected, &pending, by, now).await
}

pub(super) async fn append_event(
    tx: &mut PgConnection,
    event_type: EventType,
    approval: &Approval,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<()> {
    let data = json!({ "action": approval.action, "by": by.subject, "request_hash": approval.request_hash });
    events::append(tx, approval.operation_id, &[NewEvent { event_type, data }], now).await
}

/// Returns all approvals of an operation, oldest first.
pub async fn list_for_operation(pool: &PgPool, id: OperationId) -> Result<Vec<Approval>> {
    let rows = sqlx::query_as!(
        Row,
        r#"/* db::approvals::list_for_operation */
        select id, operation_id as "operation_id!", action as "action: ApprovalAction", request, request_hash,
            requested_by, requested_at,
            case when expired then 'expired' else state end as "state!: ApprovalState", decided_by, decided_at, reason
        from approvals where operation_id = $1 order by id"#,
        id.as_uuid(),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::approval).collect()
}

pub(super) async fn pending(tx: &mut PgConnection, id: OperationId) -> Result<Option<Approval>> {
    let row = sqlx::query_as!(
        Row,
        r#"/* db::approvals::pending */
        select id, operation_id as "operation_id!", action as "action: ApprovalAction", request, request_hash,
            requested_by, requested_at,
            case when expired then 'expired' else state end as "state!: ApprovalState", decided_by, decided_at, reason
        from approvals where operation_id = $1 and state = 'pending'"#,
        id.as_uuid(),
    )
    .fetch_optional(tx)
    .await?;
    row.map(Row::approval).transpose()
}

pub(super) async fn insert(
    tx: &mut PgConnection,
    id: OperationId,
    action: ApprovalAction,
    step: &str,
    request: &Value,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<Approval> {
    let approval_id = ApprovalId::new(now);
    let approval = Approval {
        id: approval_id,
        operation_id: id,
        action,
        request: request.clone(),
        request_hash: approval_hash(approval_id, id, action, request),
        requested_by: by.clone(),
        requested_at: now,
        state: ApprovalState::Pending,
        decided_by: None,
        decided_at: None,
        reason: None,
    };
    sqlx::query!(
        r#"/* db::approvals::insert */
        insert into approvals
            (id, operation_id, action, step, request, request_hash, requested_by, requested_at, state)
        values ($1, $2, $3, $4, $5, $6, $7, $8, 'pending')"#,
        approval.id.as_uuid(),
        id.as_uuid(),
        action.as_str(),
        step,
        request,
        approval.request_hash,
        json!(by),
        now,
    )
    .execute(&mut *tx)
    .await?;
    append_event(tx, EventType::ApprovalRequested, &approval, by, now).await?;
    Ok(approval)
}

/// Ends a pending request with the state of its decision.
pub(super) async fn close(
    tx: &mut PgConnection,
    id: ApprovalId,
    state: ApprovalState,
    reason: Option<&str>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<()> {
    let is_expired = state == ApprovalState::Expired;
    let stored = if is_expired { ApprovalState::Rejected } else { state };
    sqlx::query!(
        r#"/* db::approvals::close */
        update approvals set state = $2, decided_by = $3, decided_at = $4, reason = $5, expired = $6 where id = $1"#,
        id.as_uuid(),
        stored.as_str(),
        json!(by),
        now,
        reason,
        is_expired,
    )
    .execute(tx)
    .await?;
    Ok(())
}

struct Row {
    id: Uuid,
    operation_id: Uuid,
    action: ApprovalAction,
    request: Value,
    request_hash: String,
    requested_by: Value,
    requested_at: DateTime<Utc>,
    state: ApprovalState,
    decided_by: Option<Value>,
    decided_at: Option<DateTime<Utc>>,
    reason: Option<String>,
}

impl Row {
    fn approval(self) -> Result<Approval> {
        Ok(Approval {
            id: self.id.into(),
            operation_id: self.operation_id.into(),
            action: self.action,
            request: self.request,
            request_hash: self.request_hash,
            requested_by: parse_json(self.requested_by, "a requester")?,
            requested_at: self.requested_at,
            state: self.state,
            decided_by: self.decided_by.map(|by| parse_json(by, "a requester")).transpose()?,
            decided_at: self.decided_at,
            reason: self.reason,
        })
    }
}
