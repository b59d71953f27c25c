//! Requests the approval of a second person.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::queries::lock_operation;
use crate::OperationId;
use crate::approval::{Approval, ApprovalAction};
use crate::db::approvals::{granted, insert, pending};
use crate::db::fence::{Claim, begin_fenced};
use crate::db::{PgPool, Result, finish_transaction, parse_json};
use crate::operation::Requester;
use crate::step::StepName;

/// Result of [`request_approval`].
#[derive(Debug, Clone, PartialEq)]
pub enum RequestResult {
    /// The request is pending.
    Created(Approval),
    /// Another request is already pending for the operation.
    AlreadyPending(Approval),
    /// No parked step of the operation offers this remedy.
    NotApplicable,
    NotFound,
}

/// Requests approval of `action` on an operation. A parked step of the operation must offer the action as a remedy.
pub async fn request_approval(
    pool: &PgPool,
    id: OperationId,
    action: ApprovalAction,
    request: &Value,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<RequestResult> {
    let mut tx = pool.begin().await?;
    let answer = request_approval_in_tx(&mut tx, id, action, request, by, now).await;
    finish_transaction(tx, answer, |result| matches!(result, RequestResult::Created(_))).await
}

async fn request_approval_in_tx(
    tx: &mut PgConnection,
    id: OperationId,
    action: ApprovalAction,
    request: &Value,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<RequestResult> {
    match lock_operation(tx, id).await? {
        None => return Ok(RequestResult::NotFound),
        // A finished operation is excluded explicitly, because its steps keep their attention.
        Some(false) => return Ok(RequestResult::NotApplicable),
        Some(true) => {}
    }
    if let Some(pending) = pending(tx, id).await? {
        let same = (pending.action, &pending.request) == (action, request);
        return Ok(if same { RequestResult::Created(pending) } else { RequestResult::AlreadyPending(pending) });
    }
    let step = sqlx::query_scalar!(
        r#"/* db::lifecycle::request_approval */
        select name from operation_steps
        where operation_id = $1 and state = 'parked' and attention -> 'remedies' ? $2 order by position limit 1"#,
        id.as_uuid(),
        action.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(step) = step else { return Ok(RequestResult::NotApplicable) };
    let approval = insert(tx, id, action, &step, request, by, now).await?;
    Ok(RequestResult::Created(approval))
}

/// Requests approval of the account creation in `step`, on behalf of the requester of the operation.
pub async fn request_creation_approval(
    pool: &PgPool,
    claim: &Claim,
    step: StepName,
    request: &Value,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut tx = begin_fenced(pool, claim).await?;
    let id = claim.operation_id;
    let by = sqlx::query_scalar!(
        "/* db::lifecycle::request_creation_approval */ select requested_by from operations where id = $1",
        id.as_uuid(),
    );
    let by = parse_json(by.fetch_one(&mut *tx).await?, "a requester")?;
    insert(&mut tx, id, ApprovalAction::Vend, step.as_str(), request, &by, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Requests approval of closing the account at the end of an offboarding. The caller must have locked the operation.
pub(super) async fn request_closure_approval(
    tx: &mut PgConnection,
    id: OperationId,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::lifecycle::request_closure_approval */
        update operations set input = input || '{"close_account": true}', updated_at = $2 where id = $1"#,
        id.as_uuid(),
        now,
    )
    .execute(&mut *tx)
    .await?;
    let decided = granted(&mut *tx, id, ApprovalAction::Close).await?;
    if !decided && pending(&mut *tx, id).await?.is_none() {
        insert(
            tx,
            id,
            ApprovalAction::Close,
            StepName::CloseAccount.as_str(),
            &json!({ "close_account": true }),
            by,
            now,
        )
        .await?;
    }
    Ok(())
}
