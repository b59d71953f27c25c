//! Changing a webhook endpoint: its URL and types, whether it is sent anything, and its secret.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use chrono::TimeDelta;
use freehold_tenancy::db::idempotency::{Reservation, StoredResponse};
use freehold_tenancy::{WebhookEndpointId, db, webhook};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::endpoints::{WebhookEndpoint, etag, with_etag, with_secret, without_secret};
use super::{Description, check_url, named, not_found, secret, types};
use crate::app::App;
use crate::etag::{IfMatch, precondition_failed};
use crate::extract::{Fields, JsonFields, PathParam};
use crate::problem::{ApiError, MEDIA_TYPE, Problem};

/// How long the secret before a rotation stays good.
const PREVIOUS_SECRET_VALIDITY: TimeDelta = TimeDelta::hours(24);

/// What of an endpoint is to be another, as a JSON merge patch (RFC 7396): what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookEndpointPatch {
    /// Where events are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://example.com/freehold", max_length = 2048, nullable = false)]
    pub url: Option<String>,
    /// Which types; `null` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["environment.ready"]), min_items = 1)]
    pub types: Option<Vec<String>>,
    /// What it is for; `null` for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "billing", max_length = 500)]
    pub description: Option<String>,
}

/// Change a webhook endpoint
///
/// A JSON merge patch, made only if the endpoint is still what it was when you got its ETag. How deliveries fare does not
/// change its ETag.
#[utoipa::path(
    patch,
    path = "/v1/webhook-endpoints/{id}",
    operation_id = "updateWebhookEndpoint",
    tag = "webhooks",
    params(
        ("id" = String, Path, description = "The endpoint", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f"),
        ("If-Match" = String, Header, description = "The ETag of the endpoint as you have seen it, or `*` for however it is"),
    ),
    request_body = WebhookEndpointPatch,
    responses(
        (status = 200, description = "The endpoint as it is now", body = WebhookEndpoint, headers(
            ("ETag" = String, description = "What `If-Match` of the next change has to say"),
        )),
        (status = 412, description = "It has changed since (`precondition_failed`); nothing was done", body = Problem, content_type = MEDIA_TYPE),
        (status = 428, description = "`If-Match` is missing (`precondition_required`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn update_webhook_endpoint(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    if_match: IfMatch,
    JsonFields(fields): JsonFields,
) -> Result<Response, ApiError> {
    let before = named(&app, id).await?;
    if_match.check(&etag(&before))?;
    let after = read(fields, &app, before.clone()).await?;
    if after == before {
        return with_etag(before);
    }
    if !db::webhooks::endpoints::update(&app.pool, &after, app.clock.now()).await? {
        return Err(precondition_failed());
    }
    app.work_notifier.notify();
    with_etag(named(&app, id).await?)
}

async fn read(mut fields: Fields, app: &App, before: webhook::Endpoint) -> Result<webhook::Endpoint, ApiError> {
    if fields.take_null("url") {
        fields.error("url", "missing", "this cannot be taken away");
    }
    let mut after = before;
    let url = fields.optional("url");
    check_url(app, &mut fields, url.as_ref()).await;
    if let Some(url) = url {
        after.url = url;
    }
    if fields.take_null("types") {
        after.types = None;
    } else if fields.names("types") {
        after.types = types(&mut fields);
    }
    if fields.take_null("description") {
        after.description = String::new();
    } else if let Some(Description(text)) = fields.optional("description") {
        after.description = text;
    }
    fields.finish(Some(after))
}

/// Have nothing sent for now
///
/// What is on its way waits; what happens from now on is not kept for it.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/disable",
    operation_id = "disableWebhookEndpoint",
    tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f")),
    responses((status = 200, description = "It is disabled", body = WebhookEndpoint, headers(
        ("ETag" = String, description = "What `If-Match` of a change has to say"),
    ))),
)]
pub(crate) async fn disable_webhook_endpoint(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
) -> Result<Response, ApiError> {
    db::webhooks::endpoints::disable(&app.pool, id.ok_or_else(not_found)?, app.clock.now()).await?;
    with_etag(named(&app, id).await?)
}

/// Have events sent again
///
/// Those that waited, and what happens from now on. What happened while it was disabled can be replayed.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/enable",
    operation_id = "enableWebhookEndpoint",
    tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f")),
    responses((status = 200, description = "It is enabled", body = WebhookEndpoint, headers(
        ("ETag" = String, description = "What `If-Match` of a change has to say"),
    ))),
)]
pub(crate) async fn enable_webhook_endpoint(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
) -> Result<Response, ApiError> {
    db::webhooks::endpoints::enable(&app.pool, id.ok_or_else(not_found)?, app.clock.now()).await?;
    app.work_notifier.notify();
    with_etag(named(&app, id).await?)
}

/// Put a new secret in place of the one there is
///
/// For 24 hours deliveries are signed with both. One that was still good from a rotation before is not any more.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/rotate-secret",
    operation_id = "rotateWebhookSecret",
    tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f")),
    responses(
        (status = 200, description = "The endpoint with its new secret, which is not shown again", body = WebhookEndpoint),
        (status = 409, description = "No key is configured to encrypt secrets with (`secrets_key_missing`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn rotate_webhook_secret(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    reservation: Option<Extension<Reservation>>,
) -> Result<Response, ApiError> {
    let known = named(&app, id).await?.id;
    let (secret, sealed) = secret(&app, known)?;
    let now = app.clock.now();
    let answer = |endpoint: &_| StoredResponse { status: 200, location: String::new(), body: without_secret(endpoint) };
    let (reservation, until) =
        (reservation.as_ref().map(|Extension(reservation)| reservation), now + PREVIOUS_SECRET_VALIDITY);
    let rotated = db::webhooks::secrets::rotate(&app.pool, known, &sealed, until, now, reservation, answer).await?;
    let endpoint = rotated.ok_or_else(not_found)?;
    tracing::info!(endpoint = %known, "the secret of a webhook endpoint was rotated");
    Ok(with_secret(endpoint, &secret))
}
