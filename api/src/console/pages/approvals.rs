//! Requests that a second person decides.

use askama::Template;
use axum::Form;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use super::encode;
use crate::console::labels::{self, Instant};
use crate::console::layout::{Layout, html};
use crate::console::session::Visitor;
use crate::problem::ApiError;
use crate::routes::approvals::ApprovalPage;
use crate::routes::schema::approval::ApprovalDetails;
use crate::scope::Scope;

const PAGE: &str = "/console/approvals";

/// Maximum number of requests on the page.
const MAX_ROWS: usize = 100;

#[derive(Template)]
#[template(path = "console/approvals.html")]
struct Approvals {
    layout: Layout,
    rows: Vec<Request>,
}

struct Request {
    id: String,
    title: String,
    tenant_id: String,
    tenant: String,
    environment: String,
    /// Requested values with their names.
    values: Vec<(String, String)>,
    hash: String,
    requested_by: String,
    requested_at: Instant,
    is_own: bool,
    /// Whether the person may decide about requests of others.
    may_decide: bool,
}

#[derive(Deserialize)]
pub(in crate::console) struct Decision {
    request_hash: String,
    reason: Option<String>,
}

pub(in crate::console) async fn show(visitor: Visitor) -> Result<Response, ApiError> {
    let path = format!("/v1/approvals?state=pending&page_size={MAX_ROWS}");
    let page: ApprovalPage = visitor.api.get(&path).await?;
    let rows = page.approvals.into_iter().rev().map(|approval| request(&visitor, approval)).collect();
    html(&Approvals { layout: Layout::of(&visitor, PAGE, "Approvals").await?, rows })
}

fn request(visitor: &Visitor, approval: ApprovalDetails) -> Request {
    let values = approval.request.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    Request {
        values: values.map(|(name, value)| (labels::sentence_case(name), labels::value_text(value))).collect(),
        title: labels::approval_title(&approval.action),
        is_own: approval.requested_by == visitor.api.caller().subject,
        may_decide: visitor.has_scope(Scope::OperationsApprove),
        requested_at: Instant::of(approval.requested_at),
        id: approval.id,
        tenant_id: approval.tenant_id,
        tenant: approval.company_name,
        environment: approval.environment.unwrap_or_default(),
        hash: approval.request_hash,
        requested_by: approval.requested_by,
    }
}

pub(in crate::console) async fn approve(
    visitor: Visitor,
    Path(id): Path<String>,
    Form(decision): Form<Decision>,
) -> Result<Response, ApiError> {
    decide(&visitor, &id, "approve", decision).await
}

pub(in crate::console) async fn reject(
    visitor: Visitor,
    Path(id): Path<String>,
    Form(decision): Form<Decision>,
) -> Result<Response, ApiError> {
    decide(&visitor, &id, "reject", decision).await
}

async fn decide(visitor: &Visitor, id: &str, verb: &str, decision: Decision) -> Result<Response, ApiError> {
    let mut body = json!({ "request_hash": decision.request_hash });
    if let Some(reason) = decision.reason.filter(|reason| !reason.trim().is_empty()) {
        body["reason"] = json!(reason.trim());
    }
    visitor.api.post(&format!("/v1/approvals/{}/{verb}", encode(id)), Some(&body)).await?;
    Ok(Redirect::to(PAGE).into_response())
}
