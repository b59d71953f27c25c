//! Webhooks: who is sent the feed, how that is signed, and where it may be sent at all.

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
    /// Why nothing is sent to an endpoint.
    DisabledReason {
        /// Somebody asked for it.
        ByRequest = "by_request",
        /// It answered `410 Gone`.
        Gone = "gone",
        /// For days there was nothing but failures.
        Failing = "failing",
    }
}

string_enum! {
    /// Where a delivery stands.
    DeliveryState {
        /// It will be tried, or tried again.
        Pending = "pending",
        /// The receiver has taken it.
        Delivered = "delivered",
        /// It was tried as often as it is.
        Failed = "failed",
    }
}

string_enum! {
    /// Why an attempt failed.
    AttemptError {
        /// The URL, or an address that its name has, is none that anything is sent to.
        Refused = "refused",
        /// The name has no address.
        Unresolvable = "unresolvable",
        /// Nobody takes connections there, or not with a certificate that fits.
        Unreachable = "unreachable",
        /// No answer in time.
        Timeout = "timeout",
        /// The connection broke before there was an answer.
        ConnectionClosed = "connection_closed",
        /// The answer was not a 2xx.
        Status = "status",
        /// The event is not kept any more, or too large to be sent.
        NotDeliverable = "not_deliverable",
    }
}

impl DisabledReason {
    /// It in plain words.
    pub fn message(self) -> &'static str {
        match self {
            Self::ByRequest => "Somebody has disabled it.",
            Self::Gone => "It answered 410 Gone, which says that it wants nothing more.",
            Self::Failing => {
                "For five days every attempt has failed. Enable it once it works, and replay what it has missed."
            }
        }
    }
}

/// Where events are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Names it.
    pub id: WebhookEndpointId,
    /// Where.
    pub url: ReceiverUrl,
    /// What it is for.
    pub description: String,
    /// Which events; `None` for all.
    pub types: Option<Vec<FeedType>>,
    /// Since when, and why, nothing is sent.
    pub disabled: Option<(DateTime<Utc>, DisabledReason)>,
    /// The first failure after the last success.
    pub failing_since: Option<DateTime<Utc>>,
    /// Nothing is sent until then, because the receiver asked for it.
    pub paused_until: Option<DateTime<Utc>>,
    /// Until when deliveries carry a signature with the secret before this one as well.
    pub previous_secret_until: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it, or it was disabled.
    pub updated_at: DateTime<Utc>,
}

/// One event for one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Names it; the `webhook-id` of each attempt.
    pub id: WebhookDeliveryId,
    /// Where the event stands in the feed.
    pub position: i64,
    /// What happened, as the feed has it.
    pub event_type: Option<String>,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: i32,
    /// When it is tried next.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it was made of the event.
    pub created_at: DateTime<Utc>,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// 1, 2, 3, … within the delivery.
    pub number: i32,
    /// When.
    pub started_at: DateTime<Utc>,
    /// How long it took, in real milliseconds.
    pub duration_ms: i32,
    /// What the receiver answered.
    pub response_status: Option<u16>,
    /// Why it failed; `None` where it did not.
    pub error: Option<AttemptError>,
    /// What came of it, in plain words.
    pub message: String,
    /// When it was to be tried again.
    pub next_attempt_at: Option<DateTime<Utc>>,
}
