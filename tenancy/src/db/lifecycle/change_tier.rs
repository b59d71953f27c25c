//! Changes a tenant to a tier that requires approval, after a second person has approved the exact change.
//!
//! The request has no operation: it belongs to the tenant. It expires when the tenant gets another tier in the meantime
//! or is offboarded.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::queries::lock_tenant;
use crate::approval::{ApprovalAction, ApprovalState, request_hash};
use crate::db::{DbError, PgPool, Result, approvals, finish_transaction, parse_json, parse_text, tenants};
use crate::feed::FeedType;
use crate::operation::Requester;
use crate::tenant::Tenant;
use crate::{ApprovalId, TenantId, Tier};

/// Result of [`request_tier`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TierRequestResult {
    /// The change waits for approval; `is_new` is false if the request was made before.
    Pending { id: ApprovalId, is_new: bool },
    /// A change to another tier waits for approval.
    OtherPending(ApprovalId),
    /// The tenant was changed or offboarded in the meantime.
    Outdated,
}

/// Result of [`decide_tier`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TierDecisionResult {
    /// The decision was recorded, and an approved change was applied.
    Recorded,
    NotPending,
    /// The tenant has another tier than at the request, or is offboarded. Nothing was changed.
    Outdated,
    /// The pending request has this hash.
    HashMismatch(String),
    /// Requester and approver are the same person.
    SamePerson,
}

struct PendingTier {
    id: ApprovalId,
    request: Value,
    request_hash: String,
    requested_by: Requester,
}

