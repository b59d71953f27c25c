//! Lists and reads approvals with their tenant, environment and operation.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::approval::{ApprovalAction, ApprovalRecord, ApprovalState, ApprovedOperation};
use crate::db::{PgPool, Result, parse_json, parse_text};
use crate::operation::{OperationKind, OperationState};
use crate::{ApprovalId, CompanyName, TenantId};

/// Filter for approvals; a field that is `None` matches all approvals.
#[derive(Debug, Clone, Default)]
pub struct ApprovalFilter {
    pub id: Option<ApprovalId>,
    pub state: Option<ApprovalState>,
    pub tenant: Option<TenantId>,
}

/// Returns at most `limit` approvals that are older than the approval `before`, newest first.
pub async fn list(
    pool: &PgPool,
    filter: &ApprovalFilter,
    before: Option<ApprovalId>,
    limit: i64,
) -> Result<Vec<ApprovalRecord>> {
    let stored_state = filter.state.map(|state| match state {
        ApprovalState::Expired => ApprovalState::Rejected.as_str(),
        state => state.as_str(),
    });
    let expired = filter.state.map(|state| state == ApprovalState::Expired);
    let rows = sqlx::query_as!(
        Row,
        r#"/* db::approvals::list */
        select a.id, a.action as "action: ApprovalAction", a.request, a.request_hash, a.requested_by, a.requested_at,
            case when a.expired then 'expired' else a.state end as "state!: ApprovalState", a.decided_by, a.decided_at,
            a.reason, t.id as tenant_id, t.company_name, o.id as "operation_id?",
            o.kind as "operation_kind?: OperationKind", o.state as "operation_state?: OperationState",
            e.id as "environment_id?", e.name as "environment_name?"
        from approvals a
        left join operations o on o.id = a.operation_id
        left join environments e on e.id = o.environment_id
        join tenants t on t.id = coalesce(a.tenant_id, o.tenant_id)
        where ($1::uuid is null or a.id < $1) and ($2::text is null or a.state = $2)
          and ($3::boolean is null or a.expired = $3) and ($4::uuid is null or t.id = $4)
          and ($5::uuid is null or a.id = $5)
        order by a.id desc limit $6"#,
        before.map(ApprovalId::as_uuid),
        stored_state,
        expired,
        filter.tenant.map(TenantId::as_uuid),
        filter.id.map(ApprovalId::as_uuid),
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::record).collect()
}

/// Returns an approval, or `None` if it does not exist.
pub async fn get(pool: &PgPool, id: ApprovalId) -> Result<Option<ApprovalRecord>> {
    let filter = ApprovalFilter { id: Some(id), ..ApprovalFilter::default() };
    Ok(list(pool, &filter, None, 1).await?.pop())
}

struct Row {
    id: Uuid,
    action: ApprovalAction,
    request: Value,
    request_hash: String,
    requested_by: Value,
    requested_at: DateTime<Utc>,
    state: ApprovalState,
    decided_by: Option<Value>,
    decided_at: Option<DateTime<Utc>>,
    reason: Option<String>,
    tenant_id: Uuid,
    company_name: String,
    operation_id: Option<Uuid>,
    operation_kind: Option<OperationKind>,
    operation_state: Option<OperationState>,
    environment_id: Option<Uuid>,
    environment_name: Option<String>,
}

impl Row {
    fn record(self) -> Result<ApprovalRecord> {
        let operation = self.operation_id.zip(self.operation_kind).zip(self.operation_state);
        let operation = match operation.zip(self.environment_id).zip(self.environment_name) {
            Some(((((id, kind), state), environment_id), name)) => Some(ApprovedOperation {
                id: id.into(),
                kind,
                state,
                environment_id: environment_id.into(),
                environment: parse_text(name)?,
            }),
            None => None,
        };
        Ok(ApprovalRecord {
            id: self.id.into(),
            action: self.action,
            request: self.request,
            request_hash: self.request_hash,
            requested_by: parse_json(self.requested_by, "a requester")?,
            requested_at: self.requested_at,
            state: self.state,
            decided_by: self.decided_by.map(|by| parse_json(by, "a requester")).transpose()?,
            decided_at: self.decided_at,
            reason: self.reason,
            tenant_id: self.tenant_id.into(),
            company_name: CompanyName::from_stored(self.company_name),
            operation,
        })
    }
}
