//! The second person's word: adopting an account, trying again with another value, closing an account.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use freehold_tenancy::db::lifecycle::DecisionResult;
use freehold_tenancy::{OperationId, db};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::operations::load::accepted;
use super::schema::operation::Operation;
use crate::app::App;
use crate::auth::Caller;
use crate::extract::{JsonFields, PathParam};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// What is approved or rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDecision {
    /// `request_hash` of the approval that is pending.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub request_hash: String,
}

/// Approve what another person has asked for
///
/// The hash binds the approval to exactly what was asked. Who asked cannot approve.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/approve",
    operation_id = "approveOperation",
    tag = "operations",
    params(("id" = String, Path, description = "The operation", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    request_body = ApprovalDecision,
    responses(
        (status = 202, description = "It is approved and will be done", body = Operation),
        (status = 403, description = "Who asked cannot approve (`approver_is_requester`), or the token lacks the scope", body = Problem, content_type = MEDIA_TYPE),
        (status = 409, description = "Nothing with this hash waits for approval (`approval_not_pending`)", body = Problem, content_type = MEDIA_TYPE),
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

/// Reject what somebody has asked for
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/reject",
    operation_id = "rejectOperation",
    tag = "operations",
    params(("id" = String, Path, description = "The operation", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    request_body = ApprovalDecision,
    responses(
        (status = 202, description = "It is rejected and will not be done", body = Operation),
        (status = 409, description = "Nothing with this hash waits for approval (`approval_not_pending`)", body = Problem, content_type = MEDIA_TYPE),
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
    let id = id.ok_or_else(ApiError::no_operation)?;
    let hash: Option<Hash> = fields.required("request_hash");
    let Hash(hash) = fields.finish(hash)?;
    match db::lifecycle::decide(&app.pool, id, &hash, approve, &caller.requester(), app.clock.now()).await? {
        DecisionResult::Yes(_) => {
            app.work_notifier.notify();
            accepted(&app, id).await
        }
        DecisionResult::Unknown => Err(ApiError::no_operation()),
        DecisionResult::Nothing => {
            Err(ApiError::new(Code::ApprovalNotPending, "Nothing waits for approval on this operation."))
        }
        DecisionResult::Other(pending) => Err(ApiError::new(
            Code::ApprovalNotPending,
            format!(
                "What waits for approval is `{}` with the request_hash {}; look at it again.",
                pending.action, pending.request_hash
            ),
        )),
        DecisionResult::SamePerson => Err(ApiError::new(
            Code::ApproverIsRequester,
            "You have asked for this yourself; another person has to approve it.",
        )),
    }
}

/// SHA-256 in hexadecimal digits.
struct Hash(String);

impl std::str::FromStr for Hash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self(text.to_ascii_lowercase()))
            .ok_or("this is the request_hash of an approval: 64 hexadecimal digits")
    }
}
