//! Search for tenants, operations and other objects.

use askama::Template;
use axum::extract::Query;
use axum::response::{IntoResponse, Redirect, Response};
use freehold_tenancy::Region;
use serde::Deserialize;

use super::encode;
use crate::console::labels;
use crate::console::layout::{Layout, html};
use crate::console::session::Visitor;
use crate::problem::ApiError;
use crate::routes::search::{SearchHit, SearchResult};

#[derive(Deserialize)]
pub(in crate::console) struct SearchQuery {
    q: Option<String>,
}

#[derive(Template)]
#[template(path = "console/search.html")]
struct SearchPage {
    layout: Layout,
    q: String,
    rows: Vec<Row>,
}

struct Row {
    path: String,
    name: String,
    id: String,
    kind: String,
}

pub(in crate::console) async fn show(visitor: Visitor, Query(query): Query<SearchQuery>) -> Result<Response, ApiError> {
    let q = query.q.unwrap_or_default().trim().to_owned();
    if q.parse::<Region>().is_ok() {
        return Ok(Redirect::to(&format!("/console/tenants?region={}", encode(&q))).into_response());
    }
    let mut hits = Vec::new();
    if !q.is_empty() {
        let result: SearchResult = visitor.api.get(&format!("/v1/search?q={}", encode(&q))).await?;
        hits = result.hits;
    }
    let mut exact = hits.iter().filter(|hit| hit.r#match == "exact");
    // The only match leads directly to its page, and so does the only exact match.
    let only = match (hits.as_slice(), exact.next(), exact.next()) {
        ([hit], ..) | (_, Some(hit), None) => path(hit),
        _ => None,
    };
    if let Some(path) = only {
        return Ok(Redirect::to(&path).into_response());
    }
    let rows = hits.iter().filter_map(|hit| Some(row(hit, path(hit)?))).collect();
    let mut layout = Layout::of(&visitor, "/console/search", "Search").await?;
    layout.search.clone_from(&q);
    html(&SearchPage { layout, q, rows })
}

/// Returns the path of the page that shows an object; `None` if the console has none.
fn path(hit: &SearchHit) -> Option<String> {
    let tenant = hit.tenant_id.as_ref();
    match hit.kind.as_str() {
        "tenant" => Some(format!("/console/tenants/{}", hit.id)),
        "environment" => {
            let environment = encode(hit.detail.as_deref().unwrap_or_default());
            tenant.map(|tenant| format!("/console/tenants/{tenant}?environment={environment}"))
        }
        "operation" => Some(format!("/console/operations/{}", hit.id)),
        "rollout" => Some(format!("/console/rollouts/{}", hit.id)),
        "finding" => Some(tenant.map_or("/console/findings".to_owned(), |tenant| format!("/console/tenants/{tenant}"))),
        _ => None,
    }
}

fn row(hit: &SearchHit, path: String) -> Row {
    let title = match hit.kind.as_str() {
        "operation" => labels::operation_title(hit.detail.as_deref().unwrap_or_default()),
        _ => String::new(),
    };
    let parts = [title, hit.company_name.clone().unwrap_or_default()];
    let name = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" of ");
    let name = if name.is_empty() { hit.id.clone() } else { name };
    Row { path, name, id: hit.id.clone(), kind: labels::sentence_case(&hit.kind) }
}
