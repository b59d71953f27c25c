//! Routes that create, return and delete webhook endpoints.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use freehold_tenancy::db::idempotency::{Reservation, StoredResponse};
use freehold_tenancy::webhook::{self, WebhookSecret};
use freehold_tenancy::{WebhookEndpointId, db};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Description, check_url, generate_secret, load_endpoint, not_found, parse_types, record_endpoint};
use crate::app::App;
use crate::etag::{ETag, IfMatch};
use crate::extract::{JsonFields, PathParam, QueryFields};
use crate::pagination::Page;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use crate::routes::schema::enums::{WebhookEndpointState, WebhookFormat};

/// New webhook endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhookEndpoint {
    /// Receiver: an `https://` URL on the public internet, on port 443 unless other ports are configured.
    #[schema(example = "https://example.com/freehold", max_length = 2048)]
    pub url: String,
    /// Event types to send [default: all].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["environment.ready", "environment.account.assigned"]), min_items = 1)]
    pub types: Option<Vec<String>>,
    /// Purpose of the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "billing", max_length = 500)]
    pub description: Option<String>,
    /// Format of the body [default: freehold].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<WebhookFormat>, example = "freehold", nullable = false)]
    pub format: Option<String>,
}

/// Webhook endpoint: a URL that receives events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookEndpoint {
    /// Id of the endpoint.
    #[schema(example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f")]
    pub id: String,
    /// URL of the receiver.
    #[schema(example = "https://example.com/freehold")]
    pub url: String,
    /// Purpose of the endpoint.
    #[schema(example = "billing")]
    pub description: String,
    /// Event types that are sent; `null` for all.
    #[schema(required = true, example = json!(["environment.ready"]))]
    pub types: Option<Vec<String>>,
    /// Format of the body.
    #[serde(default = "default_format")]
    #[schema(value_type = WebhookFormat, required = true, example = "freehold")]
    pub format: String,
    /// State of the endpoint.
    #[schema(value_type = WebhookEndpointState, example = "enabled")]
    pub state: String,
    /// Reason why the endpoint is disabled: `by_request`, `gone` (the receiver returned 410) or `failing` (all attempts
    /// failed for five days); `null` while it is enabled.
    #[schema(required = true, example = json!(null))]
    pub disabled_reason: Option<String>,
    /// Human-readable description of the reason; `null` while the endpoint is enabled.
    #[schema(required = true, example = json!(null))]
    pub disabled_message: Option<String>,
    /// Time at which the endpoint was disabled; `null` while it is enabled. Later events are not queued for the
    /// endpoint, but can be replayed.
    #[schema(required = true)]
    pub disabled_at: Option<DateTime<Utc>>,
    /// Time of the first failure after the last success; `null` if the last attempt succeeded or there was none.
    #[schema(required = true)]
    pub failing_since: Option<DateTime<Utc>>,
    /// Time until which deliveries are paused, because the receiver sent `Retry-After`; `null` otherwise.
    #[schema(required = true)]
    pub paused_until: Option<DateTime<Utc>>,
    /// Time until which deliveries are also signed with the previous secret; `null` if no previous secret is valid.
    #[schema(required = true)]
    pub previous_secret_until: Option<DateTime<Utc>>,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
    /// Time of the last change, including disabling.
    pub updated_at: DateTime<Utc>,
    /// Secret that signs deliveries; only contained in the response that creates or rotates the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    pub secret: Option<String>,
}

/// Returns the format of an endpoint in a response of the previous version, which knows no other.
fn default_format() -> String {
    webhook::WebhookFormat::Freehold.to_string()
}

