//! Webhook endpoints: making, looking at and deleting them.

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

use super::{Description, check_url, named, not_found, secret, types};
use crate::app::App;
use crate::etag::{ETag, IfMatch};
use crate::extract::{JsonFields, PathParam, QueryFields};
use crate::pagination::Page;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use crate::routes::schema::enums::WebhookEndpointState;

/// Where events are to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhookEndpoint {
    /// An `https://` URL on the public internet, on port 443 unless others are configured.
    #[schema(example = "https://example.com/freehold", max_length = 2048)]
    pub url: String,
    /// Types of the feed; all if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["environment.ready", "environment.account.assigned"]), min_items = 1)]
    pub types: Option<Vec<String>>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "billing", max_length = 500)]
    pub description: Option<String>,
}

/// Where events are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookEndpoint {
    /// Its id.
    #[schema(example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f")]
    pub id: String,
    /// Where.
    #[schema(example = "https://example.com/freehold")]
    pub url: String,
    /// What it is for.
    #[schema(example = "billing")]
    pub description: String,
    /// Which types of events; `null` for all.
    #[schema(required = true, example = json!(["environment.ready"]))]
    pub types: Option<Vec<String>>,
    /// Whether events are sent to it.
    #[schema(value_type = WebhookEndpointState, example = "enabled")]
    pub state: String,
    /// Why nothing is sent: `by_request`, `gone` (it answered 410) or `failing` (nothing but failures for five days).
    #[schema(required = true, example = json!(null))]
    pub disabled_reason: Option<String>,
    /// That in plain words.
    #[schema(required = true, example = json!(null))]
    pub disabled_message: Option<String>,
    /// Since when nothing is sent. What happens meanwhile is not kept for it; replay it.
    #[schema(required = true)]
    pub disabled_at: Option<DateTime<Utc>>,
    /// The first failure after the last success; `null` where the last attempt succeeded, or there was none.
    #[schema(required = true)]
    pub failing_since: Option<DateTime<Utc>>,
    /// Nothing is sent until then, because the receiver asked for it with `Retry-After`.
    #[schema(required = true)]
    pub paused_until: Option<DateTime<Utc>>,
    /// Until when deliveries are signed with the secret before this one as well.
    #[schema(required = true)]
    pub previous_secret_until: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it, or it was disabled.
    pub updated_at: DateTime<Utc>,
    /// What deliveries are signed with. Shown once, when it is made or rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    pub secret: Option<String>,
}

