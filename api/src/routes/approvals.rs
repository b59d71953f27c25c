//! Routes that list approvals, and with which a second person approves or rejects a request.

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use freehold_tenancy::approval::{ApprovalRecord, ApprovalState};
use freehold_tenancy::db::approvals::ApprovalFilter;
use freehold_tenancy::db::lifecycle::{DecisionResult, TierDecisionResult};
use freehold_tenancy::{ApprovalId, OperationId, Tier, db};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::legal_hold::Reason;
use super::operations::load::accepted_response;
use super::schema::approval::ApprovalDetails;
use super::schema::enums;
use super::schema::operation::Operation;
use super::tenants::signup;
use crate::app::App;
use crate::audit::{record_approval, record_approval_state, record_change};
use crate::auth::Caller;
use crate::extract::{JsonFields, PathParam, QueryFields};
use crate::pagination::Page;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// Identifies the request that is approved or rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDecision {
    /// `request_hash` of the pending approval.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub request_hash: String,
    /// Reason of the decision, as a sentence of 1 to 500 characters. Give one for each rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "The contract is not signed.", min_length = 1, max_length = 500)]
    pub reason: Option<String>,
}

/// Page of approvals, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalPage {
    /// Approvals of this page.
    pub approvals: Vec<ApprovalDetails>,
    /// Token of the next page; `null` on the last page.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// Parsed decision of a request body.
struct Decision {
    request_hash: String,
    reason: Option<String>,
    approve: bool,
}

impl Decision {
    fn parse(JsonFields(mut fields): JsonFields, approve: bool) -> Result<Self, ApiError> {
        let hash: Option<RequestHash> = fields.required("request_hash");
        let reason = fields.optional("reason").map(|Reason(reason)| reason);
        fields.finish(hash.map(|RequestHash(request_hash)| Self { request_hash, reason, approve }))
    }
}

/// List approvals, newest first
///
/// An approval contains the exact request with its requester, the decision with its person and reason, and the result.
#[utoipa::path(
    get,
    path = "/v1/approvals",
    operation_id = "listApprovals",
    tag = "operations",
    params(
        (
            "page_size" = Option<i64>, Query,
            description = "Page size [default: 50]",
            minimum = 1, maximum = 200, example = 50
        ),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the previous page"),
        (
            "state" = Option<enums::ApprovalState>, Query,
            description = "Only approvals in this state",
            example = "pending"
        ),
        (
            "tenant" = Option<String>, Query,
            description = "Only approvals of this tenant",
            example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"
        ),
    ),
    responses((status = 200, description = "Page of approvals", body = ApprovalPage)),
)]
pub(crate) async fn list_approvals(
    State(app): State<App>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<ApprovalPage>, ApiError> {
    let page = Page::from_query("approvals", &mut query)?;
    let filter = ApprovalFilter { id: None, state: query.optional("state"), tenant: query.optional("tenant") };
    let filter = query.finish(Some(filter))?;
    let mut approvals = db::approvals::list(&app.pool, &filter, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut approvals, |approval| approval.id.as_uuid());
    Ok(Json(ApprovalPage { approvals: approvals.into_iter().map(ApprovalDetails::from).collect(), next_page_token }))
}

/// Get an approval
#[utoipa::path(
    get,
    path = "/v1/approvals/{id}",
    operation_id = "getApproval",
    tag = "operations",
    params(("id" = String, Path, description = "Approval id", example = "apr_01k2m8v3x9e7rt4s5q6w7y8z9d")),
    responses((status = 200, description = "Approval", body = ApprovalDetails)),
)]
pub(crate) async fn get_approval(
    State(app): State<App>,
    PathParam(id): PathParam<ApprovalId>,
) -> Result<Json<ApprovalDetails>, ApiError> {
    Ok(Json(load(&app, id).await?.into()))
}