impl From<webhook::Endpoint> for WebhookEndpoint {
    fn from(endpoint: webhook::Endpoint) -> Self {
        let disabled = endpoint.disabled;
        Self {
            id: endpoint.id.to_string(),
            url: endpoint.url.to_string(),
            description: endpoint.description,
            types: endpoint.types.map(|types| types.iter().map(ToString::to_string).collect()),
            format: endpoint.format.to_string(),
            state: if disabled.is_some() { "disabled" } else { "enabled" }.to_owned(),
            disabled_reason: disabled.map(|(_, reason)| reason.to_string()),
            disabled_message: disabled.map(|(_, reason)| reason.message().to_owned()),
            disabled_at: disabled.map(|(at, _)| at),
            failing_since: endpoint.failing_since,
            paused_until: endpoint.paused_until,
            previous_secret_until: endpoint.previous_secret_until,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
            secret: None,
        }
    }
}

/// Page of webhook endpoints, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookEndpointPage {
    /// Endpoints of this page.
    pub webhook_endpoints: Vec<WebhookEndpoint>,
    /// Token of the next page; `null` on the last page.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// Returns the ETag of an endpoint. The ETag changes when the endpoint is updated, but not when a delivery succeeds or
/// fails.
pub(super) fn etag(endpoint: &webhook::Endpoint) -> ETag {
    ETag::for_body(&format!("{} {}", endpoint.id, endpoint.updated_at.timestamp_micros()))
}

/// Returns a response with an endpoint and its ETag.
pub(super) fn response_with_etag(endpoint: webhook::Endpoint) -> Result<Response, ApiError> {
    let tag = etag(&endpoint).header()?;
    Ok(([(header::ETAG, tag)], Json(WebhookEndpoint::from(endpoint))).into_response())
}

/// Returns a response with an endpoint and its secret, which is shown only once.
pub(super) fn response_with_secret(endpoint: webhook::Endpoint, secret: &WebhookSecret) -> Response {
    let secret = Some(secret.to_text().expose_secret().to_owned());
    Json(WebhookEndpoint { secret, ..WebhookEndpoint::from(endpoint) }).into_response()
}

/// Returns the response body that is stored with the idempotency key. It does not contain the secret.
pub(super) fn body_without_secret(endpoint: &webhook::Endpoint) -> String {
    serde_json::to_string(&WebhookEndpoint::from(endpoint.clone())).unwrap_or_default()
}

