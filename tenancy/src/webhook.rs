//! Webhooks: endpoints, deliveries, signatures and permitted destinations.

pub mod blocked_ranges;
pub mod chat_message;
pub mod destination;
pub mod secret;
pub mod url;

use chrono::{DateTime, Utc};

use crate::feed::FeedType;
use crate::string_enum::string_enum;
use crate::{WebhookDeliveryId, WebhookEndpointId};

pub use chat_message::ChatMessage;
pub use destination::{DestinationError, DestinationPolicy, Resolver};
pub use secret::WebhookSecret;
pub use url::ReceiverUrl;

string_enum! {
    /// Reason why a webhook endpoint is disabled.
    DisabledReason {
        /// A caller disabled the endpoint.
        ByRequest = "by_request",
        /// The receiver responded with `410 Gone`.
        Gone = "gone",
        /// All attempts of the last five days have failed.
        Failing = "failing",
    }
}

string_enum! {
    /// Format of the body of a delivery.
    WebhookFormat {
        /// Event of the feed.
        Freehold = "freehold",
        /// Message for an incoming webhook of Slack.
        Slack = "slack",
        /// Adaptive Card for a workflow of Microsoft Teams.
        Teams = "teams",
    }
}

string_enum! {
    /// State of a delivery.
    DeliveryState {
        /// The delivery waits for its first or next attempt.
        Pending = "pending",
        /// The receiver has accepted the delivery.
        Delivered = "delivered",
        /// All attempts have failed; no further attempt follows.
        Failed = "failed",
    }
}

string_enum! {
    /// Reason why an attempt to deliver an event failed.
    AttemptError {
        /// The URL or its IP address is not permitted as a destination.
        Refused = "refused",
        /// The host name has no IP address.
        Unresolvable = "unresolvable",
        /// The connection was refused, or the certificate is invalid.
        Unreachable = "unreachable",
        /// The receiver did not respond before the timeout.
        Timeout = "timeout",
        /// The receiver closed the connection before it responded.
        ConnectionClosed = "connection_closed",
        /// The receiver responded with a status other than 2xx.
        Status = "status",
        /// The event has been deleted or is too large to send.
        NotDeliverable = "not_deliverable",
    }
}

impl DisabledReason {
    /// Returns a message for operators about the reason.
    pub fn message(self) -> &'static str {
        match self {
            Self::ByRequest => "A caller disabled the endpoint.",
            Self::Gone => "The receiver responded 410 Gone, so it gets no more events.",
            Self::Failing => {
                "Every attempt failed for five days. Fix the receiver, enable the endpoint, then replay missed events."
            }
        }
    }
}

/// Webhook endpoint: a URL that receives events.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    pub id: WebhookEndpointId,
    pub url: ReceiverUrl,
    pub description: String,
    pub format: WebhookFormat,
    /// Event types that the endpoint receives; `None` means all types.
    pub types: Option<Vec<FeedType>>,
    /// Time at which the endpoint was disabled, and the reason; `None` if it is enabled.
    pub disabled: Option<(DateTime<Utc>, DisabledReason)>,
    /// Time of the first failed attempt since the last success; `None` if no attempt has failed since.
    pub failing_since: Option<DateTime<Utc>>,
    /// End of the pause that the receiver requested with `Retry-After`.
    pub paused_until: Option<DateTime<Utc>>,
    /// Time until which deliveries are also signed with the previous secret.
    pub previous_secret_until: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// Time at which a caller last changed the endpoint, or at which it was disabled.
    pub updated_at: DateTime<Utc>,
}

/// Delivery of one event to one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Id of the delivery, which every attempt sends in the header `webhook-id`.
    pub id: WebhookDeliveryId,
    /// Feed position of the event; 0 for a test event, which is not in the feed.
    pub position: i64,
    /// Type of the event; `None` if the feed no longer contains the event.
    pub event_type: Option<String>,
    pub state: DeliveryState,
    pub attempts: i32,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// Result of one HTTP request of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Number of the attempt within the delivery: 1, 2, 3, …
    pub number: i32,
    pub started_at: DateTime<Utc>,
    /// Duration in milliseconds of real time, also in a sandbox with a faster clock.
    pub duration_ms: i32,
    /// HTTP status with which the receiver responded; `None` if it did not respond.
    pub response_status: Option<u16>,
    /// Error of the attempt; `None` if it succeeded.
    pub error: Option<AttemptError>,
    /// Result of the attempt as a message for operators.
    pub message: String,
    /// Time at which the next attempt is due; `None` if no further attempt follows.
    pub next_attempt_at: Option<DateTime<Utc>>,
}