/// Approve a request of another person
///
/// The hash binds the approval to the exact request. The requester cannot approve.
#[utoipa::path(
    post,
    path = "/v1/approvals/{id}/approve",
    operation_id = "approveRequest",
    tag = "operations",
    params(("id" = String, Path, description = "Approval id", example = "apr_01k2m8v3x9e7rt4s5q6w7y8z9d")),
    request_body = ApprovalDecision,
    responses(
        (status = 200, description = "Approved; the request is carried out", body = ApprovalDetails),
        (
            status = 403,
            description = "The requester cannot approve (`approver_is_requester`), or the token lacks the scope",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 409,
            description = "The request is not pending or has another hash (`approval_not_pending`), or the change is \
                no longer possible (`approval_outdated`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn approve_request(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<ApprovalId>,
    body: JsonFields,
) -> Result<Json<ApprovalDetails>, ApiError> {
    decide_approval(&app, &caller, id, &Decision::parse(body, true)?).await
}

/// Reject a request that needs approval
#[utoipa::path(
    post,
    path = "/v1/approvals/{id}/reject",
    operation_id = "rejectRequest",
    tag = "operations",
    params(("id" = String, Path, description = "Approval id", example = "apr_01k2m8v3x9e7rt4s5q6w7y8z9d")),
    request_body = ApprovalDecision,
    responses(
        (status = 200, description = "Rejected; the request is not carried out", body = ApprovalDetails),
        (
            status = 409,
            description = "The request is not pending or has another hash (`approval_not_pending`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn reject_request(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<ApprovalId>,
    body: JsonFields,
) -> Result<Json<ApprovalDetails>, ApiError> {
    decide_approval(&app, &caller, id, &Decision::parse(body, false)?).await
}

/// Approve the pending request of an operation
///
/// The hash binds the approval to the exact request. The requester cannot approve.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/approve",
    operation_id = "approveOperation",
    tag = "operations",
    params(("id" = String, Path, description = "Operation id", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    request_body = ApprovalDecision,
    responses(
        (status = 202, description = "Approved; the operation continues", body = Operation),
        (
            status = 403,
            description = "The requester cannot approve (`approver_is_requester`), or the token lacks the scope",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 409,
            description = "No request with this hash is pending (`approval_not_pending`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn approve_operation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<OperationId>,
    body: JsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::operation_not_found)?;
    decide_operation(&app, &caller, id, &Decision::parse(body, true)?).await?;
    accepted_response(&app, id).await
}

/// Reject the pending request of an operation
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/reject",
    operation_id = "rejectOperation",
    tag = "operations",
    params(("id" = String, Path, description = "Operation id", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    request_body = ApprovalDecision,
    responses(
        (status = 202, description = "Rejected; the request is not carried out", body = Operation),
        (
            status = 409,
            description = "No request with this hash is pending (`approval_not_pending`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn reject_operation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<OperationId>,
    body: JsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::operation_not_found)?;
    decide_operation(&app, &caller, id, &Decision::parse(body, false)?).await?;
    accepted_response(&app, id).await
}

async fn load(app: &App, id: Option<ApprovalId>) -> Result<ApprovalRecord, ApiError> {
    let not_found = || ApiError::new(Code::ApprovalNotFound, "There is no approval with this id.");
    db::approvals::get(&app.pool, id.ok_or_else(not_found)?).await?.ok_or_else(not_found)
}

async fn decide_approval(
    app: &App,
    caller: &Caller,
    id: Option<ApprovalId>,
    decision: &Decision,
) -> Result<Json<ApprovalDetails>, ApiError> {
    let approval = load(app, id).await?;
    if approval.state != ApprovalState::Pending {
        let detail = format!("The approval {} is {} already.", approval.id, approval.state);
        return Err(ApiError::new(Code::ApprovalNotPending, detail));
    }
    if approval.request_hash != decision.request_hash {
        return Err(hash_mismatch(approval.action.as_str(), &approval.request_hash));
    }
    match &approval.operation {
        Some(operation) => decide_operation(app, caller, operation.id, decision).await?,
        None => decide_tier(app, caller, &approval, decision).await?,
    }
    Ok(Json(load(app, id).await?.into()))
}

async fn decide_operation(app: &App, caller: &Caller, id: OperationId, decision: &Decision) -> Result<(), ApiError> {
    let Decision { request_hash, reason, approve } = decision;
    let (by, now) = (caller.requester(), app.clock.now());
    match db::lifecycle::decide(&app.pool, id, request_hash, *approve, reason.as_deref(), &by, now).await? {
        DecisionResult::Recorded(approval) => {
            record_approval(Some(ApprovalState::Pending), &approval);
            app.work_notifier.notify();
            Ok(())
        }
        DecisionResult::NotFound => Err(ApiError::operation_not_found()),
        DecisionResult::NonePending => {
            Err(ApiError::new(Code::ApprovalNotPending, "No request of this operation is waiting for approval."))
        }
        DecisionResult::HashMismatch(pending) => Err(hash_mismatch(pending.action.as_str(), &pending.request_hash)),
        DecisionResult::SamePerson => Err(same_person()),
    }
}

async fn decide_tier(
    app: &App,
    caller: &Caller,
    approval: &ApprovalRecord,
    decision: &Decision,
) -> Result<(), ApiError> {
    let Decision { request_hash, reason, approve } = decision;
    if *approve {
        check_tier(app, approval).await?;
    }
    let (by, now, tenant) = (caller.requester(), app.clock.now(), approval.tenant_id);
    match db::lifecycle::decide_tier(&app.pool, tenant, request_hash, *approve, reason.as_deref(), &by, now).await? {
        TierDecisionResult::Recorded => {
            let state = if *approve { ApprovalState::Approved } else { ApprovalState::Rejected };
            record_approval_state(approval.id, Some(ApprovalState::Pending), state, approval.action, &approval.request);
            if *approve {
                record_change("tier", approval.request.get("from"), approval.request.get("tier"));
            }
            // The change adds a feed event, which may have to be delivered to webhook endpoints.
            app.work_notifier.notify();
            Ok(())
        }
        TierDecisionResult::NotPending => {
            Err(ApiError::new(Code::ApprovalNotPending, "The tenant has no pending change of its tier any more."))
        }
        TierDecisionResult::Outdated => Err(outdated("The tenant has another tier than at the request.")),
        TierDecisionResult::HashMismatch(hash) => Err(hash_mismatch(approval.action.as_str(), &hash)),
        TierDecisionResult::SamePerson => Err(same_person()),
    }
}

/// Checks that the configuration still accepts the requested tier for the tenant.
async fn check_tier(app: &App, approval: &ApprovalRecord) -> Result<(), ApiError> {
    let tier: Option<Tier> = approval.request.get("tier").and_then(|tier| tier.as_str()?.parse().ok());
    let Some(tier) = tier.filter(|tier| app.config.tier(tier).is_some()) else {
        return Err(outdated("The requested tier is no longer in the configuration."));
    };
    let tenant = db::tenants::get(&app.pool, approval.tenant_id).await?.ok_or_else(ApiError::tenant_not_found)?;
    let violation = tenant.admin_email.and_then(|email| signup::user_violation(&app.config, &tier, &email));
    violation.map_or(Ok(()), |violation| Err(outdated(&format!("The admin_email of the tenant {violation}."))))
}

fn outdated(why: &str) -> ApiError {
    ApiError::new(Code::ApprovalOutdated, format!("{why} Reject the request and make a new one."))
}

fn hash_mismatch(action: &str, hash: &str) -> ApiError {
    let detail = format!(
        "The pending request is `{action}` with the request_hash {hash}; read the approval again before you decide."
    );
    ApiError::new(Code::ApprovalNotPending, detail)
}

fn same_person() -> ApiError {
    ApiError::new(Code::ApproverIsRequester, "You are the requester; another person must approve.")
}

struct RequestHash(String);

impl std::str::FromStr for RequestHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_valid = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_valid
            .then(|| Self(text.to_ascii_lowercase()))
            .ok_or("must be the request_hash of an approval: 64 hexadecimal digits")
    }
}