/// Create a webhook endpoint
///
/// Each later event of the feed is sent to the URL, in the format of `GET /v1/events`, signed according to Standard
/// Webhooks 1.0. The secret is shown only in this response; if the response was lost, rotate the secret. An event can
/// arrive more than once, always with the same `webhook-id`, and out of the order of `sequence`.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints",
    operation_id = "createWebhookEndpoint",
    tag = "webhooks",
    request_body = NewWebhookEndpoint,
    responses(
        (
            status = 201,
            description = "The endpoint is created; it receives events from now on",
            body = WebhookEndpoint, headers(
            ("Location" = String, description = "Path of the endpoint"),
            ("ETag" = String, description = "Value for `If-Match` of a change"),
        )),
        (
            status = 409,
            description = "The encryption key for secrets is missing (`secrets_key_missing`), or the limit of 100 \
                endpoints is reached (`too_many_webhooks`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn create_webhook_endpoint(
    State(app): State<App>,
    reservation: Option<Extension<Reservation>>,
    JsonFields(mut fields): JsonFields,
) -> Result<Response, ApiError> {
    let url = fields.required("url");
    let types = parse_types(&mut fields);
    let description = fields.optional("description").map(|Description(text)| text);
    let format = fields.optional("format").unwrap_or(webhook::WebhookFormat::Freehold);
    check_url(&app, &mut fields, url.as_ref()).await;
    let url = fields.finish(url)?;
    let now = app.clock.now();
    let endpoint = webhook::Endpoint {
        id: WebhookEndpointId::new(now),
        url,
        description: description.unwrap_or_default(),
        format,
        types,
        disabled: None,
        failing_since: None,
        paused_until: None,
        previous_secret_until: None,
        created_at: now,
        updated_at: now,
    };
    let (secret, encrypted) = generate_secret(&app, endpoint.id)?;
    let location = format!("/v1/webhook-endpoints/{}", endpoint.id);
    let response = StoredResponse { status: 201, location: location.clone(), body: body_without_secret(&endpoint) };
    let reservation = reservation.as_ref().map(|Extension(reservation)| reservation);
    if !db::webhooks::endpoints::create(&app.pool, &endpoint, &encrypted, reservation, &response).await? {
        let detail = format!(
            "The limit of {} webhook endpoints is reached; delete one first.",
            db::webhooks::endpoints::MAX_ENDPOINTS
        );
        return Err(ApiError::new(Code::TooManyWebhooks, detail));
    }
    record_endpoint(None, Some(&endpoint));
    app.work_notifier.notify();
    tracing::info!(endpoint = %endpoint.id, "webhook endpoint {} was created", endpoint.id);
    let location = HeaderValue::from_str(&location).map_err(|_| ApiError::internal())?;
    let headers = [(header::LOCATION, location), (header::ETAG, etag(&endpoint).header()?)];
    Ok((StatusCode::CREATED, headers, response_with_secret(endpoint, &secret)).into_response())
}

/// List webhook endpoints, newest first
#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints",
    operation_id = "listWebhookEndpoints",
    tag = "webhooks",
    params(
        (
            "page_size" = Option<i64>, Query,
            description = "Page size [default: 50]",
            minimum = 1, maximum = 200, example = 50
        ),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the previous page"),
    ),
    responses((status = 200, description = "Page of endpoints", body = WebhookEndpointPage)),
)]
pub(crate) async fn list_webhook_endpoints(
    State(app): State<App>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<WebhookEndpointPage>, ApiError> {
    let page = Page::from_query("webhook-endpoints", &mut query)?;
    query.finish(Some(()))?;
    let mut endpoints = db::webhooks::endpoints::list(&app.pool, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut endpoints, |endpoint| endpoint.id.as_uuid());
    let webhook_endpoints = endpoints.into_iter().map(WebhookEndpoint::from).collect();
    Ok(Json(WebhookEndpointPage { webhook_endpoints, next_page_token }))
}

/// Get a webhook endpoint
#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints/{id}",
    operation_id = "getWebhookEndpoint",
    tag = "webhooks",
    params(("id" = String, Path, description = "Endpoint id", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f")),
    responses((status = 200, description = "Endpoint without its secret", body = WebhookEndpoint, headers(
        ("ETag" = String, description = "Value for `If-Match` of a change"),
    ))),
)]
pub(crate) async fn get_webhook_endpoint(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
) -> Result<Response, ApiError> {
    response_with_etag(load_endpoint(&app, id).await?)
}

/// Delete a webhook endpoint
///
/// Pending deliveries are deleted too.
#[utoipa::path(
    delete,
    path = "/v1/webhook-endpoints/{id}",
    operation_id = "deleteWebhookEndpoint",
    tag = "webhooks",
    params(
        ("id" = String, Path, description = "Endpoint id", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f"),
        (
            "If-Match" = Option<String>, Header,
            description = "ETag from your last read of the endpoint; the request is refused if the endpoint has \
                changed since then"
        ),
    ),
    responses(
        (status = 204, description = "The endpoint is deleted"),
        (
            status = 412,
            description = "The endpoint has changed since you read the ETag (`precondition_failed`); nothing was \
                changed",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn delete_webhook_endpoint(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    if_match: Option<IfMatch>,
) -> Result<StatusCode, ApiError> {
    let id = id.ok_or_else(not_found)?;
    if let Some(if_match) = if_match {
        if_match.check(&etag(&load_endpoint(&app, Some(id)).await?))?;
    }
    let deleted = db::webhooks::endpoints::delete(&app.pool, id).await?.ok_or_else(not_found)?;
    record_endpoint(Some(&deleted), None);
    Ok(StatusCode::NO_CONTENT)
}
