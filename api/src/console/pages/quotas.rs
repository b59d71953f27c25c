//! Creation of AWS accounts: its state and limits, the queue, and the fleet holds on calls of AWS.

use askama::Template;
use axum::Form;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use super::{TenantNames, encode};
use crate::console::inputs::{Refusal, refusal_of};
use crate::console::labels::{self, Instant};
use crate::console::layout::{Layout, html};
use crate::console::session::Visitor;
use crate::problem::ApiError;
use crate::routes::fleet_holds::{FleetHold, FleetHoldList};
use crate::routes::operations::OperationPage;
use crate::routes::schema::operation::Operation;
use crate::routes::vending::Vending;
use crate::scope::Scope;

const PAGE: &str = "/console/quotas";

/// Number of operations in the queue that the page shows.
const MAX_ROWS: usize = 50;

/// Maximum number of operations of each state that the page reads to find those in the queue.
const MAX_READ: usize = 2000;

#[derive(Deserialize)]
pub(in crate::console) struct PauseForm {
    reason: String,
}

/// Pause that was refused, with the text of its form.
#[derive(Default)]
struct RefusedPause {
    refusal: Refusal,
    reason: String,
}

#[derive(Template)]
#[template(path = "console/quotas.html")]
struct Quotas {
    layout: Layout,
    vending: Vending,
    accounts: String,
    accounts_last_day: String,
    next_account_at: Option<Instant>,
    /// Person who paused vending, with the time.
    paused: Option<(String, Instant)>,
    may_change: bool,
    refused: RefusedPause,
    holds: Vec<Hold>,
    queue: Vec<Row>,
    /// Number of operations in the queue that the page leaves out.
    more: usize,
}

struct Hold {
    title: String,
    code: String,
    message: String,
    quota: String,
    since: Instant,
    probe_at: Instant,
    probing_operation: Option<String>,
    waiting: i64,
}

struct Row {
    position: u32,
    operation: String,
    title: String,
    tenant_id: String,
    tenant: String,
    environment: String,
    estimate: Option<Instant>,
    requested_at: Instant,
}

pub(in crate::console) async fn show(visitor: Visitor) -> Result<Response, ApiError> {
    show_with(&visitor, RefusedPause::default()).await
}

async fn show_with(visitor: &Visitor, refused: RefusedPause) -> Result<Response, ApiError> {
    let vending: Vending = visitor.api.get("/v1/vending").await?;
    let holds: FleetHoldList = visitor.api.get("/v1/fleet-holds").await?;
    let mut queued = read_queue(visitor).await?;
    let more = queued.len().saturating_sub(MAX_ROWS);
    queued.truncate(MAX_ROWS);
    let (mut queue, mut names) = (Vec::new(), TenantNames::default());
    for (position, operation) in queued {
        let tenant = names.of(visitor, &operation.tenant_id).await;
        queue.push(row(position, operation, tenant));
    }
    let limited = |count: i64, maximum: Option<u32>| match maximum {
        Some(maximum) => format!("{count} of at most {maximum}"),
        None => format!("{count}, unlimited"),
    };
    let paused = vending.pause.as_ref().map(|pause| (pause.paused_by.clone(), Instant::of(pause.paused_at)));
    let page = Quotas {
        layout: Layout::of(visitor, PAGE, "Quotas").await?,
        accounts: limited(vending.accounts, vending.max_accounts),
        accounts_last_day: limited(vending.accounts_last_day, vending.max_accounts_per_day),
        next_account_at: vending.next_account_at.map(Instant::of),
        paused,
        vending,
        may_change: visitor.has_scope(Scope::OperationsWrite),
        refused,
        holds: holds.holds.into_iter().map(hold).collect(),
        queue,
        more,
    };
    html(&page)
}

/// Returns the operations in the queue for AWS accounts, the next one first.
async fn read_queue(visitor: &Visitor) -> Result<Vec<(u32, Operation)>, ApiError> {
    let mut queued = Vec::new();
    for state in ["pending", "running"] {
        let first = format!("/v1/operations?state={state}&page_size=200");
        let (mut path, mut read) = (first.clone(), 0);
        while read < MAX_READ {
            let page: OperationPage = visitor.api.get(&path).await?;
            read += page.operations.len();
            let with_position = |operation: Operation| Some((operation.queue.as_ref()?.position, operation));
            queued.extend(page.operations.into_iter().filter_map(with_position));
            let Some(token) = page.next_page_token else { break };
            path = format!("{first}&page_token={}", encode(&token));
        }
    }
    queued.sort_by_key(|(position, _)| *position);
    Ok(queued)
}

fn row(position: u32, operation: Operation, tenant: String) -> Row {
    Row {
        position,
        title: labels::operation_title(&operation.kind),
        estimate: operation.queue.and_then(|queue| queue.estimated_ready_at).map(Instant::of),
        requested_at: Instant::of(operation.created_at),
        operation: operation.id,
        tenant_id: operation.tenant_id,
        tenant,
        environment: operation.environment,
    }
}

fn hold(hold: FleetHold) -> Hold {
    Hold {
        title: labels::sentence_case(&hold.code),
        code: hold.code,
        message: hold.message,
        quota: hold.quota,
        since: Instant::of(hold.since),
        probe_at: Instant::of(hold.probe_at),
        probing_operation: hold.probing_operation_id,
        waiting: hold.waiting,
    }
}

/// Pauses the creation of accounts, or changes the reason of the pause.
pub(in crate::console) async fn pause(visitor: Visitor, Form(form): Form<PauseForm>) -> Result<Response, ApiError> {
    let body = json!({ "reason": form.reason.trim() });
    match refusal_of(visitor.api.put("/v1/vending/pause", &body).await, &["reason"])? {
        Ok(()) => Ok(Redirect::to(PAGE).into_response()),
        Err(refusal) => show_with(&visitor, RefusedPause { refusal, reason: form.reason }).await,
    }
}

/// Resumes the creation of accounts.
pub(in crate::console) async fn resume(visitor: Visitor) -> Result<Response, ApiError> {
    visitor.api.delete("/v1/vending/pause", None).await?;
    Ok(Redirect::to(PAGE).into_response())
}
