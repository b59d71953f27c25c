//! Routes with which a second person approves or rejects a request.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use freehold_tenancy::approval::ApprovalState;
use freehold_tenancy::db::lifecycle::DecisionResult;
use freehold_tenancy::{OperationId, db};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::operations::load::accepted_response;
use super::schema::operation::Operation;
use crate::app::App;
use crate::audit::record_approval;
use crate::auth::Caller;
use crate::extract::{JsonFields, PathParam};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// Identifies the request that is approved or rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDecision {
    /// `request_hash` of the pending approval.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub request_hash: String,
}

/// Approve a request of another person
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
    decide(app, caller, id, body, true).await
}

/// Reject a request that needs approval
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
    decide(app, caller, id, body, false).await
}

async fn decide(
    app: App,
    caller: Caller,
    id: Option<OperationId>,
    JsonFields(mut fields): JsonFields,
    approve: bool,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::operation_not_found)?;
    let hash: Option<RequestHash> = fields.required("request_hash");
    let RequestHash(hash) = fields.finish(hash)?;
    match db::lifecycle::decide(&app.pool, id, &hash, approve, &caller.requester(), app.clock.now()).await? {
        DecisionResult::Recorded(approval) => {
            record_approval(Some(ApprovalState::Pending), &approval);
            app.work_notifier.notify();
            accepted_response(&app, id).await
        }
        DecisionResult::NotFound => Err(ApiError::operation_not_found()),
        DecisionResult::NonePending => {
            Err(ApiError::new(Code::ApprovalNotPending, "No request of this operation is waiting for approval."))
        }
        DecisionResult::HashMismatch(pending) => Err(ApiError::new(
            Code::ApprovalNotPending,
            format!(
                "The pending request is `{}` with the request_hash {}; read the operation again before you decide.",
                pending.action, pending.request_hash
            ),
        )),
        DecisionResult::SamePerson => {
            Err(ApiError::new(Code::ApproverIsRequester, "You are the requester; another person must approve."))
        }
    }
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
