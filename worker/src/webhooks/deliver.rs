//! One attempt: signed, sent, and written down.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Clock;
use freehold_tenancy::db::Result;
use freehold_tenancy::db::installation::Installation;
use freehold_tenancy::db::webhooks::attempts::{self, Outcome, RecordResult};
use freehold_tenancy::db::webhooks::claims::{self, Claim};
use freehold_tenancy::feed::CloudEvent;
use freehold_tenancy::secrets::Keyring;
use freehold_tenancy::webhook::{AttemptError, DestinationPolicy, DisabledReason, Resolver};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::sender::{Message, SendError, Sender};
use super::{retry, secret_rotation};
use crate::services::Services;

/// Longest real time from the address lookup to the head of the receiver's response.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Database writes of attempts at a time, so that connections are left to operations.
const MAX_WRITES: usize = 4;

/// How large a payload may be (Standard Webhooks 1.0 asks for less than 20 kB).
const LARGEST: usize = 20_000;

/// When a delivery is looked at again that could not be sent for a reason of ours.
const PUT_OFF: TimeDelta = TimeDelta::minutes(5);

pub(super) struct Deliverer {
    services: Arc<Services>,
    pub(super) sender: Sender,
    pub(super) keyring: Keyring,
    write_permits: Semaphore,
}

impl Deliverer {
    /// Creates a deliverer. `resolver` replaces the system's address lookup.
    pub(super) fn new(
        services: Arc<Services>,
        installation: &Installation,
        resolver: Option<Arc<dyn Resolver>>,
    ) -> Self {
        let sender = Sender::new(DestinationPolicy::new(&services.config.webhooks, installation.kind));
        let sender = match resolver {
            Some(resolver) => sender.with_resolver(resolver),
            None => sender,
        };
        let keyring = Keyring::new(&services.config.secrets);
        Self { services, sender, keyring, write_permits: Semaphore::new(MAX_WRITES) }
    }

    /// Sends a delivery and writes down what came of it.
    pub(super) async fn deliver(&self, claim: Claim) {
        let done = match self.message(&claim) {
            Ok(message) => {
                let (started_at, clock) = (self.services.clock.now(), Instant::now());
                let answered = self.post(&claim, message).await;
                let outcome = self.outcome(&claim, started_at, clock.elapsed(), answered);
                self.settle(&claim, &outcome).await
            }
            Err(PrepareError::Temporary(error)) => {
                tracing::error!(target: "freehold::alert", endpoint = %claim.endpoint_id, error, "webhooks cannot be signed");
                claims::postpone(&self.services.pool, &claim, self.services.clock.now() + PUT_OFF).await
            }
            Err(PrepareError::Permanent(message)) => {
                let mut outcome = self.outcome(
                    &claim,
                    self.services.clock.now(),
                    Duration::ZERO,
                    Err(SendError { error: AttemptError::NotDeliverable, message: message.to_owned() }),
                );
                outcome.next_attempt_at = None;
                self.settle(&claim, &outcome).await
            }
        };
        // The lease will end, and whoever claims it next sends it again: at least once.
        if let Err(error) = done {
            tracing::warn!(delivery = %claim.id, %error, "what came of a webhook could not be written");
        }
    }

    /// What is sent. Whoever checks its timestamp does that by the wall's clock, as with tokens.
    fn message(&self, claim: &Claim) -> std::result::Result<Message, PrepareError> {
        let gone = "Nothing was sent: the feed does not keep this event any more.";
        let entry = claim.entry.clone().ok_or(PrepareError::Permanent(gone))?;
        let body = serde_json::to_string(&CloudEvent::of(entry, &self.services.config)).unwrap_or_default();
        if body.is_empty() || body.len() >= LARGEST {
            return Err(PrepareError::Permanent(
                "Nothing was sent: the event is too large for a webhook; GET /v1/events has it.",
            ));
        }
        let secrets = secret_rotation::open(&self.keyring, &claim.sealed);
        let secrets = secrets.map_err(|error| PrepareError::Temporary(error.to_string()))?;
        let (id, timestamp) = (claim.id.to_string(), Clock::real().now().timestamp());
        let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(&id, timestamp, &body)).collect();
        Ok(Message { id, timestamp, signature: signatures.join(" "), body })
    }

    async fn post(&self, claim: &Claim, message: Message) -> std::result::Result<(StatusCode, HeaderMap), SendError> {
        // It has ended before the lease has.
        let patience = TIMEOUT.min(self.services.lease_real * 3 / 5);
        let answered = tokio::time::timeout(patience, self.sender.post(&claim.url, message)).await;
        answered.unwrap_or_else(|_| {
            let message = format!("The receiver did not answer within {} seconds.", patience.as_secs());
            Err(SendError { error: AttemptError::Timeout, message })
        })
    }

    fn outcome(
        &self,
        claim: &Claim,
        started_at: DateTime<Utc>,
        took: Duration,
        answered: std::result::Result<(StatusCode, HeaderMap), SendError>,
    ) -> Outcome {
        let now = self.services.clock.now();
        let next = retry::next(claim.tries.saturating_add(1), now);
        let status = answered.as_ref().ok().map(|(status, _)| *status);
        let paused_until =
            answered.as_ref().ok().and_then(|(status, headers)| retry::retry_after(*status, headers, now));
        let (error, message) = match answered {
            Ok((status, _)) if status.is_success() => {
                (None, format!("The receiver has taken it ({}).", status.as_u16()))
            }
            Ok((status, _)) if status.is_redirection() => (
                Some(AttemptError::Status),
                format!(
                    "The receiver answered {}; redirects are not followed. Give the URL that it leads to.",
                    status.as_u16()
                ),
            ),
            Ok((status, _)) => {
                (Some(AttemptError::Status), format!("The receiver answered {}, not 2xx.", status.as_u16()))
            }
            Err(SendError { error, message }) => (Some(error), message),
        };
        Outcome {
            started_at,
            duration_ms: i32::try_from(took.as_millis()).unwrap_or(i32::MAX),
            response_status: status.map(|status| status.as_u16()),
            message,
            next_attempt_at: next.filter(|_| error.is_some()).map(|next| next.max(paused_until.unwrap_or(next))),
            paused_until,
            disable: (status == Some(StatusCode::GONE)).then_some(DisabledReason::Gone),
            failing_before: error.and(retry::failing_before(claim.started_at, next.is_none(), now)),
            error,
        }
    }

    async fn settle(&self, claim: &Claim, outcome: &Outcome) -> Result<()> {
        let word = match (outcome.error, outcome.next_attempt_at) {
            (None, _) => "delivered",
            (Some(_), Some(_)) => "retried",
            (Some(_), None) => "failed",
        };
        let writing = self.write_permits.acquire().await;
        let settled = attempts::record(&self.services.pool, claim, outcome, self.services.clock.now()).await?;
        drop(writing);
        metrics::counter!("freehold_webhook_deliveries_total", "outcome" => word).increment(1);
        tracing::debug!(delivery = %claim.id, endpoint = %claim.endpoint_id, outcome = word, status = outcome.response_status, "webhook");
        if let RecordResult::Written { disabled: Some(reason) } = settled {
            let code = reason.as_str();
            tracing::error!(target: "freehold::alert", endpoint = %claim.endpoint_id, code, "a webhook endpoint was disabled: {}", reason.message());
            metrics::counter!("freehold_webhook_endpoints_disabled_total", "reason" => code).increment(1);
        }
        Ok(())
    }
}

/// Why there is nothing to send.
enum PrepareError {
    /// For a reason of ours, which ends.
    Temporary(String),
    /// For good.
    Permanent(&'static str),
}
