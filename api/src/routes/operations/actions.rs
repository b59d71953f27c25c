//! What a person can do about an operation: have it tried again, give it up, name an account that is there already.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use freehold_tenancy::approval::ApprovalAction;
use freehold_tenancy::db::lifecycle::{LifecycleResult, RequestResult, RetryResult};
use freehold_tenancy::{AwsAccountId, EmailAddress, OperationId, db};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::load::accepted;
use crate::app::App;
use crate::auth::Caller;
use crate::extract::{JsonFields, OptionalJsonFields, PathParam};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use crate::routes::schema::operation::Operation;

/// Another value to try again with. Another person has to approve it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// Another e-mail address for the AWS account: 6 to 64 ASCII characters. Only while no account was made under the first.
    #[schema(example = "aws+example@example.com", min_length = 6, max_length = 64)]
    pub account_email: String,
}

/// An AWS account that is there already. Another person has to approve it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptRequest {
    /// The account: active, in this organisation, and never another environment's.
    #[schema(example = "111122223333", pattern = "^[0-9]{12}$")]
    pub aws_account_id: String,
}

/// Have an operation that needs attention tried again
///
/// Once the cause is gone: what is parked is run again at once, and what is late looks at once. It may be sent again: what
/// does not need attention any more is left alone (`409`), unless an `Idempotency-Key` says that it is the same request. With a body,
/// where the remedy `correct` is offered, it is tried again with another value once another person has approved that.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/retry",
    operation_id = "retryOperation",
    tag = "operations",
    params(("id" = String, Path, description = "The operation", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    request_body(content = Option<RetryRequest>, description = "Nothing, or a corrected value"),
    responses(
        (status = 202, description = "It is tried again, or will be once another person has approved the corrected value", body = Operation, headers(
            ("Location" = String, description = "Where the operation is found"),
            ("Retry-After" = u32, description = "Seconds after which to look again"),
        )),
        (status = 409, description = "It does not need attention (`operation_not_parked`), or not this (`remedy_not_offered`), or something else waits for approval (`approval_pending`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn retry_operation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<OperationId>,
    OptionalJsonFields(fields): OptionalJsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::no_operation)?;
    if let Some(mut fields) = fields {
        let email = fields.required::<AccountEmail>("account_email");
        let AccountEmail(email) = fields.finish(email)?;
        let request = json!({ "account_email": email, "adopt_account_id": Value::Null });
        return ask(&app, &caller, id, ApprovalAction::Correct, request).await;
    }
    match db::lifecycle::retry(&app.pool, id, &caller.subject, app.clock.now()).await? {
        RetryResult::Yes => app.work_notifier.notify(),
        RetryResult::Unknown => return Err(ApiError::no_operation()),
        RetryResult::NotOffered => {
            let detail = "Trying again is no remedy for what the operation waits for; see its attention's remedies.";
            return Err(ApiError::new(Code::RemedyNotOffered, detail));
        }
        RetryResult::Not(state) => {
            return Err(ApiError::new(
                Code::OperationNotParked,
                format!("The operation does not need attention: its state is {state}."),
            ));
        }
    }
    accepted(&app, id).await
}

/// An address as Organizations takes it.
struct AccountEmail(String);

impl std::str::FromStr for AccountEmail {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address: EmailAddress = text.parse().map_err(|error| format!("{error}"))?;
        let fits = (6..=64).contains(&text.len()) && text.is_ascii();
        if fits { Ok(Self(address.into())) } else { Err("this has 6 to 64 ASCII characters".to_owned()) }
    }
}

/// Give an onboarding up
///
/// Before an account was asked for, the operation ends cleanly. After that an account cannot be un-created: the operation
/// ends, and an `offboard` operation takes away what was made.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/cancel",
    operation_id = "cancelOperation",
    tag = "operations",
    params(("id" = String, Path, description = "The operation", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    responses(
        (status = 202, description = "It is canceled; the answer is the operation that takes away what was made, where there is one, else the operation itself", body = Operation, headers(
            ("Location" = String, description = "Where that operation is found"),
            ("Retry-After" = u32, description = "Seconds after which to look again"),
        )),
        (status = 409, description = "It cannot be canceled (`operation_not_cancelable`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn cancel_operation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<OperationId>,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::no_operation)?;
    match db::lifecycle::cancel(&app.pool, id, &caller.requester(), app.clock.now()).await? {
        LifecycleResult::Yes(followed_by) => {
            app.work_notifier.notify();
            accepted(&app, followed_by.first().copied().unwrap_or(id)).await
        }
        LifecycleResult::Unknown => Err(ApiError::no_operation()),
        LifecycleResult::LegalHold(why) => Err(ApiError::legal_hold(&why)),
        LifecycleResult::Gone => {
            Err(ApiError::new(Code::OperationNotCancelable, "The operation cannot be canceled: it is over."))
        }
        LifecycleResult::Not(why) => {
            Err(ApiError::new(Code::OperationNotCancelable, format!("The operation cannot be canceled: {why}.")))
        }
    }
}

/// Name an account that is there already
///
/// Where the remedy `adopt` is offered. Once another person has approved it, the account becomes the environment's, and
/// onboarding goes on in it.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/adopt",
    operation_id = "adoptAccount",
    tag = "operations",
    params(("id" = String, Path, description = "The operation", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    request_body = AdoptRequest,
    responses(
        (status = 202, description = "It waits for another person's approval", body = Operation, headers(
            ("Location" = String, description = "Where the operation is found"),
            ("Retry-After" = u32, description = "Seconds after which to look again"),
        )),
        (status = 409, description = "The account is left alone (`account_protected`), adopting is not offered (`remedy_not_offered`), or something else waits for approval (`approval_pending`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn adopt_account(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<OperationId>,
    JsonFields(mut fields): JsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::no_operation)?;
    let account: Option<AwsAccountId> = fields.required("aws_account_id");
    let account = fields.finish(account)?;
    // The worker refuses it as well; here the caller hears of it at once.
    if let Some(why) = app.config.organization.protects(&account) {
        return Err(ApiError::new(Code::AccountProtected, format!("Account {account} is left alone: {why}.")));
    }
    if db::account_mappings::was_ever_mapped(&app.pool, &account).await? {
        let why = "it belongs, or has belonged, to an environment";
        return Err(ApiError::new(Code::AccountProtected, format!("Account {account} is left alone: {why}.")));
    }
    ask(&app, &caller, id, ApprovalAction::Adopt, json!({ "adopt_account_id": account })).await
}

/// Asks for something that another person has to approve.
async fn ask(
    app: &App,
    caller: &Caller,
    id: OperationId,
    action: ApprovalAction,
    request: Value,
) -> Result<Response, ApiError> {
    match db::lifecycle::request_approval(&app.pool, id, action, &request, &caller.requester(), app.clock.now()).await?
    {
        RequestResult::Yes(_) => accepted(app, id).await,
        RequestResult::Unknown => Err(ApiError::no_operation()),
        RequestResult::Another(pending) => Err(ApiError::new(
            Code::ApprovalPending,
            format!("The operation waits for approval of `{}`; approve or reject that first.", pending.action),
        )),
        RequestResult::Not => Err(ApiError::new(
            Code::RemedyNotOffered,
            format!("The operation does not wait for this: `{action}` is not among its remedies."),
        )),
    }
}
