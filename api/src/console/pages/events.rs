//! Feed of events, the newest one first.

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use freehold_tenancy::feed::{FeedEvent, FeedType};
use serde::Deserialize;
use serde_json::Value;

use super::{TenantNames, more_query};
use crate::console::inputs::{Refusal, refusal_of};
use crate::console::labels::{Instant, value_text};
use crate::console::layout::{Layout, html};
use crate::console::newest::{Entries, NewestPage, PositionList, READ_SIZE, newest_first};
use crate::console::session::Visitor;
use crate::problem::ApiError;
use crate::routes::events::FeedEventPage;

const PAGE: &str = "/console/events";

/// Number of events on a page.
const PAGE_SIZE: usize = 50;

/// Fields of the form, with the names of the API.
const FIELDS: [&str; 2] = ["tenant", "types"];

/// Data that have a column of their own.
const SHOWN_DATA: [&str; 2] = ["tenant_id", "operation_id"];

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::console) struct Filter {
    tenant: String,
    types: String,
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "console/events.html")]
struct Events {
    layout: Layout,
    filter: Filter,
    refusal: Refusal,
    /// Types that the field offers.
    types: Vec<&'static str>,
    rows: Vec<Row>,
    /// Path of the next page; `None` on the last one.
    next: Option<String>,
}

struct Row {
    position: i64,
    at: Instant,
    event_type: String,
    subject: String,
    tenant: Option<(String, String)>,
    operation: Option<String>,
    facts: Vec<(String, String)>,
}

impl Filter {
    fn to_query(&self) -> String {
        more_query(&[("tenant", &self.tenant), ("types", &self.types)])
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
    let types = FeedType::ALL.iter().map(|feed_type| feed_type.as_str()).collect();
    let layout = Layout::of(&visitor, PAGE, "Events").await?;
    html(&Events { layout, filter, refusal, types, rows, next })
}

/// Feed with the filters of the form.
struct Feed<'a> {
    visitor: &'a Visitor,
    query: String,
}

impl PositionList for Feed<'_> {
    type Entry = FeedEvent;

    const MAX_WIDTH: i64 = 10_000;

    async fn read(&self, after: i64) -> Result<Entries<FeedEvent>, ApiError> {
        let path = format!("/v1/events?after={after}&page_size={READ_SIZE}{}", self.query);
        let page: FeedEventPage = self.visitor.api.get(&path).await?;
        let entries = page.events.into_iter().map(|event| (position(&event), event)).collect();
        Ok(Entries { list: entries, searched: page.next_after, has_more: page.has_more })
    }
}

async fn read(visitor: &Visitor, filter: &Filter) -> Result<NewestPage<FeedEvent>, ApiError> {
    // The oldest event that still exists, and the position of the latest one.
    let oldest: FeedEventPage = visitor.api.get("/v1/events?page_size=1").await?;
    let first = oldest.events.first().map_or(oldest.latest_position + 1, position);
    let before = filter.before.unwrap_or(i64::MAX).min(oldest.latest_position + 1);
    newest_first(&Feed { visitor, query: filter.to_query() }, first..before, PAGE_SIZE).await
}

fn position(event: &FeedEvent) -> i64 {
    event.sequence.parse().unwrap_or_default()
}

async fn row(visitor: &Visitor, names: &mut TenantNames, position: i64, event: FeedEvent) -> Row {
    let tenant = match event.data.tenant_id.clone() {
        Some(id) => Some((id.clone(), names.of(visitor, &id).await)),
        None => None,
    };
    let operation = event.data.operation_id.clone();
    let data = serde_json::to_value(&event.data).unwrap_or_default();
    let others = data.as_object().into_iter().flatten().filter(|(name, _)| !SHOWN_DATA.contains(&name.as_str()));
    let fact = |(name, value): (&String, &Value)| (name.replace('_', " "), value_text(value));
    Row {
        position,
        at: Instant::of(event.time),
        event_type: event.r#type,
        subject: event.subject,
        tenant,
        operation,
        facts: others.map(fact).collect(),
    }
}
