//! What one person asks for and another approves; the decision and what follows from it are one transaction.

mod request;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::operations::requester;
use super::{PgPool, Result, attention, events, finish_transaction, offboarding};
use crate::approval::{Approval, ApprovalAction, ApprovalState};
use crate::event::{EventType, NewEvent};
use crate::operation::{OperationKind, Requester};
use crate::{ApprovalId, OperationId};

pub(super) use request::request_closing;
pub use request::{RequestResult, request, request_vending};

/// What became of a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum DecisionResult {
    /// It holds.
    Yes(Approval),
    /// Nothing waits for a decision.
    Nothing,
    /// What waits for a decision is something else.
    Other(Approval),
    /// Who asked cannot approve.
    SamePerson,
    /// There is no such operation.
    Unknown,
}

/// Approves or rejects what waits on an operation; `hash` names it.
pub async fn decide(
    pool: &PgPool,
    id: OperationId,
    hash: &str,
    approve: bool,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<DecisionResult> {
    let mut tx = pool.begin().await?;
    let answer = decide_in_tx(&mut tx, id, hash, approve, by, now).await;
    finish_transaction(tx, answer, |decision| matches!(decision, DecisionResult::Yes(_))).await
}

async fn decide_in_tx(
    tx: &mut PgConnection,
    id: OperationId,
    hash: &str,
    approve: bool,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<DecisionResult> {
    // The tenant before its operations, as everywhere: what is rejected may end one.
    if !offboarding::lock_tenant_of(tx, id).await? {
        return Ok(DecisionResult::Unknown);
    }
    match lock_operation(tx, id).await? {
        None => return Ok(DecisionResult::Unknown),
        Some(false) => return Ok(DecisionResult::Nothing),
        Some(true) => {}
    }
    let Some(pending) = pending(tx, id).await? else { return Ok(DecisionResult::Nothing) };
    if pending.request_hash != hash {
        return Ok(DecisionResult::Other(pending));
    }
    if approve && pending.requested_by == *by {
        return Ok(DecisionResult::SamePerson);
    }
    let state = if approve { ApprovalState::Approved } else { ApprovalState::Rejected };
    close(tx, pending.id, state, by, now).await?;
    let event_type = if approve { EventType::ApprovalGranted } else { EventType::ApprovalRejected };
    append_event(tx, event_type, &pending, by, now).await?;
    match (approve, pending.action) {
        (true, _) => apply_approved_values(tx, &pending, by, now).await?,
        // Nobody has asked AWS for anything yet, and nobody will.
        (false, ApprovalAction::Vend) => offboarding::cancel_if_open(tx, id, by, now).await?,
        // It goes on without.
        (false, ApprovalAction::Close) => retry_if_parked(tx, &pending, by, now).await?,
        (false, ApprovalAction::Adopt | ApprovalAction::Correct) => {}
    }
    Ok(DecisionResult::Yes(Approval { state, decided_by: Some(by.clone()), decided_at: Some(now), ..pending }))
}

/// What was approved becomes known to its step, which is tried again where it is parked.
async fn apply_approved_values(
    tx: &mut PgConnection,
    approval: &Approval,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::approvals::apply_approved_values */
        update operation_steps s set facts = s.facts || a.request
        from approvals a where a.id = $1 and s.operation_id = a.operation_id and s.name = a.step"#,
        approval.id.as_uuid(),
    )
    .execute(&mut *tx)
    .await?;
    retry_if_parked(tx, approval, by, now).await
}

/// Tries the step again that waits for this to be decided, where it is parked.
async fn retry_if_parked(tx: &mut PgConnection, approval: &Approval, by: &Requester, now: DateTime<Utc>) -> Result<()> {
    let parked = sqlx::query_scalar!(
        r#"/* db::approvals::retry_if_parked */
        select o.kind as "kind: OperationKind"
        from approvals a join operations o on o.id = a.operation_id
            join operation_steps s on s.operation_id = a.operation_id and s.name = a.step
        where a.id = $1 and s.state = 'parked'"#,
        approval.id.as_uuid(),
    );
    if let Some(kind) = parked.fetch_optional(&mut *tx).await? {
        attention::retry_in_tx(tx, approval.operation_id, kind, &by.subject, now).await?;
    }
    Ok(())
}

/// Whether `action` was approved; for the step that does it.
pub async fn is_granted(pool: &PgPool, id: OperationId, action: ApprovalAction) -> Result<bool> {
    let mut connection = pool.acquire().await?;
    granted(&mut connection, id, action).await
}

async fn granted(tx: &mut PgConnection, id: OperationId, action: ApprovalAction) -> Result<bool> {
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

/// What waits on an operation that has ended is of no use any more; within a transaction that holds the operation's row.
pub(super) async fn withdraw(tx: &mut PgConnection, id: OperationId, by: &Requester, now: DateTime<Utc>) -> Result<()> {
    let Some(pending) = pending(&mut *tx, id).await? else { return Ok(()) };
    close(&mut *tx, pending.id, ApprovalState::Rejected, by, now).await?;
    append_event(tx, EventType::ApprovalRejected, &pending, by, now).await
}

/// Tells the feed what has become of an approval, and through whom.
async fn append_event(
    tx: &mut PgConnection,
    event_type: EventType,
    approval: &Approval,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<()> {
    let data = json!({ "action": approval.action, "by": by.subject, "request_hash": approval.request_hash });
    events::append(tx, approval.operation_id, &[NewEvent { event_type, data }], now).await
}

/// Everything that was asked for on an operation, oldest first.
pub async fn list_for_operation(pool: &PgPool, id: OperationId) -> Result<Vec<Approval>> {
    let rows = sqlx::query_as!(
        Row,
        r#"/* db::approvals::list_for_operation */
        select id, operation_id, action as "action: ApprovalAction", request, request_hash, requested_by, requested_at,
            state as "state: ApprovalState", decided_by, decided_at
        from approvals where operation_id = $1 order by id"#,
        id.as_uuid(),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::approval).collect()
}

/// Locks the row of an operation, and answers whether it is still open; `None` where there is none.
async fn lock_operation(tx: &mut PgConnection, id: OperationId) -> Result<Option<bool>> {
    let open = sqlx::query_scalar!(
        r#"/* db::approvals::lock_operation */
        select finished_at is null as "open!" from operations where id = $1 for no key update"#,
        id.as_uuid(),
    );
    Ok(open.fetch_optional(tx).await?)
}

pub(super) async fn pending(tx: &mut PgConnection, id: OperationId) -> Result<Option<Approval>> {
    let row = sqlx::query_as!(
        Row,
        r#"/* db::approvals::pending */
        select id, operation_id, action as "action: ApprovalAction", request, request_hash, requested_by, requested_at,
            state as "state: ApprovalState", decided_by, decided_at
        from approvals where operation_id = $1 and state = 'pending'"#,
        id.as_uuid(),
    )
    .fetch_optional(tx)
    .await?;
    row.map(Row::approval).transpose()
}

async fn close(
    tx: &mut PgConnection,
    id: ApprovalId,
    state: ApprovalState,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "/* db::approvals::close */ update approvals set state = $2, decided_by = $3, decided_at = $4 where id = $1",
        id.as_uuid(),
        state.as_str(),
        json!(by),
        now,
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
}

impl Row {
    fn approval(self) -> Result<Approval> {
        Ok(Approval {
            id: self.id.into(),
            operation_id: self.operation_id.into(),
            action: self.action,
            request: self.request,
            request_hash: self.request_hash,
            requested_by: requester(self.requested_by)?,
            requested_at: self.requested_at,
            state: self.state,
            decided_by: self.decided_by.map(requester).transpose()?,
            decided_at: self.decided_at,
        })
    }
}
