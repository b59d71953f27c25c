//! Attempts of deliveries. An attempt signs a message, sends it and records the result.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Clock;
use freehold_tenancy::db::Result;
use freehold_tenancy::db::installation::Installation;
use freehold_tenancy::db::webhooks::attempts::{self, AttemptOutcome, RecordResult};
use freehold_tenancy::db::webhooks::claims::{self, Claim};
use freehold_tenancy::secrets::Keyring;
use freehold_tenancy::webhook::{AttemptError, DestinationPolicy, DisabledReason, Resolver};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::body::delivery_body;
use super::sender::{Message, SendError, Sender};
use super::{retry, secret_rotation};
use crate::services::Services;

/// Maximum real time from the DNS lookup to the headers of the receiver's response.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(15);

/// Maximum number of attempts that are written to the database concurrently, so that connections remain for operations.
const MAX_CONCURRENT_WRITES: usize = 4;

/// Maximum size of a payload in bytes (Standard Webhooks 1.0 requires less than 20 kB).
const MAX_PAYLOAD_BYTES: usize = 20_000;

/// Pause before the next claim of a delivery whose message could not be prepared.
const PREPARE_RETRY_DELAY: TimeDelta = TimeDelta::minutes(5);

pub(super) struct Deliverer {
    services: Arc<Services>,
    pub(super) sender: Sender,
    pub(super) keyring: Keyring,
    write_permits: Semaphore,
}

