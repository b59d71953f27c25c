//! Routes for the remedies of an operation: retry, correct, cancel and adopt.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use freehold_tenancy::approval::ApprovalAction;
use freehold_tenancy::db::lifecycle::{LifecycleResult, RequestResult, RetryResult};
use freehold_tenancy::{AwsAccountId, EmailAddress, OperationId, db};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::load::accepted_response;
use crate::app::App;
use crate::audit::{record_approval, record_id};
use crate::auth::Caller;
use crate::extract::{JsonFields, OptionalJsonFields, PathParam};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use crate::routes::schema::operation::Operation;

/// Corrected value for a retry. A second person must approve it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// New e-mail address for the AWS account: 6 to 64 ASCII characters. The address can only be
    /// corrected before the account is created.
    #[schema(example = "aws+example@example.com", min_length = 6, max_length = 64)]
    pub account_email: String,
}

/// Existing AWS account to adopt. A second person must approve it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptRequest {
    /// Id of the AWS account, which must be active, in this organisation, and never mapped to another environment.
    #[schema(example = "111122223333", pattern = "^[0-9]{12}$")]
    pub aws_account_id: String,
}

/// Retry an operation that needs attention
///
/// Fix the cause first. Parked steps run again at once; late steps poll AWS at once. Returns `409` if the operation no
/// longer needs attention, unless the request repeats an earlier one with the same `Idempotency-Key`. With a body, if
/// the remedy `correct` is offered, the operation is retried with the corrected value after a second person has
/// approved it.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/retry",
    operation_id = "retryOperation",
    tag = "operations",
    params(("id" = String, Path, description = "Operation id", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    request_body(content = Option<RetryRequest>, description = "Empty, or a corrected value"),
    responses(
        (
            status = 202,
            description = "The retry is started, or starts after a second person has approved the corrected value",
            body = Operation, headers(
            ("Location" = String, description = "Path of the operation"),
            ("Retry-After" = u32, description = "Seconds after which to poll"),
        )),
        (
            status = 409,
            description = "The operation does not need attention (`operation_not_parked`), does not offer this remedy \
                (`remedy_not_offered`), or another request is waiting for approval (`approval_pending`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn retry_operation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<OperationId>,
    OptionalJsonFields(fields): OptionalJsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::operation_not_found)?;
    if let Some(mut fields) = fields {
        let email = fields.required::<AccountEmail>("account_email");
        let AccountEmail(email) = fields.finish(email)?;
        let request = json!({ "account_email": email, "adopt_account_id": Value::Null });
        return request_approval(&app, &caller, id, ApprovalAction::Correct, request).await;
    }
    match db::lifecycle::retry(&app.pool, id, &caller.subject, app.clock.now()).await? {
        RetryResult::Scheduled => app.work_notifier.notify(),
        RetryResult::NotFound => return Err(ApiError::operation_not_found()),
        RetryResult::NotOffered => {
            let detail = "The operation does not offer the remedy `retry`; see attention.remedies of the operation.";
            return Err(ApiError::new(Code::RemedyNotOffered, detail));
        }
        RetryResult::NotNeeded(state) => {
            return Err(ApiError::new(
                Code::OperationNotParked,
                format!("The operation does not need attention; its state is {state}."),
            ));
        }
    }
    accepted_response(&app, id).await
}

/// Valid e-mail address for an AWS account.
struct AccountEmail(String);

impl std::str::FromStr for AccountEmail {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address: EmailAddress = text.parse().map_err(|error| format!("{error}"))?;
        let is_valid = (6..=64).contains(&text.len()) && text.is_ascii();
        if is_valid { Ok(Self(address.into())) } else { Err("must have 6 to 64 ASCII characters".to_owned()) }
    }
}

/// Cancel an onboarding
///
/// If the AWS account was not requested yet, the operation ends without having created anything. Otherwise, it ends and
/// an `offboard` operation removes what was created, because AWS cannot undo the creation of an account.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/cancel",
    operation_id = "cancelOperation",
    tag = "operations",
    params(("id" = String, Path, description = "Operation id", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    responses(
        (
            status = 202,
            description = "Canceled. Returns the operation that removes what was created, if there is one, else the \
                canceled operation",
            body = Operation, headers(
            ("Location" = String, description = "Path of the returned operation"),
            ("Retry-After" = u32, description = "Seconds after which to poll"),
        )),
        (
            status = 409,
            description = "The operation cannot be canceled (`operation_not_cancelable`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn cancel_operation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<OperationId>,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::operation_not_found)?;
    let (by, initiator) = (caller.requester(), caller.initiator());
    match db::lifecycle::cancel(&app.pool, id, &by, initiator, app.clock.now()).await? {
        LifecycleResult::Started(followed_by) => {
            followed_by.iter().for_each(record_id);
            app.work_notifier.notify();
            accepted_response(&app, followed_by.first().copied().unwrap_or(id)).await
        }
        LifecycleResult::NotFound => Err(ApiError::operation_not_found()),
        LifecycleResult::LegalHold(reason) => Err(ApiError::legal_hold(&reason)),
        LifecycleResult::AlreadyOffboarded => {
            Err(ApiError::new(Code::OperationNotCancelable, "The operation cannot be canceled: it has finished."))
        }
        // Only a restore, a suspension or a resumption has these results.
        LifecycleResult::Outdated
        | LifecycleResult::Suspended
        | LifecycleResult::ReservedForOperator
        | LifecycleResult::Busy(_) => {
            Err(ApiError::new(Code::OperationNotCancelable, "The operation cannot be canceled."))
        }
        LifecycleResult::NotAllowed(reason) => {
            Err(ApiError::new(Code::OperationNotCancelable, format!("The operation cannot be canceled: {reason}.")))
        }
    }
}

/// Adopt an existing AWS account
///
/// The operation must offer the remedy `adopt`. After a second person has approved, the account belongs to the
/// environment, and onboarding continues in that account.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/adopt",
    operation_id = "adoptAccount",
    tag = "operations",
    params(("id" = String, Path, description = "Operation id", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    request_body = AdoptRequest,
    responses(
        (
            status = 202,
            description = "The request is waiting for approval by a second person",
            body = Operation, headers(
            ("Location" = String, description = "Path of the operation"),
            ("Retry-After" = u32, description = "Seconds after which to poll"),
        )),
        (
            status = 409,
            description = "The account is protected (`account_protected`), the remedy is not offered \
                (`remedy_not_offered`), or another request is waiting for approval (`approval_pending`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn adopt_account(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<OperationId>,
    JsonFields(mut fields): JsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::operation_not_found)?;
    let account: Option<AwsAccountId> = fields.required("aws_account_id");
    let account = fields.finish(account)?;
    // The worker checks this too; the check here returns the error to the caller immediately.
    if let Some(reason) = app.config.organization.protection_reason(&account) {
        return Err(ApiError::new(Code::AccountProtected, format!("Account {account} is protected: {reason}.")));
    }
    if db::account_mappings::was_ever_mapped(&app.pool, &account).await? {
        let reason = "it belongs, or has belonged, to an environment";
        return Err(ApiError::new(Code::AccountProtected, format!("Account {account} is protected: {reason}.")));
    }
    request_approval(&app, &caller, id, ApprovalAction::Adopt, json!({ "adopt_account_id": account })).await
}

/// Requests an action that a second person must approve.
async fn request_approval(
    app: &App,
    caller: &Caller,
    id: OperationId,
    action: ApprovalAction,
    request: Value,
) -> Result<Response, ApiError> {
    match db::lifecycle::request_approval(&app.pool, id, action, &request, &caller.requester(), app.clock.now()).await?
    {
        RequestResult::Created(approval) => {
            record_approval(None, &approval);
            accepted_response(app, id).await
        }
        RequestResult::NotFound => Err(ApiError::operation_not_found()),
        RequestResult::AlreadyPending(pending) => Err(ApiError::new(
            Code::ApprovalPending,
            format!("The request `{}` is waiting for approval; approve or reject it first.", pending.action),
        )),
        RequestResult::NotApplicable => Err(ApiError::new(
            Code::RemedyNotOffered,
            format!("The operation does not offer the remedy `{action}`; see attention.remedies of the operation."),
        )),
    }
}
