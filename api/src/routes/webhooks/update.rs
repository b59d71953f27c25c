//! Routes that update, disable and enable a webhook endpoint and rotate its secret.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use chrono::TimeDelta;
use freehold_tenancy::db::idempotency::{Reservation, StoredResponse};
use freehold_tenancy::{WebhookEndpointId, db, webhook};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::endpoints::{WebhookEndpoint, body_without_secret, etag, response_with_etag, response_with_secret};
use super::{Description, check_url, generate_secret, load_endpoint, not_found, parse_types, record_endpoint};
use crate::app::App;
use crate::audit::{record_change, record_hidden_change};
use crate::etag::{IfMatch, precondition_failed};
use crate::extract::{Fields, JsonFields, PathParam};
use crate::problem::{ApiError, MEDIA_TYPE, Problem};
use crate::routes::schema::enums::WebhookFormat;

/// Time for which the previous secret is still used to sign deliveries after a rotation.
const PREVIOUS_SECRET_VALIDITY: TimeDelta = TimeDelta::hours(24);

/// Changes of a webhook endpoint, as a JSON merge patch (RFC 7396): omitted fields stay unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookEndpointPatch {
    /// URL of the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://example.com/freehold", max_length = 2048, nullable = false)]
    pub url: Option<String>,
    /// Event types to send; `null` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["environment.ready"]), min_items = 1)]
    pub types: Option<Vec<String>>,
    /// Purpose of the endpoint; `null` removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "billing", max_length = 500)]
    pub description: Option<String>,
    /// Format of the body; also pending deliveries get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<WebhookFormat>, example = "slack", nullable = false)]
    pub format: Option<String>,
}

/// Update a webhook endpoint
///
/// The body is a JSON merge patch. It is applied only if the endpoint still has the ETag in `If-Match`. Results of
/// deliveries do not change the ETag.
#[utoipa::path(
    patch,
    path = "/v1/webhook-endpoints/{id}",
    operation_id = "updateWebhookEndpoint",
    tag = "webhooks",
    params(
        ("id" = String, Path, description = "Endpoint id", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f"),
        (
            "If-Match" = String, Header,
            description = "ETag from your last read of the endpoint, or `*` to skip the check"
        ),
    ),
    request_body = WebhookEndpointPatch,
    responses(
        (status = 200, description = "Updated endpoint", body = WebhookEndpoint, headers(
            ("ETag" = String, description = "Value for `If-Match` of the next change"),
        )),
        (
            status = 412,
            description = "The endpoint has changed since you read the ETag (`precondition_failed`); nothing was \
                changed",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 428,
            description = "`If-Match` is missing (`precondition_required`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn update_webhook_endpoint(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    if_match: IfMatch,
    JsonFields(fields): JsonFields,
) -> Result<Response, ApiError> {
    let before = load_endpoint(&app, id).await?;
    if_match.check(&etag(&before))?;
    let after = parse_patch(fields, &app, before.clone()).await?;
    if after == before {
        return response_with_etag(before);
    }
    if !db::webhooks::endpoints::update(&app.pool, &after, app.clock.now()).await? {
        return Err(precondition_failed());
    }
    record_endpoint(Some(&before), Some(&after));
    app.work_notifier.notify();
    response_with_etag(load_endpoint(&app, id).await?)
}

async fn parse_patch(mut fields: Fields, app: &App, before: webhook::Endpoint) -> Result<webhook::Endpoint, ApiError> {
    for name in ["url", "format"] {
        if fields.take_null(name) {
            fields.error(name, "missing", "this field cannot be removed");
        }
    }
    let mut after = before;
    let url = fields.optional("url");
    check_url(app, &mut fields, url.as_ref()).await;
    if let Some(url) = url {
        after.url = url;
    }
    if fields.take_null("types") {
        after.types = None;
    } else if fields.has_value("types") {
        after.types = parse_types(&mut fields);
    }
    if fields.take_null("description") {
        after.description = String::new();
    } else if let Some(Description(text)) = fields.optional("description") {
        after.description = text;
    }
    if let Some(format) = fields.optional("format") {
        after.format = format;
    }
    fields.finish(Some(after))
}

/// Disable a webhook endpoint
///
/// Pending deliveries are kept until the endpoint is enabled. Later events are not queued for the endpoint.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/disable",
    operation_id = "disableWebhookEndpoint",
    tag = "webhooks",
    params(("id" = String, Path, description = "Endpoint id", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f")),
    responses((status = 200, description = "The endpoint is disabled", body = WebhookEndpoint, headers(
        ("ETag" = String, description = "Value for `If-Match` of a change"),
    ))),
)]
pub(crate) async fn disable_webhook_endpoint(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
) -> Result<Response, ApiError> {
    let before = load_endpoint(&app, id).await?;
    db::webhooks::endpoints::disable(&app.pool, before.id, app.clock.now()).await?;
    let after = load_endpoint(&app, id).await?;
    record_change("is_enabled", before.disabled.is_none(), after.disabled.is_none());
    response_with_etag(after)
}

/// Enable a webhook endpoint
///
/// Pending deliveries and new events are sent. Events that occurred while the endpoint was disabled can be replayed.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/enable",
    operation_id = "enableWebhookEndpoint",
    tag = "webhooks",
    params(("id" = String, Path, description = "Endpoint id", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f")),
    responses((status = 200, description = "The endpoint is enabled", body = WebhookEndpoint, headers(
        ("ETag" = String, description = "Value for `If-Match` of a change"),
    ))),
)]
pub(crate) async fn enable_webhook_endpoint(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
) -> Result<Response, ApiError> {
    let before = load_endpoint(&app, id).await?;
    db::webhooks::endpoints::enable(&app.pool, before.id, app.clock.now()).await?;
    app.work_notifier.notify();
    let after = load_endpoint(&app, id).await?;
    record_change("is_enabled", before.disabled.is_none(), after.disabled.is_none());
    response_with_etag(after)
}

/// Rotate the secret of a webhook endpoint
///
/// For 24 hours, deliveries are signed with the new and the previous secret. A secret from an earlier rotation becomes
/// invalid at once.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/rotate-secret",
    operation_id = "rotateWebhookSecret",
    tag = "webhooks",
    params(("id" = String, Path, description = "Endpoint id", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f")),
    responses(
        (status = 200, description = "Endpoint with its new secret, which is shown only once", body = WebhookEndpoint),
        (
            status = 409,
            description = "The encryption key for secrets is missing (`secrets_key_missing`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn rotate_webhook_secret(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    reservation: Option<Extension<Reservation>>,
) -> Result<Response, ApiError> {
    let id = load_endpoint(&app, id).await?.id;
    let (secret, encrypted) = generate_secret(&app, id)?;
    let now = app.clock.now();
    let response =
        |endpoint: &_| StoredResponse { status: 200, location: String::new(), body: body_without_secret(endpoint) };
    let (reservation, until) =
        (reservation.as_ref().map(|Extension(reservation)| reservation), now + PREVIOUS_SECRET_VALIDITY);
    let rotated = db::webhooks::secrets::rotate(&app.pool, id, &encrypted, until, now, reservation, response).await?;
    let endpoint = rotated.ok_or_else(not_found)?;
    record_hidden_change("secret");
    tracing::info!(endpoint = %id, "the secret of webhook endpoint {id} was rotated");
    Ok(response_with_secret(endpoint, &secret))
}