impl Deliverer {
    /// Creates a deliverer. `resolver` replaces the DNS lookup of the system.
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
        Self { services, sender, keyring, write_permits: Semaphore::new(MAX_CONCURRENT_WRITES) }
    }

    /// Sends a delivery and records the attempt.
    pub(super) async fn deliver(&self, claim: Claim) {
        let recorded = match self.message(&claim) {
            Ok(message) => {
                let (started_at, clock) = (self.services.clock.now(), Instant::now());
                let response = self.post(&claim, message).await;
                let outcome = self.outcome(&claim, started_at, clock.elapsed(), response);
                self.record(&claim, &outcome).await
            }
            Err(PrepareError::Temporary(error)) => {
                let endpoint = claim.endpoint_id;
                tracing::error!(
                    target: "freehold::alert",
                    %endpoint,
                    error,
                    "cannot decrypt the secret of webhook endpoint {endpoint}; its deliveries are postponed"
                );
                claims::postpone(&self.services.pool, &claim, self.services.clock.now() + PREPARE_RETRY_DELAY).await
            }
            Err(PrepareError::Permanent(message)) => {
                let mut outcome = self.outcome(
                    &claim,
                    self.services.clock.now(),
                    Duration::ZERO,
                    Err(SendError { error: AttemptError::NotDeliverable, message: message.to_owned() }),
                );
                outcome.next_attempt_at = None;
                self.record(&claim, &outcome).await
            }
        };
        // Deliveries are sent at least once. After the lease has expired, another worker sends this delivery again.
        if let Err(error) = recorded {
            let delivery = claim.id;
            tracing::warn!(
                %delivery, %error,
                "cannot record the attempt of delivery {delivery}; a worker will send the delivery again"
            );
        }
    }

    /// Creates the signed message. Its timestamp is real time, because receivers check it against their own clock.
    fn message(&self, claim: &Claim) -> std::result::Result<Message, PrepareError> {
        let gone = "Nothing was sent: the feed no longer contains this event.";
        let body = delivery_body(claim, &self.services.config).ok_or(PrepareError::Permanent(gone))?;
        if body.is_empty() || body.len() >= MAX_PAYLOAD_BYTES {
            return Err(PrepareError::Permanent(
                "Nothing was sent: the event is too large for a webhook. Read it from the event feed.",
            ));
        }
        let secrets = secret_rotation::decrypt_secrets(&self.keyring, &claim.sealed);
        let secrets = secrets.map_err(|error| PrepareError::Temporary(error.to_string()))?;
        let (id, timestamp) = (claim.id.to_string(), Clock::real().now().timestamp());
        let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(&id, timestamp, &body)).collect();
        Ok(Message { id, timestamp, signature: signatures.join(" "), body })
    }

    async fn post(&self, claim: &Claim, message: Message) -> std::result::Result<(StatusCode, HeaderMap), SendError> {
        // The request must end before the lease expires.
        let timeout = DELIVERY_TIMEOUT.min(self.services.real_time_lease * 3 / 5);
        let response = tokio::time::timeout(timeout, self.sender.post(&claim.url, message)).await;
        response.unwrap_or_else(|_| {
            let message = format!("The receiver did not answer within {} seconds.", timeout.as_secs());
            Err(SendError { error: AttemptError::Timeout, message })
        })
    }

    fn outcome(
        &self,
        claim: &Claim,
        started_at: DateTime<Utc>,
        duration: Duration,
        response: std::result::Result<(StatusCode, HeaderMap), SendError>,
    ) -> AttemptOutcome {
        let now = self.services.clock.now();
        let next = retry::next_attempt_at(claim.tries.saturating_add(1), now);
        let status = response.as_ref().ok().map(|(status, _)| *status);
        let paused_until =
            response.as_ref().ok().and_then(|(status, headers)| retry::retry_after(*status, headers, now));
        let (error, message) = match response {
            Ok((status, _)) if status.is_success() => (None, format!("Delivered ({}).", status.as_u16())),
            Ok((status, _)) if status.is_redirection() => (
                Some(AttemptError::Status),
                format!(
                    "The receiver answered {}; redirects are not followed. Use the URL to which it redirects.",
                    status.as_u16()
                ),
            ),
            Ok((status, _)) => {
                (Some(AttemptError::Status), format!("The receiver answered {}, not 2xx.", status.as_u16()))
            }
            Err(SendError { error, message }) => (Some(error), message),
        };
        AttemptOutcome {
            started_at,
            duration_ms: i32::try_from(duration.as_millis()).unwrap_or(i32::MAX),
            response_status: status.map(|status| status.as_u16()),
            message,
            next_attempt_at: next.filter(|_| error.is_some()).map(|next| next.max(paused_until.unwrap_or(next))),
            paused_until,
            disable: (status == Some(StatusCode::GONE)).then_some(DisabledReason::Gone),
            failing_before: error.and(retry::failing_before(claim.started_at, next.is_none(), now)),
            error,
        }
    }

    async fn record(&self, claim: &Claim, outcome: &AttemptOutcome) -> Result<()> {
        let label = match (outcome.error, outcome.next_attempt_at) {
            (None, _) => "delivered",
            (Some(_), Some(_)) => "retried",
            (Some(_), None) => "failed",
        };
        let writing = self.write_permits.acquire().await;
        let recorded = attempts::record(&self.services.pool, claim, outcome, self.services.clock.now()).await?;
        drop(writing);
        metrics::counter!("freehold_webhook_deliveries_total", "outcome" => label).increment(1);
        tracing::debug!(
            delivery = %claim.id,
            endpoint = %claim.endpoint_id,
            outcome = label,
            status = outcome.response_status,
            "webhook"
        );
        if let RecordResult::Written { disabled: Some(reason) } = recorded {
            let code = reason.as_str();
            let endpoint = claim.endpoint_id;
            tracing::error!(
                target: "freehold::alert",
                %endpoint,
                code,
                "webhook endpoint {endpoint} was disabled: {}",
                reason.message()
            );
            metrics::counter!("freehold_webhook_endpoints_disabled_total", "reason" => code).increment(1);
        }
        Ok(())
    }
}

/// Error in the preparation of a message.
enum PrepareError {
    /// The secret cannot be decrypted. The delivery is retried later, because the configuration may lack a key.
    Temporary(String),
    /// The event can never be sent. Contains the reason.
    Permanent(&'static str),
}
