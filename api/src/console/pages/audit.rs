//! Audit trail: who did what, the newest entry first.

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{TenantNames, more_query};
use crate::console::inputs::{Refusal, api_time, refusal_of};
use crate::console::labels::{Instant, State, value_text};
use crate::console::layout::{Layout, html};
use crate::console::newest::{Entries, NewestPage, PositionList, READ_SIZE, newest_first};
use crate::console::session::Visitor;
use crate::problem::ApiError;
use crate::routes::audit::{AuditEvent, AuditEventPage};

const PAGE: &str = "/console/audit";

/// Number of entries on a page.
const PAGE_SIZE: usize = 50;

/// Fields of the form, with the names of the API.
const FIELDS: [&str; 6] = ["tenant", "action", "actor", "operation", "from", "until"];

/// Fields of a record that have a column of their own, or are parts of one.
const SHOWN_FIELDS: [&str; 7] = ["at", "action", "actor", "outcome", "tenant_id", "operation_id", "resource"];

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::console) struct Filter {
    tenant: String,
    action: String,
    actor: String,
    operation: String,
    from: String,
    until: String,
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "console/audit.html")]
struct Audit {
    layout: Layout,
    filter: Filter,
    refusal: Refusal,
    rows: Vec<Row>,
    /// Path of the next page; `None` on the last one.
    next: Option<String>,
}

struct Row {
    position: i64,
    at: Instant,
    action: String,
    actor: String,
    /// Client of the actor; empty for a process.
    client: String,
    tenant: Option<(String, String)>,
    operation: Option<String>,
    resource: String,
    state: State,
    /// Status and code of the outcome.
    result: String,
    facts: Vec<(String, String)>,
}

impl Filter {
    fn to_query(&self) -> String {
        let (from, until) = (api_time(&self.from), api_time(&self.until));
        let values = [&self.tenant, &self.action, &self.actor, &self.operation, &from, &until];
        let pairs: Vec<_> = FIELDS.into_iter().zip(values.map(String::as_str)).collect();
        more_query(&pairs)
    }
}

pub(in crate::console) async fn show(visitor: Visitor, Query(filter): Query<Filter>) -> Result<Response, ApiError> {
    let (page, refusal) = match refusal_of(read(&visitor, &filter).await, &FIELDS)? {
        Ok(page) => (page, Refusal::default()),
        Err(refusal) => (NewestPage { rows: Vec::new(), next_before: None }, refusal),
    };
    let next = page.next_before.map(|before| format!("{PAGE}?before={before}{}", filter.to_query()));
    let (mut rows, mut names) = (Vec::new(), TenantNames::default());
    for (position, event) in page.rows {
        rows.push(row(&visitor, &mut names, position, event).await);
    }
    let layout = Layout::of(&visitor, PAGE, "Audit trail").await?;
    html(&Audit { layout, filter, refusal, rows, next })
}

/// Audit trail with the filters of the form.
struct Trail<'a> {
    visitor: &'a Visitor,
    query: String,
}

impl Trail<'_> {
    async fn page(&self, after: i64, size: usize) -> Result<AuditEventPage, ApiError> {
        self.visitor.api.get(&format!("/v1/audit-events?after={after}&page_size={size}{}", self.query)).await
    }
}

impl PositionList for Trail<'_> {
    type Entry = AuditEvent;

    const MAX_WIDTH: i64 = i64::MAX;

    async fn read(&self, after: i64) -> Result<Entries<AuditEvent>, ApiError> {
        let page = self.page(after, READ_SIZE).await?;
        let entries = page.audit_events.into_iter().map(|event| (event.position, event)).collect();
        Ok(Entries { list: entries, searched: page.next_after, has_more: page.has_more })
    }
}

async fn read(visitor: &Visitor, filter: &Filter) -> Result<NewestPage<AuditEvent>, ApiError> {
    let trail = Trail { visitor, query: filter.to_query() };
    let before = match filter.before {
        Some(before) => before,
        None => trail.page(0, 1).await?.head.position + 1,
    };
    newest_first(&trail, 1..before, PAGE_SIZE).await
}

async fn row(visitor: &Visitor, names: &mut TenantNames, position: i64, event: AuditEvent) -> Row {
    let record = event.record;
    let text = |name: &str| record.get(name).map(value_text).unwrap_or_default();
    let object = |name: &str| record.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let (actor, mut outcome) = (object("actor"), object("outcome"));
    let part = |object: &Map<String, Value>, name: &str| object.get(name).map(value_text).unwrap_or_default();
    let tenant = match Some(text("tenant_id")).filter(|id| !id.is_empty()) {
        Some(id) => Some((id.clone(), names.of(visitor, &id).await)),
        None => None,
    };
    let at = text("at").parse::<DateTime<Utc>>().unwrap_or(event.recorded_at);
    let result = outcome.remove("result").as_ref().map(value_text).unwrap_or_default();
    let details = [outcome.remove("status"), outcome.remove("code")];
    let details: Vec<_> = details.iter().flatten().map(value_text).collect();
    let others = record.iter().filter(|(name, _)| !SHOWN_FIELDS.contains(&name.as_str()));
    let fact = |(name, value): (&String, &Value)| (name.replace('_', " "), value_text(value));
    Row {
        position,
        at: Instant::of(at),
        action: text("action"),
        actor: part(&actor, "subject") + &part(&actor, "process"),
        client: part(&actor, "client"),
        tenant,
        operation: Some(text("operation_id")).filter(|id| !id.is_empty()),
        resource: text("resource"),
        state: State::of(&result),
        result: details.join(" "),
        facts: others.map(fact).chain(outcome.iter().map(fact)).collect(),
    }
}
