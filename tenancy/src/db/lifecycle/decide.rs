//! Approves or rejects the pending request of an operation, and applies the decision in the same transaction.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::cancel::cancel_if_open;
use super::queries::{lock_operation, lock_tenant_of};
use super::retry::retry_in_tx;
use crate::OperationId;
use crate::approval::{Approval, ApprovalAction, ApprovalState};
use crate::db::approvals::{append_event, close, pending};
use crate::db::{PgPool, Result, finish_transaction};
use crate::event::EventType;
use crate::operation::{OperationKind, Requester};

/// Result of [`decide`].
#[derive(Debug, Clone, PartialEq)]
pub enum DecisionResult {
    /// The decision was recorded.
    Recorded(Approval),
    /// The operation has no pending request.
    NonePending,
    /// The pending request has a different hash.
    HashMismatch(Approval),
    /// Requester and approver are the same person.
    SamePerson,
    NotFound,
}

/// Approves or rejects the pending request with this `hash`, with the reason of the person.
pub async fn decide(
    pool: &PgPool,
    id: OperationId,
    hash: &str,
    approve: bool,
    reason: Option<&str>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<DecisionResult> {
    let mut tx = pool.begin().await?;
    let answer = decide_in_tx(&mut tx, id, hash, approve, reason, by, now).await;
    finish_transaction(tx, answer, |decision| matches!(decision, DecisionResult::Recorded(_))).await
}

async fn decide_in_tx(
    tx: &mut PgConnection,
    id: OperationId,
    hash: &str,
    approve: bool,
    reason: Option<&str>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<DecisionResult> {
    // A rejection can cancel the operation, so the tenant is locked first.
    if !lock_tenant_of(tx, id).await? {
        return Ok(DecisionResult::NotFound);
    }
    match lock_operation(tx, id).await? {
        None => return Ok(DecisionResult::NotFound),
        Some(false) => return Ok(DecisionResult::NonePending),
        Some(true) => {}
    }
    let Some(pending) = pending(tx, id).await? else { return Ok(DecisionResult::NonePending) };
    if pending.request_hash != hash {
        return Ok(DecisionResult::HashMismatch(pending));
    }
    if approve && pending.requested_by == *by {
        return Ok(DecisionResult::SamePerson);
    }
    let state = if approve { ApprovalState::Approved } else { ApprovalState::Rejected };
    close(tx, pending.id, state, reason, by, now).await?;
    let event_type = if approve { EventType::ApprovalGranted } else { EventType::ApprovalRejected };
    append_event(tx, event_type, &pending, by, now).await?;
    match (approve, pending.action) {
        (true, _) => apply_approved_values(tx, &pending, by, now).await?,
        // The operation has not requested an account yet, so that it can be cancelled.
        (false, ApprovalAction::Vend) => cancel_if_open(tx, id, by, now).await?,
        // The offboarding continues without closing the account.
        (false, ApprovalAction::Close) => retry_if_parked(tx, &pending, by, now).await?,
        // A change of the tier belongs to a tenant and not to an operation.
        (false, ApprovalAction::Adopt | ApprovalAction::Correct | ApprovalAction::ChangeTier) => {}
    }
    Ok(DecisionResult::Recorded(Approval {
        state,
        decided_by: Some(by.clone()),
        decided_at: Some(now),
        reason: reason.map(ToOwned::to_owned),
        ..pending
    }))
}

/// Adds the approved values to the facts of the step and retries the step if it is parked.
async fn apply_approved_values(
    tx: &mut PgConnection,
    approval: &Approval,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::lifecycle::apply_approved_values */
        update operation_steps s set facts = s.facts || a.request
        from approvals a where a.id = $1 and s.operation_id = a.operation_id and s.name = a.step"#,
        approval.id.as_uuid(),
    )
    .execute(&mut *tx)
    .await?;
    retry_if_parked(tx, approval, by, now).await
}

/// Retries the step that needs the decision if the step is parked.
async fn retry_if_parked(tx: &mut PgConnection, approval: &Approval, by: &Requester, now: DateTime<Utc>) -> Result<()> {
    let parked = sqlx::query_scalar!(
        r#"/* db::lifecycle::retry_if_parked */
        select o.kind as "kind: OperationKind"
        from approvals a join operations o on o.id = a.operation_id
            join operation_steps s on s.operation_id = a.operation_id and s.name = a.step
        where a.id = $1 and s.state = 'parked'"#,
        approval.id.as_uuid(),
    );
    if let Some(kind) = parked.fetch_optional(&mut *tx).await? {
        retry_in_tx(tx, approval.operation_id, kind, &by.subject, now).await?;
    }
    Ok(())
}
