//! Route that lists the audit trail.

use axum::Json;
use axum::extract::State;
use freehold_tenancy::TenantId;
use freehold_tenancy::audit::Record;
use freehold_tenancy::db::{self, audit::AuditFilter};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::app::App;
use crate::detached::run_detached;
use crate::extract::{BoundedInt, QueryFields, SearchText};
use crate::problem::{ApiError, Code};

/// Number of entries per page if `page_size` is not given.
const DEFAULT_PAGE_SIZE: i64 = 100;

/// Maximum value of `page_size`.
const MAX_PAGE_SIZE: i64 = 1000;

/// Entry of the audit trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// Position in the trail: 1, 2, 3, …
    #[schema(example = 4711)]
    pub position: i64,
    /// Time at which the entry was added to the hash chain, about a second after the action finished.
    pub recorded_at: chrono::DateTime<chrono::Utc>,
    /// Recorded action: `at`, `kind` (`api.call`, `aws.call`, `command`, `audit.dropped`, `audit.strays`), `action`,
    /// `actor` and `outcome`, with the `changes` and the `ids` of what was created; and, if known, `source`,
    /// `request_id`, `resource` with its `ids` and `query`, fields of the `request`, `tenant_id`, `operation_id`,
    /// `step`, `aws_role`, and for several refused requests their number as `aggregated`.
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
    /// SHA-256 of the previous hash, the position, `recorded_at` in microseconds and the text of the record.
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

/// Page of the audit trail, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEventPage {
    /// Entries in the order of their positions.
    pub audit_events: Vec<AuditEvent>,
    /// Position to send as `after` for the next page.
    #[schema(example = 4811)]
    pub next_after: i64,
    /// `true` if more entries are available now.
    pub has_more: bool,
    /// Head of the trail.
    pub head: AuditHead,
}

/// Head of the audit trail: its last entry. Store a copy outside of Freehold: it proves later that
/// no earlier entry was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditHead {
    /// Latest position.
    #[schema(example = 4811)]
    pub position: i64,
    /// Hash of the entry at that position.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub hash: String,
}

/// List the entries of the audit trail
///
/// The trail contains all API requests that may change something, all actions of operators and all AWS calls that
/// change something. Its entries are chained by hashes, so that `freehold audit verify` detects changed or removed
/// ones.
#[utoipa::path(
    get,
    path = "/v1/audit-events",
    operation_id = "listAuditEvents",
    tag = "audit",
    params(
        (
            "after" = Option<i64>, Query,
            description = "Position after which to read [default: the start of the trail]",
            minimum = 0, example = 4711
        ),
        (
            "page_size" = Option<i64>, Query,
            description = "Page size [default: 100]",
            minimum = 1, maximum = 1000, example = 100
        ),
        (
            "tenant" = Option<String>, Query,
            description = "Only entries about this tenant",
            example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"
        ),
        (
            "action" = Option<String>, Query,
            description = "Only entries with this action",
            example = "organizations:CreateAccount"
        ),
        ("subject" = Option<String>, Query, description = "Only entries of this token subject", example = "ann"),
        (
            "request_id" = Option<String>, Query,
            description = "Only entries with this request id (of the API or of AWS)",
            example = "0198c1f0"
        ),
    ),
    responses((status = 200, description = "Page of the audit trail", body = AuditEventPage)),
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
    let (pool, now) = (app.pool.clone(), app.clock.now());
    let head = match run_detached(async move { db::audit::advance(&pool, now).await }).await {
        Ok(head) => head,
        // The trail stays readable up to its head while new entries cannot be chained.
        Err(error) => {
            tracing::warn!(%error, "cannot chain the audit trail before it is listed");
            db::audit::chain_ends(&app.pool).await?.0
        }
    };
    if after > head.position {
        let detail = format!(
            "`after` is beyond the end of the trail at position {}; it may come from another installation.",
            head.position
        );
        return Err(ApiError::new(Code::InvalidQuery, detail));
    }
    let mut records = db::audit::list(&app.pool, &filter, after, size + 1).await?;
    let page_size = usize::try_from(size).unwrap_or(usize::MAX);
    let has_more = records.len() > page_size;
    records.truncate(page_size);
    let last = records.last().map_or(after, |record| record.position);
    Ok(Json(AuditEventPage {
        audit_events: records.into_iter().map(AuditEvent::from).collect(),
        // All entries up to the head were searched. Another process may have added entries since then.
        next_after: if has_more { last } else { last.max(head.position) },
        has_more,
        head: AuditHead { position: head.position, hash: head.hash_text() },
    }))
}
