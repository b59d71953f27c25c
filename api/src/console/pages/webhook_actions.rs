//! Actions on a webhook endpoint. Each one calls the route of the API with the same effect.

use axum::Form;
use axum::extract::Path;
use axum::http::HeaderName;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use super::webhooks::{ActionResult, Filter, PAGE, show_with};
use super::{encode, is_same_text};
use crate::console::inputs::{api_time, refusal_of};
use crate::console::session::Visitor;
use crate::problem::ApiError;
use crate::routes::webhooks::deliveries::{ReplayResult, WebhookDelivery};
use crate::routes::webhooks::endpoints::WebhookEndpoint;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[derive(Deserialize)]
pub(in crate::console) struct RotationForm {
    key: String,
}

#[derive(Deserialize)]
pub(in crate::console) struct ReplayForm {
    since: String,
}

#[derive(Deserialize)]
pub(in crate::console) struct DeletionForm {
    url: String,
    etag: String,
}

pub(in crate::console) async fn enable(visitor: Visitor, Path(id): Path<String>) -> Result<Response, ApiError> {
    act(&visitor, &id, "enable").await
}

pub(in crate::console) async fn disable(visitor: Visitor, Path(id): Path<String>) -> Result<Response, ApiError> {
    act(&visitor, &id, "disable").await
}

async fn act(visitor: &Visitor, id: &str, action: &str) -> Result<Response, ApiError> {
    let id = encode(id);
    visitor.api.post(&format!("/v1/webhook-endpoints/{id}/{action}"), None).await?;
    Ok(Redirect::to(&format!("{PAGE}/{id}")).into_response())
}

/// Rotates the secret and shows the new one, which no later request can show.
pub(in crate::console) async fn rotate(
    visitor: Visitor,
    Path(id): Path<String>,
    Form(form): Form<RotationForm>,
) -> Result<Response, ApiError> {
    let path = format!("/v1/webhook-endpoints/{}/rotate-secret", encode(&id));
    // A page that is loaded again sends the same key, so that the secret is not rotated again.
    let endpoint: WebhookEndpoint = visitor.api.post_with(&path, &[(IDEMPOTENCY_KEY, &form.key)], None).await?;
    let message = match &endpoint.secret {
        Some(_) => "The secret is rotated. Copy the new one now: it is not shown again.",
        None => "The secret was rotated before this page was loaded again. Rotate it again if the new one is lost.",
    };
    let result = ActionResult { secret: endpoint.secret, message: message.to_owned(), ..ActionResult::default() };
    show_with(&visitor, &id, &Filter::default(), result).await
}

/// Sends a test event and shows its delivery.
pub(in crate::console) async fn test(visitor: Visitor, Path(id): Path<String>) -> Result<Response, ApiError> {
    let id = encode(&id);
    let path = format!("/v1/webhook-endpoints/{id}/test");
    let delivery: WebhookDelivery = visitor.api.post_with(&path, &[], None).await?;
    Ok(Redirect::to(&format!("{PAGE}/{id}/deliveries/{}", delivery.id)).into_response())
}

/// Sends all events since a time again.
pub(in crate::console) async fn replay(
    visitor: Visitor,
    Path(id): Path<String>,
    Form(form): Form<ReplayForm>,
) -> Result<Response, ApiError> {
    let path = format!("/v1/webhook-endpoints/{}/replay", encode(&id));
    let body = json!({ "since": api_time(&form.since) });
    let replayed: Result<ReplayResult, _> = visitor.api.post_with(&path, &[], Some(&body)).await;
    match refusal_of(replayed, &["since"])? {
        Ok(result) => Ok(Redirect::to(&format!("{PAGE}/{}?replayed={}", encode(&id), result.events)).into_response()),
        Err(refusal) => {
            let result = ActionResult { refusal, since: form.since, ..ActionResult::default() };
            show_with(&visitor, &id, &Filter::default(), result).await
        }
    }
}

/// Sends a delivery again.
pub(in crate::console) async fn resend(
    visitor: Visitor,
    Path((id, delivery)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let path = format!("{}/deliveries/{}", encode(&id), encode(&delivery));
    visitor.api.post(&format!("/v1/webhook-endpoints/{path}/replay"), None).await?;
    Ok(Redirect::to(&format!("{PAGE}/{path}")).into_response())
}

/// Deletes an endpoint if the form contains its URL, and if it is still as the page showed it.
pub(in crate::console) async fn delete(
    visitor: Visitor,
    Path(id): Path<String>,
    Form(form): Form<DeletionForm>,
) -> Result<Response, ApiError> {
    let path = format!("/v1/webhook-endpoints/{}", encode(&id));
    let endpoint: WebhookEndpoint = visitor.api.get(&path).await?;
    if !is_same_text(&form.url, &endpoint.url) {
        let message = format!("must be the URL of the endpoint: {}; nothing was changed", endpoint.url);
        return Err(ApiError::invalid_field("url", "invalid", message));
    }
    visitor.api.delete(&path, Some(&form.etag)).await?;
    Ok(Redirect::to(PAGE).into_response())
}
