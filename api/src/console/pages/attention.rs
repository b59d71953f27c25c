//! List of the operations that need a person, the oldest first.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{encode, tenant_name};
use crate::app::App;
use crate::console::labels::{self, Instant};
use crate::console::layout::{Layout, html};
use crate::console::session::Visitor;
use crate::problem::ApiError;
use crate::routes::operations::OperationPage;

/// Maximum number of operations on the page.
const MAX_ROWS: usize = 100;

/// Number of operations in one call of the API.
const PAGE_SIZE: usize = 200;

/// Number of operations from which the page reads no more.
const MAX_READ: usize = 2000;

/// Number of operations with one code from which the page shows the codes with their numbers.
const MANY: usize = 5;

#[derive(Deserialize)]
pub(in crate::console) struct Filter {
    code: Option<String>,
}

/// Operation that needs a person.
pub(super) struct Waiting {
    pub(super) operation: String,
    pub(super) title: String,
    /// Company name, or the id of the tenant if the person may not read tenants.
    pub(super) tenant: String,
    pub(super) environment: String,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) since: Instant,
    pub(super) waited: String,
}

#[derive(Template)]
#[template(path = "console/attention.html")]
struct Attention {
    layout: Layout,
    rows: Vec<Waiting>,
    has_more: bool,
    /// Codes that many operations have, with their numbers.
    groups: Vec<(String, usize)>,
    code: Option<String>,
}

pub(in crate::console) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Result<Response, ApiError> {
    let code = filter.code.filter(|code| !code.is_empty());
    let (rows, has_more) = waiting(&visitor, app.clock.now(), code.as_deref(), MAX_ROWS).await?;
    let mut counts = BTreeMap::<&str, usize>::new();
    for row in &rows {
        *counts.entry(&row.code).or_default() += 1;
    }
    let groups = counts.into_iter().filter(|(_, count)| *count >= MANY && code.is_none());
    let groups = groups.map(|(code, count)| (code.to_owned(), count)).collect();
    let layout = Layout::of(&visitor, "/console/attention", "Needs attention").await?;
    html(&Attention { layout, rows, has_more, groups, code })
}

/// Returns at most `limit` operations that need a person, the one that has waited longest first, and whether there are
/// more.
pub(super) async fn waiting(
    visitor: &Visitor,
    now: DateTime<Utc>,
    code: Option<&str>,
    limit: usize,
) -> Result<(Vec<Waiting>, bool), ApiError> {
    let code = code.map_or_else(String::new, |code| format!("&code={}", encode(code)));
    let mut path = format!("/v1/operations?state=needs_attention&page_size={PAGE_SIZE}{code}");
    let (mut operations, first) = (Vec::new(), path.clone());
    while operations.len() < MAX_READ {
        let page: OperationPage = visitor.api.get(&path).await?;
        operations.extend(page.operations);
        let Some(token) = page.next_page_token else { break };
        path = format!("{first}&page_token={}", encode(&token));
    }
    operations.sort_by_key(|operation| operation.updated_at);
    let has_more = operations.len() > limit;
    operations.truncate(limit);
    let mut names = BTreeMap::<String, String>::new();
    let mut rows = Vec::new();
    for operation in operations {
        let tenant = match names.get(&operation.tenant_id) {
            Some(name) => name.clone(),
            None => tenant_name(visitor, &operation.tenant_id).await?,
        };
        names.insert(operation.tenant_id, tenant.clone());
        let attention = operation.attention;
        rows.push(Waiting {
            title: labels::operation_title(&operation.kind),
            operation: operation.id,
            tenant,
            environment: operation.environment,
            code: attention.as_ref().map_or_else(String::new, |attention| attention.code.clone()),
            message: attention.map_or_else(String::new, |attention| attention.message),
            waited: labels::duration(now - operation.updated_at),
            since: Instant::of(operation.updated_at),
        });
    }
    Ok((rows, has_more))
}
