//! Actions on an operation. Each one calls the route of the API with the same name.

use axum::Form;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{encode, is_same_text, tenant_name};
use crate::console::session::Visitor;
use crate::problem::ApiError;
use crate::routes::schema::operation::Operation;

/// Fields of the forms of remedies.
#[derive(Deserialize)]
pub(in crate::console) struct RemedyForm {
    name: Option<String>,
    account_email: Option<String>,
    aws_account_id: Option<String>,
}

pub(in crate::console) async fn retry(visitor: Visitor, Path(id): Path<String>) -> Result<Response, ApiError> {
    act(&visitor, &id, "retry", None).await
}

/// Cancels an operation if the form contains the name of its tenant.
pub(in crate::console) async fn cancel(
    visitor: Visitor,
    Path(id): Path<String>,
    Form(form): Form<RemedyForm>,
) -> Result<Response, ApiError> {
    let operation: Operation = visitor.api.get(&format!("/v1/operations/{}", encode(&id))).await?;
    let tenant = tenant_name(&visitor, &operation.tenant_id).await?;
    if !is_same_text(form.name.as_deref().unwrap_or_default(), &tenant) {
        let message = format!("must be the name of the tenant: {tenant}; nothing was changed");
        return Err(ApiError::invalid_field("name", "invalid", message));
    }
    act(&visitor, &id, "cancel", None).await
}

pub(in crate::console) async fn adopt(
    visitor: Visitor,
    Path(id): Path<String>,
    Form(form): Form<RemedyForm>,
) -> Result<Response, ApiError> {
    let body = json!({ "aws_account_id": form.aws_account_id.unwrap_or_default().trim() });
    act(&visitor, &id, "adopt", Some(&body)).await
}

pub(in crate::console) async fn correct(
    visitor: Visitor,
    Path(id): Path<String>,
    Form(form): Form<RemedyForm>,
) -> Result<Response, ApiError> {
    let body = json!({ "account_email": form.account_email.unwrap_or_default().trim() });
    act(&visitor, &id, "retry", Some(&body)).await
}

async fn act(visitor: &Visitor, id: &str, action: &str, body: Option<&Value>) -> Result<Response, ApiError> {
    let id = encode(id);
    visitor.api.post(&format!("/v1/operations/{id}/{action}"), body).await?;
    Ok(Redirect::to(&format!("/console/operations/{id}")).into_response())
}
