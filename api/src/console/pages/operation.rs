//! Page of an operation, and the part of it that the page of a tenant shows too.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State as AppState};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use super::tenant_name;
use crate::app::App;
use crate::console::labels::{self, Instant, State};
use crate::console::layout::{Layout, html};
use crate::console::live::ShownOperation;
use crate::console::session::Visitor;
use crate::console::timeline::{self, Timeline};
use crate::problem::ApiError;
use crate::routes::schema::operation::Operation;
use crate::scope::Scope;

/// Operation as pages show it.
pub(super) struct OperationView {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) environment: String,
    pub(super) tenant_id: String,
    pub(super) tenant: String,
    pub(super) state: State,
    pub(super) requested_by: String,
    pub(super) created_at: Instant,
    pub(super) attention: Option<AttentionView>,
    pub(super) timeline: Timeline,
    /// Next event of the operation, in a sentence.
    pub(super) next: String,
}

/// Reason why an operation needs a person, and the actions.
pub(super) struct AttentionView {
    pub(super) code: String,
    pub(super) title: String,
    pub(super) message: String,
    /// Sentence to read out to the customer.
    pub(super) tell_customer: String,
    pub(super) aws_request_id: Option<String>,
    pub(super) since: Instant,
    pub(super) waited: String,
    pub(super) remedies: Vec<Remedy>,
}

/// Action that resolves the problem.
pub(super) struct Remedy {
    /// Last part of the path of the action; empty if the console does not offer it.
    pub(super) action: &'static str,
    pub(super) button: &'static str,
    pub(super) title: &'static str,
    pub(super) effect: &'static str,
    /// Command that does the same.
    pub(super) command: String,
    /// Field of the form, with its label.
    pub(super) field: Option<(&'static str, String)>,
    pub(super) is_destructive: bool,
    /// Whether the person has the scope of the action.
    pub(super) is_allowed: bool,
}

#[derive(Template)]
#[template(path = "console/operation.html")]
struct OperationPage {
    layout: Layout,
    operation: OperationView,
}

pub(in crate::console) async fn show(
    AppState(app): AppState<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let operation: Operation = visitor.api.get(&format!("/v1/operations/{}", super::encode(&id))).await?;
    let tenant = tenant_name(&visitor, &operation.tenant_id).await?;
    let shown = shown(&operation);
    let operation = view(&visitor, &tenant, operation, app.clock.now());
    let title = format!("{} of {}", operation.title, operation.tenant);
    let page = html(&OperationPage { layout: Layout::of(&visitor, "/console/tenants", title).await?, operation })?;
    Ok((Extension(shown?), page).into_response())
}

/// Returns the operation that a live page follows.
pub(super) fn shown(operation: &Operation) -> Result<ShownOperation, ApiError> {
    let operation_id = operation.id.parse().map_err(|_| ApiError::internal())?;
    let tenant_id = operation.tenant_id.parse().map_err(|_| ApiError::internal())?;
    Ok(ShownOperation { operation: operation_id, tenant: tenant_id })
}

/// Returns an operation as pages show it at the time `now`.
pub(super) fn view(visitor: &Visitor, tenant: &str, operation: Operation, now: DateTime<Utc>) -> OperationView {
    let is_allowed = visitor.has_scope(Scope::OperationsWrite);
    let attention = operation.attention.as_ref().map(|attention| AttentionView {
        code: attention.code.clone(),
        title: labels::sentence_case(&attention.code),
        message: attention.message.clone(),
        tell_customer: attention.tell_customer.clone(),
        aws_request_id: attention.aws_request_id.clone(),
        since: Instant::of(operation.updated_at),
        waited: labels::duration(now - operation.updated_at),
        remedies: attention
            .remedies
            .iter()
            .map(|remedy| remedy_of(remedy, &operation.id, tenant, is_allowed))
            .collect(),
    });
    OperationView {
        title: labels::operation_title(&operation.kind),
        state: State::of(&operation.state),
        created_at: Instant::of(operation.created_at),
        timeline: timeline::of(&operation, now),
        next: next(&operation),
        attention,
        id: operation.id,
        environment: operation.environment,
        tenant_id: operation.tenant_id,
        tenant: tenant.to_owned(),
        requested_by: operation.requested_by,
    }
}

fn next(operation: &Operation) -> String {
    if let Some(hold) = &operation.fleet_hold {
        return format!("Nothing until the cause of the fleet hold is removed: {}", hold.message);
    }
    if operation.finished_at.is_some() {
        return "Nothing: the operation has finished.".to_owned();
    }
    if operation.attention.is_some() && operation.state == "needs_attention" {
        return "Nothing until a person decides.".to_owned();
    }
    if let Some(queue) = &operation.queue {
        let estimate = queue.estimated_ready_at.map_or_else(
            || "no estimate is possible now".to_owned(),
            |at| format!("ready at about {}", Instant::of(at).text),
        );
        return format!("Number {} in the queue of AWS; {estimate}.", queue.position);
    }
    operation.wake_at.map_or_else(
        || "A worker continues it.".to_owned(),
        |at| format!("A worker continues it at {}.", Instant::of(at).text),
    )
}

fn remedy_of(remedy: &str, operation: &str, tenant: &str, is_allowed: bool) -> Remedy {
    let plain = |action, button, title, effect, command: &str| Remedy {
        action,
        button,
        title,
        effect,
        command: command.to_owned(),
        field: None,
        is_destructive: false,
        is_allowed,
    };
    match remedy {
        "retry" => plain(
            "retry",
            "Retry",
            "Retry after the cause is fixed",
            "Runs the failed steps again at once. What is done stays done.",
            &format!("freehold operations retry {operation}"),
        ),
        "cancel" => Remedy {
            field: Some(("name", format!("To be sure, type the name of the tenant: {tenant}"))),
            is_destructive: true,
            ..plain(
                "cancel",
                "Cancel the operation",
                "Cancel: the customer no longer wants it",
                "Ends the operation and offboards the environment. An account that exists is kept in quarantine.",
                &format!("freehold operations cancel {operation}"),
            )
        },
        "correct" => Remedy {
            field: Some(("account_email", "New e-mail address of the AWS account".to_owned())),
            ..plain(
                "correct",
                "Correct",
                "Correct the e-mail address of the account",
                "Another person approves the address; then the operation continues with it.",
                &format!("freehold operations retry {operation} --account-email ADDRESS"),
            )
        },
        "adopt" => Remedy {
            field: Some(("aws_account_id", "Id of the AWS account, 12 digits".to_owned())),
            ..plain(
                "adopt",
                "Adopt",
                "Use an account that exists",
                "Another person approves the account; then the operation continues with it.",
                &format!("freehold operations adopt {operation} --account ACCOUNT"),
            )
        },
        _ => plain(
            "",
            "",
            "A second person approves or rejects the request",
            "The operation continues after the approval. The requester cannot approve.",
            "freehold approvals list",
        ),
    }
}
