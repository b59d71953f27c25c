//! List of tenants, with a search.

use askama::Template;
use axum::extract::Query;
use axum::response::{IntoResponse, Redirect, Response};
use freehold_tenancy::{OperationId, TenantId};
use serde::Deserialize;

use super::encode;
use crate::console::labels::{Instant, State};
use crate::console::layout::{Layout, html};
use crate::console::session::Visitor;
use crate::problem::ApiError;
use crate::routes::schema::tenant::Tenant;
use crate::routes::tenants::TenantPage;

/// Number of tenants on a page.
const PAGE_SIZE: usize = 50;

/// States by which the list can be filtered.
const STATES: [&str; 8] =
    ["needs_attention", "degraded", "onboarding", "restoring", "ready", "suspended", "offboarding", "offboarded"];

#[derive(Deserialize)]
pub(in crate::console) struct Filter {
    q: Option<String>,
    state: Option<String>,
    region: Option<String>,
    page: Option<String>,
}

#[derive(Template)]
#[template(path = "console/tenants.html")]
struct Tenants {
    layout: Layout,
    q: String,
    region: String,
    states: Vec<StateOption>,
    rows: Vec<Row>,
    /// Path of the next page; `None` on the last one.
    next: Option<String>,
}

struct StateOption {
    value: &'static str,
    label: String,
    is_selected: bool,
}

struct Row {
    id: String,
    company_name: String,
    admin_email: String,
    state: State,
    regions: String,
    accounts: String,
    signed_up: Instant,
}

pub(in crate::console) async fn list(visitor: Visitor, Query(filter): Query<Filter>) -> Result<Response, ApiError> {
    let q = filter.q.unwrap_or_default().trim().to_owned();
    // A search for an id redirects to its page.
    if q.parse::<TenantId>().is_ok() {
        return Ok(Redirect::to(&format!("/console/tenants/{q}")).into_response());
    }
    if q.parse::<OperationId>().is_ok() {
        return Ok(Redirect::to(&format!("/console/operations/{q}")).into_response());
    }
    let state = filter.state.unwrap_or_default();
    let mut query = format!("page_size={PAGE_SIZE}");
    let region = filter.region.unwrap_or_default();
    let token = filter.page.unwrap_or_default();
    for (name, value) in [("q", &q), ("state", &state), ("region", &region), ("page_token", &token)] {
        if !value.is_empty() {
            query = format!("{query}&{name}={}", encode(value));
        }
    }
    let page: TenantPage = visitor.api.get(&format!("/v1/tenants?{query}")).await?;
    let next = page.next_page_token.map(|token| {
        let [q, state, region, token] = [&q, &state, &region, &token].map(|text| encode(text));
        format!("/console/tenants?q={q}&state={state}&region={region}&page={token}")
    });
    let option =
        |value: &'static str| StateOption { value, label: State::of(value).label, is_selected: value == state };
    let mut layout = Layout::of(&visitor, "/console/tenants", "Tenants").await?;
    layout.search.clone_from(&q);
    let rows = page.tenants.iter().map(row).collect();
    html(&Tenants { layout, q, region, states: STATES.map(option).into(), rows, next })
}

fn row(tenant: &Tenant) -> Row {
    let list = |texts: Vec<&str>| {
        let mut texts = texts;
        texts.sort_unstable();
        texts.dedup();
        texts.join(", ")
    };
    Row {
        id: tenant.id.clone(),
        company_name: tenant.company_name.clone(),
        admin_email: tenant.admin_email.clone().unwrap_or_default(),
        state: State::of(&tenant.state),
        regions: list(tenant.environments.iter().map(|one| one.home_region.as_str()).collect()),
        accounts: list(tenant.environments.iter().filter_map(|one| one.aws_account_id.as_deref()).collect()),
        signed_up: Instant::of(tenant.created_at),
    }
}
