//! Webhook endpoints, an endpoint with its deliveries and actions, and a delivery with its attempts.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use freehold_tenancy::webhook::DeliveryState;
use serde::Deserialize;

use super::{encode, more_query};
use crate::console::inputs::Refusal;
use crate::console::labels::{Instant, State};
use crate::console::layout::{Layout, html};
use crate::console::session::{Visitor, random_text};
use crate::problem::ApiError;
use crate::routes::webhooks::deliveries::{WebhookAttempt, WebhookDelivery, WebhookDeliveryPage};
use crate::routes::webhooks::endpoints::{WebhookEndpoint, WebhookEndpointPage};
use crate::scope::Scope;

pub(super) const PAGE: &str = "/console/webhooks";

/// Maximum number of endpoints in the list; an installation has at most 100.
const MAX_ROWS: usize = 200;

/// Number of deliveries on a page.
const PAGE_SIZE: usize = 25;

#[derive(Template)]
#[template(path = "console/webhooks.html")]
struct Webhooks {
    layout: Layout,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    url: String,
    description: String,
    state: State,
    types: String,
    failing_since: Option<Instant>,
    created_at: Instant,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::console) struct Filter {
    state: String,
    page: String,
    /// Number of events that were just replayed.
    replayed: Option<usize>,
}

/// Result of an action that the page of the endpoint shows.
#[derive(Default)]
pub(super) struct ActionResult {
    /// Secret after its rotation.
    pub(super) secret: Option<String>,
    pub(super) message: String,
    /// Refusal of the replay.
    pub(super) refusal: Refusal,
    /// Text in the field of the replay.
    pub(super) since: String,
}

#[derive(Template)]
#[template(path = "console/webhook.html")]
struct WebhookView {
    layout: Layout,
    row: Row,
    format: &'static str,
    state: State,
    paused_until: Option<Instant>,
    previous_secret_until: Option<Instant>,
    /// Reason and time since which the endpoint is disabled.
    disabled: Option<(String, Instant)>,
    may_write: bool,
    result: ActionResult,
    /// Key that makes the rotation of the form happen once.
    rotation_key: String,
    etag: String,
    states: Vec<StateOption>,
    deliveries: Vec<Delivery>,
    /// Path of the next page; `None` on the last one.
    next: Option<String>,
}

struct StateOption {
    value: &'static str,
    label: String,
    is_selected: bool,
}

struct Delivery {
    id: String,
    /// Position in the feed.
    position: String,
    event_type: String,
    state: State,
    attempts: i32,
    next_attempt: Option<Instant>,
    created_at: Instant,
}

#[derive(Template)]
#[template(path = "console/webhook_delivery.html")]
struct DeliveryView {
    layout: Layout,
    endpoint: WebhookEndpoint,
    delivery: Delivery,
    state: State,
    may_resend: bool,
    attempts: Vec<Attempt>,
}

struct Attempt {
    number: i32,
    started_at: Instant,
    milliseconds: i32,
    status: String,
    is_success: bool,
    message: String,
}

pub(in crate::console) async fn list(visitor: Visitor) -> Result<Response, ApiError> {
    let page: WebhookEndpointPage = visitor.api.get(&format!("/v1/webhook-endpoints?page_size={MAX_ROWS}")).await?;
    let rows = page.webhook_endpoints.iter().map(row).collect();
    html(&Webhooks { layout: Layout::of(&visitor, PAGE, "Webhooks").await?, rows })
}

fn row(endpoint: &WebhookEndpoint) -> Row {
    Row {
        id: endpoint.id.clone(),
        url: endpoint.url.clone(),
        description: endpoint.description.clone(),
        // An enabled endpoint without success needs a look before it is disabled.
        state: State::of(if endpoint.failing_since.is_some() && endpoint.disabled_at.is_none() {
            "failing"
        } else {
            &endpoint.state
        }),
        types: endpoint.types.as_ref().map_or_else(|| "all types".to_owned(), |types| types.join(", ")),
        failing_since: endpoint.failing_since.map(Instant::of),
        created_at: Instant::of(endpoint.created_at),
    }
}

