//! Stores the results of delivery attempts.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::claims::Claim;
use crate::WebhookDeliveryId;
use crate::db::{PgPool, Result, finish_transaction};
use crate::webhook::{Attempt, AttemptError, DeliveryState, DisabledReason};

/// Result of an attempt to send a delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptOutcome {
    pub started_at: DateTime<Utc>,
    /// Duration in milliseconds of real time, also in a sandbox with a faster clock.
    pub duration_ms: i32,
    /// HTTP status of the receiver; `None` if it did not respond.
    pub response_status: Option<u16>,
    /// Error of the attempt; `None` if it succeeded.
    pub error: Option<AttemptError>,
    /// Result as a message for operators, at most 500 characters.
    pub message: String,
    /// Time of the next attempt; `None` if no attempt follows.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// End of the pause that the receiver requested, if it requested one.
    pub paused_until: Option<DateTime<Utc>>,
    /// Reason to disable the endpoint immediately, or `None` to keep it enabled.
    pub disable: Option<DisabledReason>,
    /// The endpoint is disabled if all attempts since this time have failed. `None` keeps the endpoint enabled.
    pub failing_before: Option<DateTime<Utc>>,
}

/// Result of recording an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordResult {
    /// Another worker has claimed the delivery, or it was deleted; nothing was written.
    LeaseLost,
    /// The attempt was recorded.
    Written {
        /// Reason why the endpoint was disabled, or `None` if it was not.
        disabled: Option<DisabledReason>,
    },
}

/// Records the result of an attempt if the claim is still valid.
pub async fn record(
    pool: &PgPool,
    claim: &Claim,
    outcome: &AttemptOutcome,
    now: DateTime<Utc>,
) -> Result<RecordResult> {
    let mut tx = pool.begin().await?;
    let settled = write(&mut tx, claim, outcome, now).await;
    finish_transaction(tx, settled, |settled| *settled != RecordResult::LeaseLost).await
}

async fn write(
    tx: &mut PgConnection,
    claim: &Claim,
    outcome: &AttemptOutcome,
    now: DateTime<Utc>,
) -> Result<RecordResult> {
    let state = match (outcome.error, outcome.next_attempt_at) {
        (None, _) => DeliveryState::Delivered,
        (Some(_), Some(_)) => DeliveryState::Pending,
        (Some(_), None) => DeliveryState::Failed,
    };
    let number = sqlx::query_scalar!(
        r#"/* db::webhooks::attempts::record */
        update webhook_deliveries set state = $3, tries = tries + 1, attempts = attempts + 1, lease_until = null,
            next_attempt_at = $4
        where id = $1 and fence = $2 returning attempts"#,
        claim.id.as_uuid(),
        claim.fence,
        state.as_str(),
        outcome.next_attempt_at.filter(|_| state == DeliveryState::Pending),
    );
    let Some(number) = number.fetch_optional(&mut *tx).await? else { return Ok(RecordResult::LeaseLost) };
    sqlx::query!(
        r#"/* db::webhooks::attempts::record */
        insert into webhook_attempts
            (delivery_id, number, started_at, duration_ms, response_status, error, message, next_attempt_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)"#,
        claim.id.as_uuid(),
        number,
        outcome.started_at,
        outcome.duration_ms,
        outcome.response_status.and_then(|status| i16::try_from(status).ok()),
        outcome.error.map(AttemptError::as_str),
        outcome.message,
        outcome.next_attempt_at,
    )
    .execute(&mut *tx)
    .await?;
    let disabled = if outcome.error.is_none() {
        clear_failures(tx, claim).await?
    } else {
        record_failure(tx, claim, outcome, now).await?
    };
    Ok(RecordResult::Written { disabled })
}

/// Clears the failure state of the endpoint after a successful attempt.
async fn clear_failures(tx: &mut PgConnection, claim: &Claim) -> Result<Option<DisabledReason>> {
    sqlx::query!(
        r#"/* db::webhooks::attempts::clear_failures */
        update webhook_endpoints set failing_since = null, paused_until = null
        where id = $1 and num_nonnulls(failing_since, paused_until) > 0"#,
        claim.endpoint_id.as_uuid(),
    )
    .execute(tx)
    .await?;
    Ok(None)
}

async fn record_failure(
    tx: &mut PgConnection,
    claim: &Claim,
    outcome: &AttemptOutcome,
    now: DateTime<Utc>,
) -> Result<Option<DisabledReason>> {
    sqlx::query!(
        r#"/* db::webhooks::attempts::record_failure */
        update webhook_endpoints set failing_since = coalesce(failing_since, $2),
            paused_until = greatest(paused_until, $3)
        where id = $1 and url = $4 and (failing_since is null or $3::timestamptz is not null)"#,
        claim.endpoint_id.as_uuid(),
        outcome.started_at,
        outcome.paused_until,
        claim.url,
    )
    .execute(&mut *tx)
    .await?;
    if outcome.disable.is_none() && outcome.failing_before.is_none() {
        return Ok(None);
    }
    // If the URL of the endpoint has changed, the failed attempt concerns another receiver.
    let disabled = sqlx::query_scalar!(
        r#"/* db::webhooks::attempts::record_failure */
        update webhook_endpoints set disabled_at = $2, disabled_reason = coalesce($3, $5),
            updated_at = greatest($2, updated_at + interval '1 microsecond')
        where id = $1 and url = $6 and disabled_at is null and ($3::text is not null or failing_since <= $4)
        returning disabled_reason as "reason!: DisabledReason""#,
        claim.endpoint_id.as_uuid(),
        now,
        outcome.disable.map(DisabledReason::as_str),
        outcome.failing_before,
        DisabledReason::Failing.as_str(),
        claim.url,
    );
    Ok(disabled.fetch_optional(tx).await?)
}

/// Returns the attempts of a delivery, latest first, at most 100.
pub async fn of(pool: &PgPool, id: WebhookDeliveryId) -> Result<Vec<Attempt>> {
    let rows = sqlx::query!(
        r#"/* db::webhooks::attempts::of */
        select number, started_at, duration_ms, response_status, error as "error: AttemptError", message,
            next_attempt_at
        from webhook_attempts where delivery_id = $1 order by number desc limit 100"#,
        id.as_uuid(),
    );
    let attempts = rows.fetch_all(pool).await?.into_iter().map(|row| Attempt {
        number: row.number,
        started_at: row.started_at,
        duration_ms: row.duration_ms,
        response_status: row.response_status.and_then(|status| u16::try_from(status).ok()),
        error: row.error,
        message: row.message,
        next_attempt_at: row.next_attempt_at,
    });
    Ok(attempts.collect())
}
