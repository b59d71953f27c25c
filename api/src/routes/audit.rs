//! Route that lists and exports the audit trail.

mod export;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Version};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use freehold_tenancy::audit::Record;
use freehold_tenancy::db::{self, audit::AuditFilter};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::account_mappings::format::Format;
use crate::app::App;
use crate::detached::run_detached;
use crate::extract::{BoundedInt, Fields, Instant, QueryFields, SearchText};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

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
    pub recorded_at: DateTime<Utc>,
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
///
/// `from` and `until` select entries by the time at which they were added to the trail, which is about a second after
/// the action finished: the entries of a time range are consecutive, and adjacent ranges do not overlap.
///
/// With `Accept: application/x-ndjson`, one response contains all entries up to the current end of the trail, each
/// with the exact text that was hashed; `freehold audit verify --file` verifies it. To resume an interrupted export,
/// send the last position as `after`.
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
            "from" = Option<DateTime<Utc>>, Query,
            description = "Only entries that were added to the trail at this time or later",
            example = "2026-10-01T00:00:00Z"
        ),
        (
            "until" = Option<DateTime<Utc>>, Query,
            description = "Only entries that were added to the trail before this time",
            example = "2026-11-01T00:00:00Z"
        ),
        (
            "tenant" = Option<String>, Query,
            description = "Only entries about this tenant",
            example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"
        ),
        (
            "environment" = Option<String>, Query,
            description = "Only entries about this environment, its account or its operations",
            example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a"
        ),
        (
            "aws_account_id" = Option<String>, Query,
            description = "Only entries about the environment that this AWS account belongs or belonged to",
            example = "111122223333"
        ),
        (
            "operation" = Option<String>, Query,
            description = "Only entries of this operation and of the requests that started it",
            example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c"
        ),
        (
            "action" = Option<String>, Query,
            description = "Only entries with this action",
            example = "organizations:CreateAccount"
        ),
        (
            "actor" = Option<String>, Query,
            description = "Only entries of this token subject or process",
            example = "ann"
        ),
        ("subject" = Option<String>, Query, description = "Only entries of this token subject", example = "ann"),
        ("client" = Option<String>, Query, description = "Only entries of this client", example = "signup-flow"),
        (
            "request_id" = Option<String>, Query,
            description = "Only entries with this request id (of the API or of AWS)",
            example = "0198c1f0"
        ),
    ),
    responses(
        (status = 200, description = "Page of the audit trail, or all of it", content(
            (AuditEventPage = "application/json"),
            (export::AuditExportLine = "application/x-ndjson"),
        )),
        (
            status = 406,
            description = "`Accept` allows neither JSON nor NDJSON",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 505,
            description = "NDJSON requires HTTP/1.1 or later (`http_version_not_supported`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn list_audit_events(
    State(app): State<App>,
    version: Version,
    headers: HeaderMap,
    QueryFields(mut query): QueryFields,
) -> Result<Response, ApiError> {
    let format = Format::negotiate(&headers, &[Format::Json, Format::NdJson])?;
    format.refuse_pages_of_exports(&mut query);
    let after = query.optional("after").map_or(0, |BoundedInt::<0, { i64::MAX }>(after)| after);
    let size = query.optional("page_size").map_or(DEFAULT_PAGE_SIZE, |BoundedInt::<1, MAX_PAGE_SIZE>(size)| size);
    let filter = parse_filter(&mut query);
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
    if format == Format::NdJson {
        return export::respond(&app, version, filter, after, head.position);
    }
    let pool = app.pool.clone();
    let mut records = run_detached(async move { db::audit::list(&pool, &filter, after, size + 1).await }).await?;
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
    })
    .into_response())
}

fn parse_filter(query: &mut Fields) -> AuditFilter {
    let (from, until) = (query.optional("from"), query.optional("until"));
    if let (Some(Instant(from)), Some(Instant(until))) = (&from, &until)
        && from >= until
    {
        query.error("until", "invalid", "must be after `from`");
    }
    let mut text = |name| query.optional(name).map(|SearchText::<256>(text)| text);
    let (action, actor, subject) = (text("action"), text("actor"), text("subject"));
    let (client, request_id) = (text("client"), text("request_id"));
    AuditFilter {
        from: from.map(|Instant(from)| from),
        until: until.map(|Instant(until)| until),
        tenant: query.optional("tenant"),
        environment: query.optional("environment"),
        account: query.optional("aws_account_id"),
        operation: query.optional("operation"),
        action,
        actor,
        subject,
        client,
        request_id,
    }
}
