//! The audit trail, as it can be read.

use axum::Json;
use axum::extract::State;
use freehold_tenancy::TenantId;
use freehold_tenancy::audit::Record;
use freehold_tenancy::db::{self, audit::AuditFilter};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::app::App;
use crate::detached::detached;
use crate::extract::{BoundedInt, QueryFields, SearchText};
use crate::problem::{ApiError, Code};

/// How many records a page has when nobody says how many.
const DEFAULT_PAGE_SIZE: i64 = 100;

/// How many records a page has at most.
const MAX_PAGE_SIZE: i64 = 1000;

/// A record of the audit trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// Its place: 1, 2, 3, …
    #[schema(example = 4711)]
    pub position: i64,
    /// When it got there, within a second or so of the end of what was done.
    pub recorded_at: chrono::DateTime<chrono::Utc>,
    /// What was done: `at`, `kind` (`api.call`, `aws.call`, `command`, `audit.dropped`), `action`, `actor`, and, where there are any, `source`,
    /// `request_id`, `resource`, `tenant_id`, `operation_id`, `step`, `aws_role`; and the `outcome`.
    #[schema(value_type = Object, example = json!({
        "at": "2026-11-01T09:30:00.000000Z",
        "kind": "api.call",
        "action": "createTenant",
        "actor": { "issuer": "https://login.example.com/", "subject": "ann", "client": "signup-flow" },
        "source": { "address": "10.0.0.7", "forwarded_for": "203.0.113.7" },
        "request_id": "0198c1f0",
        "resource": "/v1/tenants",
        "tenant_id": "ten_01k2m8v3x9e7rt4s5q6w7y8z9b",
        "outcome": { "result": "succeeded", "status": 202 },
    }))]
    pub record: Map<String, Value>,
    /// SHA-256 over the hash before, the position, `recorded_at` in microseconds and the record's text.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub hash: String,
}

impl From<Record> for AuditEvent {
    fn from(record: Record) -> Self {
        Self {
            position: record.position,
            recorded_at: record.recorded_at,
            record: serde_json::from_str(&record.text).unwrap_or_default(),
            hash: hex::encode(record.hash),
        }
    }
}

/// A page of the audit trail, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEventPage {
    /// The records, in the order of their positions.
    pub audit_events: Vec<AuditEvent>,
    /// `after` of the next page.
    #[schema(example = 4811)]
    pub next_after: i64,
    /// Whether there is more already.
    pub has_more: bool,
    /// Where the trail ends.
    pub head: AuditHead,
}

/// Where the audit trail ends. Whoever keeps it elsewhere can tell later that nothing before it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditHead {
    /// The latest position.
    #[schema(example = 4811)]
    pub position: i64,
    /// The hash of the record there.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub hash: String,
}

/// Who did what
///
/// Every call of the API that may change something, every remedy of an operator, and every call of AWS that changes something,
/// in one chain: a record cannot be changed or removed without that being seen (`freehold audit verify`).
#[utoipa::path(
    get,
    path = "/v1/audit-events",
    operation_id = "listAuditEvents",
    tag = "audit",
    params(
        ("after" = Option<i64>, Query, description = "The position after which to go on; the beginning if left out", minimum = 0, example = 4711),
        ("page_size" = Option<i64>, Query, description = "How many at most; 100 if left out", minimum = 1, maximum = 1000, example = 100),
        ("tenant" = Option<String>, Query, description = "Only what is about this tenant", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("action" = Option<String>, Query, description = "Only this action", example = "organizations:CreateAccount"),
        ("subject" = Option<String>, Query, description = "Only what the subject of this token did", example = "ann"),
        ("request_id" = Option<String>, Query, description = "Only the request with this id, ours or AWS's", example = "0198c1f0"),
    ),
    responses((status = 200, description = "A page of the trail", body = AuditEventPage)),
)]
pub(crate) async fn list_audit_events(
    State(app): State<App>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<AuditEventPage>, ApiError> {
    let after = query.optional("after").map_or(0, |BoundedInt::<0, { i64::MAX }>(after)| after);
    let size = query.optional("page_size").map_or(DEFAULT_PAGE_SIZE, |BoundedInt::<1, MAX_PAGE_SIZE>(size)| size);
    let filter = AuditFilter {
        tenant: query.optional::<TenantId>("tenant"),
        action: query.optional("action").map(|SearchText::<256>(text)| text),
        subject: query.optional("subject").map(|SearchText::<256>(text)| text),
        request_id: query.optional("request_id").map(|SearchText::<256>(text)| text),
    };
    let filter = query.finish(Some(filter))?;
    let (pool, kept_for, now) = (app.pool.clone(), app.config.audit.kept_for(), app.clock.now());
    let head = detached(async move { db::audit::advance(&pool, kept_for, now).await }).await?;
    if after > head.position {
        let detail = format!(
            "The trail has only come to position {}; is this the after of another installation?",
            head.position
        );
        return Err(ApiError::new(Code::InvalidQuery, detail));
    }
    let mut records = db::audit::list(&app.pool, &filter, after, size + 1).await?;
    let wanted = usize::try_from(size).unwrap_or(usize::MAX);
    let has_more = records.len() > wanted;
    records.truncate(wanted);
    let last = records.last().map_or(after, |record| record.position);
    Ok(Json(AuditEventPage {
        audit_events: records.into_iter().map(AuditEvent::from).collect(),
        // What was looked through need not be again. Another process may have chained more meanwhile.
        next_after: if has_more { last } else { last.max(head.position) },
        has_more,
        head: AuditHead { position: head.position, hash: head.hash_text() },
    }))
}
