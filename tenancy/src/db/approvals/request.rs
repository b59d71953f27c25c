//! Asking for what another person has to approve.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{append_event, granted, lock_operation, pending};
use crate::approval::{Approval, ApprovalAction, ApprovalState, request_hash};
use crate::db::operations::{Claim, begin_fenced, requester};
use crate::db::{PgPool, Result, finish_transaction};
use crate::event::EventType;
use crate::operation::Requester;
use crate::{ApprovalId, OperationId};

/// What became of a wish that needs a second person.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestResult {
    /// It waits for that person.
    Yes(Approval),
    /// Another wish about the same operation waits already.
    Another(Approval),
    /// The operation is not parked for anything that this would help.
    Not,
    /// There is no such operation.
    Unknown,
}

/// Asks for `action` on an operation one of whose steps is parked for something that it remedies.
pub async fn request(
    pool: &PgPool,
    id: OperationId,
    action: ApprovalAction,
    request: &Value,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<RequestResult> {
    let mut tx = pool.begin().await?;
    let answer = request_in_tx(&mut tx, id, action, request, by, now).await;
    finish_transaction(tx, answer, |asked| matches!(asked, RequestResult::Yes(_))).await
}

async fn request_in_tx(
    tx: &mut PgConnection,
    id: OperationId,
    action: ApprovalAction,
    request: &Value,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<RequestResult> {
    match lock_operation(tx, id).await? {
        None => return Ok(RequestResult::Unknown),
        // Its steps stay as they were, remedies and all.
        Some(false) => return Ok(RequestResult::Not),
        Some(true) => {}
    }
    if let Some(pending) = pending(tx, id).await? {
        let same = pending.request_hash == request_hash(id, action, request);
        return Ok(if same { RequestResult::Yes(pending) } else { RequestResult::Another(pending) });
    }
    let step = sqlx::query_scalar!(
        r#"/* db::approvals::request */
        select name from operation_steps
        where operation_id = $1 and state = 'parked' and attention -> 'remedies' ? $2 order by position limit 1"#,
        id.as_uuid(),
        action.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(step) = step else { return Ok(RequestResult::Not) };
    let approval = insert(tx, id, action, &step, request, by, now).await?;
    Ok(RequestResult::Yes(approval))
}

/// Asks, in the name of whoever signed up, for a second person's word before `step` vends an account; under the fence.
pub async fn request_vending(
    pool: &PgPool,
    claim: &Claim,
    step: &str,
    request: &Value,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut tx = begin_fenced(pool, claim).await?;
    let id = claim.operation_id;
    let by = sqlx::query_scalar!(
        "/* db::approvals::request_vending */ select requested_by from operations where id = $1",
        id.as_uuid(),
    );
    let by = requester(by.fetch_one(&mut *tx).await?)?;
    insert(&mut tx, id, ApprovalAction::Vend, step, request, &by, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Asks for the account to be closed when the offboarding comes to that; within a transaction that holds the operation's row.
pub(in crate::db) async fn request_closing(
    tx: &mut PgConnection,
    id: OperationId,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::approvals::request_closing */
        update operations set input = input || '{"close_account": true}', updated_at = $2 where id = $1"#,
        id.as_uuid(),
        now,
    )
    .execute(&mut *tx)
    .await?;
    let decided = granted(&mut *tx, id, ApprovalAction::Close).await?;
    if !decided && pending(&mut *tx, id).await?.is_none() {
        insert(tx, id, ApprovalAction::Close, "close-account", &json!({ "close_account": true }), by, now).await?;
    }
    Ok(())
}

async fn insert(
    tx: &mut PgConnection,
    id: OperationId,
    action: ApprovalAction,
    step: &str,
    request: &Value,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<Approval> {
    let approval = Approval {
        id: ApprovalId::new(now),
        operation_id: id,
        action,
        request: request.clone(),
        request_hash: request_hash(id, action, request),
        requested_by: by.clone(),
        requested_at: now,
        state: ApprovalState::Pending,
        decided_by: None,
        decided_at: None,
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