pub(in crate::console) async fn show(
    visitor: Visitor,
    Path(id): Path<String>,
    Query(filter): Query<Filter>,
) -> Result<Response, ApiError> {
    let message = filter.replayed.map_or_else(String::new, |count| match count {
        0 => "No event of the types of this endpoint happened since then; nothing is sent again.".to_owned(),
        1 => "1 event is sent again.".to_owned(),
        count => format!("{count} events are sent again."),
    });
    show_with(&visitor, &id, &filter, ActionResult { message, ..ActionResult::default() }).await
}

/// Shows an endpoint with the result of an action.
pub(super) async fn show_with(
    visitor: &Visitor,
    id: &str,
    filter: &Filter,
    result: ActionResult,
) -> Result<Response, ApiError> {
    let id = encode(id);
    let (endpoint, etag): (WebhookEndpoint, String) =
        visitor.api.get_with_etag(&format!("/v1/webhook-endpoints/{id}")).await?;
    let query = more_query(&[("state", &filter.state), ("page_token", &filter.page)]);
    let path = format!("/v1/webhook-endpoints/{id}/deliveries?page_size={PAGE_SIZE}{query}");
    let page: WebhookDeliveryPage = visitor.api.get(&path).await?;
    let state_query = more_query(&[("state", &filter.state)]);
    let next = page.next_page_token.map(|token| format!("{PAGE}/{id}?page={}{state_query}", encode(&token)));
    let option = |state: &DeliveryState| StateOption {
        value: state.as_str(),
        label: State::of(state.as_str()).label,
        is_selected: filter.state == state.as_str(),
    };
    let row = row(&endpoint);
    let view = WebhookView {
        layout: Layout::of(visitor, PAGE, "Webhook endpoint").await?.without_stream(),
        state: row.state.clone(),
        format: match endpoint.format.as_str() {
            "slack" => "message for Slack",
            "teams" => "card for Microsoft Teams",
            _ => "event of the feed",
        },
        row,
        paused_until: endpoint.paused_until.map(Instant::of),
        previous_secret_until: endpoint.previous_secret_until.map(Instant::of),
        disabled: endpoint.disabled_message.zip(endpoint.disabled_at.map(Instant::of)),
        may_write: visitor.has_scope(Scope::WebhooksWrite),
        result,
        rotation_key: random_text()?,
        etag,
        states: DeliveryState::ALL.iter().map(option).collect(),
        deliveries: page.webhook_deliveries.iter().map(delivery).collect(),
        next,
    };
    html(&view)
}

fn delivery(delivery: &WebhookDelivery) -> Delivery {
    Delivery {
        id: delivery.id.clone(),
        position: match delivery.position {
            0 => "not in the feed".to_owned(),
            position => format!("position {position}"),
        },
        event_type: delivery.r#type.clone().unwrap_or_else(|| "no longer in the feed".to_owned()),
        state: State::of(&delivery.state),
        attempts: delivery.attempt_count,
        next_attempt: delivery.next_attempt_at.map(Instant::of),
        created_at: Instant::of(delivery.created_at),
    }
}

pub(in crate::console) async fn show_delivery(
    visitor: Visitor,
    Path((id, delivery_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let endpoint_path = format!("/v1/webhook-endpoints/{}", encode(&id));
    let endpoint: WebhookEndpoint = visitor.api.get(&endpoint_path).await?;
    let found: WebhookDelivery =
        visitor.api.get(&format!("{endpoint_path}/deliveries/{}", encode(&delivery_id))).await?;
    let delivery = delivery(&found);
    let view = DeliveryView {
        layout: Layout::of(&visitor, PAGE, "Delivery").await?,
        state: delivery.state.clone(),
        delivery,
        may_resend: visitor.has_scope(Scope::WebhooksWrite) && endpoint.disabled_at.is_none(),
        endpoint,
        attempts: found.attempts.unwrap_or_default().into_iter().map(attempt).collect(),
    };
    html(&view)
}

fn attempt(attempt: WebhookAttempt) -> Attempt {
    Attempt {
        number: attempt.number,
        started_at: Instant::of(attempt.started_at),
        milliseconds: attempt.duration_ms,
        status: attempt.response_status.map_or_else(|| "no response".to_owned(), |status| status.to_string()),
        is_success: attempt.error.is_none(),
        message: attempt.message,
    }
}
