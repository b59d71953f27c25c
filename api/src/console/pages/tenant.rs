//! Page of a tenant: where it stands, why it waits, and what to do.

use askama::Template;
use axum::extract::{Path, Query, State as AppState};
use axum::response::Response;
use serde::Deserialize;

use super::operation::{self, OperationView, view};
use super::tenant_actions::{self, ActionLink};
use crate::app::App;
use crate::console::labels::{Instant, State};
use crate::console::layout::{Layout, html};
use crate::console::session::Visitor;
use crate::problem::{ApiError, Code};
use crate::routes::schema::operation::Operation;
use crate::routes::schema::tenant::{Environment, Tenant};
use crate::scope::Scope;

#[derive(Deserialize)]
pub(in crate::console) struct Selection {
    environment: Option<String>,
}

#[derive(Template)]
#[template(path = "console/tenant.html")]
struct TenantPage {
    layout: Layout,
    tenant: Tenant,
    state: State,
    signed_up: Instant,
    environments: Vec<EnvironmentLink>,
    environment: Option<Environment>,
    operation: Option<OperationView>,
    /// Pages of actions that are possible.
    actions: Vec<ActionLink>,
    /// Pages that show the record of the tenant.
    records: Vec<ActionLink>,
}

struct EnvironmentLink {
    name: String,
    state: State,
    is_current: bool,
}

pub(in crate::console) async fn show(
    AppState(app): AppState<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(selection): Query<Selection>,
) -> Result<Response, ApiError> {
    let tenant: Tenant = visitor.api.get(&format!("/v1/tenants/{}", super::encode(&id))).await?;
    let selected = match &selection.environment {
        Some(name) => {
            let found = tenant.environments.iter().find(|one| one.name == *name);
            Some(found.ok_or_else(|| ApiError::new(Code::EnvironmentNotFound, "The tenant has no such environment."))?)
        }
        // The environment that a person must look at first.
        None => tenant.environments.iter().min_by_key(|one| match one.state.as_str() {
            "needs_attention" | "degraded" => 0,
            "ready" => 2,
            "offboarded" => 3,
            _ => 1,
        }),
    };
    let selected = selected.cloned();
    let can_read_operations = visitor.has_scope(Scope::OperationsRead);
    let mut shown = None;
    let operation = match &selected {
        Some(environment) if can_read_operations => {
            let path = format!("/v1/operations/{}", environment.operation_id);
            let operation: Operation = visitor.api.get(&path).await?;
            shown = Some(operation::shown(&operation)?);
            Some(view(&visitor, &tenant.company_name, operation, app.clock.now()))
        }
        _ => None,
    };
    let link = |one: &Environment| EnvironmentLink {
        name: one.name.clone(),
        state: State::of(&one.state),
        is_current: selected.as_ref().is_some_and(|selected| selected.id == one.id),
    };
    let page = TenantPage {
        layout: Layout::of(&visitor, "/console/tenants", tenant.company_name.clone()).await?,
        state: State::of(&tenant.state),
        signed_up: Instant::of(tenant.created_at),
        environments: tenant.environments.iter().map(link).collect(),
        environment: selected,
        operation,
        actions: tenant_actions::links(&visitor, &tenant),
        records: record_links(&visitor, &tenant.id),
        tenant,
    };
    let mut response = html(&page)?;
    shown.map(|shown| response.extensions_mut().insert(shown));
    Ok(response)
}

/// Returns links to the pages with the events, accounts and audit entries of a tenant.
fn record_links(visitor: &Visitor, tenant: &str) -> Vec<ActionLink> {
    let pages = [
        ("Events", "events", Scope::EventsRead),
        ("Accounts", "accounts", Scope::AccountMappingsRead),
        ("Audit trail", "audit", Scope::AuditRead),
    ];
    let pages = pages.into_iter().filter(|(.., scope)| visitor.has_scope(*scope));
    let link = |(label, page, _): (&str, &str, Scope)| ActionLink {
        path: format!("/console/{page}?tenant={tenant}"),
        label: label.to_owned(),
    };
    pages.map(link).collect()
}
