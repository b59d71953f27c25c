//! Webhooks: endpoints, deliveries, signatures and permitted destinations.

pub mod blocked_ranges;
pub mod destination;
pub mod secret;
pub mod url;

use chrono::{DateTime, Utc};

use crate::feed::FeedType;
use crate::string_enum::string_enum;
use crate::{WebhookDeliveryId, WebhookEndpointId};

pub use destination::{DestinationError, DestinationPolicy, Resolver};
pub use secret::WebhookSecret;
pub use url::ReceiverUrl;

string_enum! {
    /// Reason for which an endpoint is disabled.
    DisabledReason {
        /// Request of a caller.
        ByRequest = "by_request",
        /// Response `410 Gone` of the receiver.
        Gone = "gone",
        /// Failure of every attempt for five days.
        Failing = "failing",
    }
}

string_enum! {
    /// State of a delivery.
    DeliveryState {
        /// Waiting for the first or the next attempt.
        Pending = "pending",
        /// Accepted by the receiver.
        Delivered = "delivered",
        /// All attempts failed; no further attempt follows.
        Failed = "failed",
    }
}

string_enum! {
    /// Error of a failed attempt.
    AttemptError {
        /// URL or IP address that is not permitted as a destination.
        Refused = "refused",
        /// Host name without an IP address.
        Unresolvable = "unresolvable",
        /// Refused connection or invalid certificate.
        Unreachable = "unreachable",
        /// No response before the timeout.
        Timeout = "timeout",
        /// Connection closed before a response.
        ConnectionClosed = "connection_closed",
        /// Response status other than 2xx.
        Status = "status",
        /// Event that is deleted already or too large.
        NotDeliverable = "not_deliverable",
    }
}

impl DisabledReason {
    /// Returns the reason as a message for people.
    pub fn message(self) -> &'static str {
        match self {
            Self::ByRequest => "A caller disabled the endpoint.",
            Self::Gone => "The receiver responded 410 Gone, so that it gets no more events.",
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
    /// Event types that are sent; `None` means all.
    pub types: Option<Vec<FeedType>>,
    /// Time and reason of disabling; `None` if the endpoint is enabled.
    pub disabled: Option<(DateTime<Utc>, DisabledReason)>,
    /// Time of the first failure after the last success.
    pub failing_since: Option<DateTime<Utc>>,
    /// End of the pause that the receiver requested with `Retry-After`.
    pub paused_until: Option<DateTime<Utc>>,
    /// Time until which deliveries are also signed with the previous secret.
    pub previous_secret_until: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// Time of the last update by a caller, or of disabling.
    pub updated_at: DateTime<Utc>,
}

/// Delivery of one event to one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Id of the delivery and `webhook-id` of each attempt.
    pub id: WebhookDeliveryId,
    /// Feed position of the event.
    pub position: i64,
    /// Type of the event in the feed.
    pub event_type: Option<String>,
    pub state: DeliveryState,
    pub attempts: i32,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// Result of one HTTP request of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Number within the delivery: 1, 2, 3, …
    pub number: i32,
    pub started_at: DateTime<Utc>,
    /// Duration in real milliseconds.
    pub duration_ms: i32,
    /// HTTP status of the receiver, if it responded.
    pub response_status: Option<u16>,
    /// Error of the attempt; `None` if it succeeded.
    pub error: Option<AttemptError>,
    /// Result as a message for people.
    pub message: String,
    /// Time that was scheduled for the next attempt.
    pub next_attempt_at: Option<DateTime<Utc>>,
}