impl From<webhook::Endpoint> for WebhookEndpoint {
    fn from(endpoint: webhook::Endpoint) -> Self {
        let disabled = endpoint.disabled;
        Self {
            id: endpoint.id.to_string(),
            url: endpoint.url.to_string(),
            description: endpoint.description,
            types: endpoint.types.map(|types| types.iter().map(ToString::to_string).collect()),
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

/// A page of webhook endpoints, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookEndpointPage {
    /// The endpoints.
    pub webhook_endpoints: Vec<WebhookEndpoint>,
    /// Leads to the next page; `null` on the last.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// What a change is meant for: what somebody has declared, and not how deliveries fare.
pub(super) fn etag(endpoint: &webhook::Endpoint) -> ETag {
    ETag::of(&format!("{} {}", endpoint.id, endpoint.updated_at.timestamp_micros()))
}

/// An endpoint with its ETag.
pub(super) fn with_etag(endpoint: webhook::Endpoint) -> Result<Response, ApiError> {
    let tag = etag(&endpoint).header()?;
    Ok(([(header::ETAG, tag)], Json(WebhookEndpoint::from(endpoint))).into_response())
}

/// An endpoint with its secret, for the one time that it is shown.
pub(super) fn with_secret(endpoint: webhook::Endpoint, secret: &WebhookSecret) -> Response {
    let secret = Some(secret.to_text().expose_secret().to_owned());
    Json(WebhookEndpoint { secret, ..WebhookEndpoint::from(endpoint) }).into_response()
}

/// What the request answers that is sent again under its key.
pub(super) fn without_secret(endpoint: &webhook::Endpoint) -> String {
    serde_json::to_string(&WebhookEndpoint::from(endpoint.clone())).unwrap_or_default()
}

/// Have events sent to a URL
///
/// From now on each event of the feed is sent there, as `GET /v1/events` tells it, signed as Standard Webhooks 1.0 has it with
/// the secret that is shown here and never again: where this answer was lost, and the one to the same request has no secret any
/// more, rotate it. An event may come more than once, always with the same `webhook-id`, and in
/// another order than that of its `sequence`.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints",
    operation_id = "createWebhookEndpoint",
    tag = "webhooks",
    request_body = NewWebhookEndpoint,
    responses(
        (status = 201, description = "Events are sent there from now on", body = WebhookEndpoint, headers(
            ("Location" = String, description = "Where the endpoint is found"),
            ("ETag" = String, description = "What `If-Match` of a change has to say"),
        )),
        (status = 409, description = "No key is configured to encrypt secrets with (`secrets_key_missing`), or there are 100 endpoints (`too_many_webhooks`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn create_webhook_endpoint(
    State(app): State<App>,
    reservation: Option<Extension<Reservation>>,
    JsonFields(mut fields): JsonFields,
) -> Result<Response, ApiError> {
    let url = fields.required("url");
    let types = types(&mut fields);
    let description = fields.optional("description").map(|Description(text)| text);
    check_url(&app, &mut fields, url.as_ref()).await;
    let url = fields.finish(url)?;
    let now = app.clock.now();
    let endpoint = webhook::Endpoint {
        id: WebhookEndpointId::new(now),
        url,
        description: description.unwrap_or_default(),
        types,
        disabled: None,
        failing_since: None,
        paused_until: None,
        previous_secret_until: None,
        created_at: now,
        updated_at: now,
    };
    let (secret, sealed) = secret(&app, endpoint.id)?;
    let location = format!("/v1/webhook-endpoints/{}", endpoint.id);
    let answer = StoredResponse { status: 201, location: location.clone(), body: without_secret(&endpoint) };
    let reservation = reservation.as_ref().map(|Extension(reservation)| reservation);
    if !db::webhooks::endpoints::create(&app.pool, &endpoint, &sealed, reservation, &answer).await? {
        let detail =
            format!("There are {} endpoints, which is as many as there may be.", db::webhooks::endpoints::MOST);
        return Err(ApiError::new(Code::TooManyWebhooks, detail));
    }
    app.work_notifier.notify();
    tracing::info!(endpoint = %endpoint.id, "a webhook endpoint was made");
    let location = HeaderValue::from_str(&location).map_err(|_| ApiError::internal())?;
    let headers = [(header::LOCATION, location), (header::ETAG, etag(&endpoint).header()?)];
    Ok((StatusCode::CREATED, headers, with_secret(endpoint, &secret)).into_response())
}

/// Where events are sent, newest first
#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints",
    operation_id = "listWebhookEndpoints",
    tag = "webhooks",
    params(
        ("page_size" = Option<i64>, Query, description = "How many at most; 50 if left out", minimum = 1, maximum = 200, example = 50),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
    ),
    responses((status = 200, description = "A page of endpoints", body = WebhookEndpointPage)),
)]
pub(crate) async fn list_webhook_endpoints(
    State(app): State<App>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<WebhookEndpointPage>, ApiError> {
    let page = Page::read("webhook-endpoints", &mut query)?;
    query.finish(Some(()))?;
    let mut endpoints = db::webhooks::endpoints::list(&app.pool, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut endpoints, |endpoint| endpoint.id.as_uuid());
    let webhook_endpoints = endpoints.into_iter().map(WebhookEndpoint::from).collect();
    Ok(Json(WebhookEndpointPage { webhook_endpoints, next_page_token }))
}

/// One webhook endpoint
#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints/{id}",
    operation_id = "getWebhookEndpoint",
    tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f")),
    responses((status = 200, description = "The endpoint, without its secret", body = WebhookEndpoint, headers(
        ("ETag" = String, description = "What `If-Match` of a change has to say"),
    ))),
)]
pub(crate) async fn get_webhook_endpoint(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
) -> Result<Response, ApiError> {
    with_etag(named(&app, id).await?)
}

/// Have nothing sent there any more
///
/// What is on its way is forgotten with it.
#[utoipa::path(
    delete,
    path = "/v1/webhook-endpoints/{id}",
    operation_id = "deleteWebhookEndpoint",
    tag = "webhooks",
    params(
        ("id" = String, Path, description = "The endpoint", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the endpoint as you have seen it, where nothing is to be done if it has changed since"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 412, description = "It has changed since (`precondition_failed`); nothing was done", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn delete_webhook_endpoint(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    if_match: Option<IfMatch>,
) -> Result<StatusCode, ApiError> {
    let id = id.ok_or_else(not_found)?;
    if let Some(if_match) = if_match {
        if_match.check(&etag(&named(&app, Some(id)).await?))?;
    }
    let there = db::webhooks::endpoints::delete(&app.pool, id).await?;
    if there { Ok(StatusCode::NO_CONTENT) } else { Err(not_found()) }
}