/// Writes the changed fields of a tenant like [`tenants::update`], among them the tier, and ends a pending request for
/// another tier. Returns false if the tenant was changed or offboarded in the meantime.
pub async fn change_tier(
    pool: &PgPool,
    tenant: &Tenant,
    changed: &[&str],
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<bool> {
    let mut tx = pool.begin().await?;
    let result = change_in_tx(&mut tx, tenant, changed, by, now).await;
    finish_transaction(tx, result, |is_written| *is_written).await
}

async fn change_in_tx(
    tx: &mut PgConnection,
    tenant: &Tenant,
    changed: &[&str],
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<bool> {
    lock_tenant(tx, tenant.id).await?;
    if !tenants::update(&mut *tx, tenant, changed, now).await? {
        return Ok(false);
    }
    expire_tier_request(tx, tenant.id, by, now).await?;
    Ok(true)
}

/// Requests the change of a tenant to `tier`. `tenant` is the tenant as the caller has read it.
pub async fn request_tier(
    pool: &PgPool,
    tenant: &Tenant,
    tier: &Tier,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<TierRequestResult> {
    let mut tx = pool.begin().await?;
    let result = request_in_tx(&mut tx, tenant, tier, by, now).await;
    finish_transaction(tx, result, |result| matches!(result, TierRequestResult::Pending { .. })).await
}

async fn request_in_tx(
    tx: &mut PgConnection,
    tenant: &Tenant,
    tier: &Tier,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<TierRequestResult> {
    lock_tenant(tx, tenant.id).await?;
    let is_current = sqlx::query_scalar!(
        r#"/* db::lifecycle::request_tier */
        select exists (
            select from tenants where id = $1 and updated_at = $2 and offboarded_at is null for no key update
        ) as "current!""#,
        tenant.id.as_uuid(),
        tenant.updated_at,
    );
    if !is_current.fetch_one(&mut *tx).await? {
        return Ok(TierRequestResult::Outdated);
    }
    let request = json!({ "tenant_id": tenant.id, "from": tenant.tier, "tier": tier });
    if let Some(pending) = pending(tx, tenant.id).await? {
        let is_same = pending.request == request;
        return Ok(if is_same {
            TierRequestResult::Pending { id: pending.id, is_new: false }
        } else {
            TierRequestResult::OtherPending(pending.id)
        });
    }
    let id = ApprovalId::new(now);
    sqlx::query!(
        r#"/* db::lifecycle::request_tier */
        insert into approvals (id, tenant_id, action, request, request_hash, requested_by, requested_at, state)
        values ($1, $2, $3, $4, $5, $6, $7, 'pending')"#,
        id.as_uuid(),
        tenant.id.as_uuid(),
        ApprovalAction::ChangeTier.as_str(),
        request,
        // The id makes each request distinct, so that a decision never applies to a repeated request.
        request_hash(id, ApprovalAction::ChangeTier, &request),
        json!(by),
        now,
    )
    .execute(&mut *tx)
    .await?;
    append_event(tx, FeedType::TenantApprovalRequested, tenant.id, id, now).await?;
    Ok(TierRequestResult::Pending { id, is_new: true })
}

/// Approves or rejects a change of the tier, and applies an approved change in the same transaction.
pub async fn decide_tier(
    pool: &PgPool,
    tenant: TenantId,
    hash: &str,
    approve: bool,
    reason: Option<&str>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<TierDecisionResult> {
    let mut tx = pool.begin().await?;
    let result = decide_in_tx(&mut tx, tenant, hash, approve, reason, by, now).await;
    finish_transaction(tx, result, |result| *result == TierDecisionResult::Recorded).await
}

async fn decide_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    hash: &str,
    approve: bool,
    reason: Option<&str>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<TierDecisionResult> {
    lock_tenant(tx, tenant).await?;
    // The row is locked before the request, in the same order as when a worker offboards the tenant.
    sqlx::query!(
        "/* db::lifecycle::decide_tier */ select from tenants where id = $1 for no key update",
        tenant.as_uuid()
    )
    .execute(&mut *tx)
    .await?;
    let Some(pending) = pending(tx, tenant).await? else { return Ok(TierDecisionResult::NotPending) };
    if pending.request_hash != hash {
        return Ok(TierDecisionResult::HashMismatch(pending.request_hash));
    }
    if approve && pending.requested_by == *by {
        return Ok(TierDecisionResult::SamePerson);
    }
    let state = if approve { ApprovalState::Approved } else { ApprovalState::Rejected };
    approvals::close(tx, pending.id, state, reason, by, now).await?;
    let event = if approve { FeedType::TenantApprovalGranted } else { FeedType::TenantApprovalRejected };
    append_event(tx, event, tenant, pending.id, now).await?;
    if approve && !apply(tx, tenant, &pending.request, now).await? {
        return Ok(TierDecisionResult::Outdated);
    }
    Ok(TierDecisionResult::Recorded)
}

/// Changes the tier as requested. Returns false if the tenant has another tier than at the request, or is offboarded.
async fn apply(tx: &mut PgConnection, tenant: TenantId, request: &Value, now: DateTime<Utc>) -> Result<bool> {
    let field = |name: &str| -> Result<Tier> {
        let text = request.get(name).and_then(Value::as_str);
        parse_text(text.ok_or_else(|| DbError::UnexpectedValue(format!("a tier request without {name}")))?.to_owned())
    };
    let (from, tier) = (field("from")?, field("tier")?);
    let done = sqlx::query!(
        r#"/* db::lifecycle::apply_tier */
        with changed as (
            update tenants set tier = $3, updated_at = greatest($4, updated_at + interval '1 microsecond')
            where id = $1 and tier = $2 and offboarded_at is null
            returning id
        )
        insert into feed_pending (tenant_id, type, data, occurred_at) select id, $5, $6, $4 from changed"#,
        tenant.as_uuid(),
        from.as_str(),
        tier.as_str(),
        now,
        FeedType::TenantUpdated.as_str(),
        json!({ "changed": ["tier"] }),
    );
    Ok(done.execute(tx).await?.rows_affected() == 1)
}

/// Ends the pending request of a tenant as expired, because the tenant has got another tier or is offboarded.
pub(super) async fn expire_tier_request(
    tx: &mut PgConnection,
    tenant: TenantId,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<()> {
    let Some(pending) = pending(tx, tenant).await? else { return Ok(()) };
    approvals::close(tx, pending.id, ApprovalState::Expired, None, by, now).await?;
    append_approval_rejected(tx, tenant, pending.id, now).await
}

/// Adds an event for a request that ended without approval.
pub(super) async fn append_approval_rejected(
    tx: &mut PgConnection,
    tenant: TenantId,
    approval: ApprovalId,
    now: DateTime<Utc>,
) -> Result<()> {
    append_event(tx, FeedType::TenantApprovalRejected, tenant, approval, now).await
}

/// Returns and locks the pending request of a tenant. The caller must hold the lock of the tenant.
async fn pending(tx: &mut PgConnection, tenant: TenantId) -> Result<Option<PendingTier>> {
    let row = sqlx::query!(
        r#"/* db::lifecycle::pending_tier */
        select id, request, request_hash, requested_by from approvals
        where tenant_id = $1 and operation_id is null and state = 'pending' for update"#,
        tenant.as_uuid(),
    );
    let Some(row) = row.fetch_optional(tx).await? else { return Ok(None) };
    Ok(Some(PendingTier {
        id: row.id.into(),
        request: row.request,
        request_hash: row.request_hash,
        requested_by: parse_json(row.requested_by, "a requester")?,
    }))
}

async fn append_event(
    tx: &mut PgConnection,
    feed_type: FeedType,
    tenant: TenantId,
    approval: ApprovalId,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::lifecycle::append_approval_event */
        insert into feed_pending (tenant_id, type, data, occurred_at) values ($1, $2, $3, $4)"#,
        tenant.as_uuid(),
        feed_type.as_str(),
        json!({ "action": ApprovalAction::ChangeTier, "approval_id": approval }),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
