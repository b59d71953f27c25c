//! Stores the environments that keep their release.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{PgPool, Result, events, finish_transaction, parse_json};
use crate::environment_pin::EnvironmentPin;
use crate::feed::FeedType;
use crate::{EnvironmentId, TenantId};

/// Result of [`pin`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinResult {
    /// The environment has the pin now.
    Pinned { before: Option<EnvironmentPin> },
    /// The environment has no release any more.
    Offboarded,
}

/// Pins an environment, or replaces its pin. Writes an event if reason or end have changed.
pub async fn pin(
    pool: &PgPool,
    tenant: TenantId,
    environment: EnvironmentId,
    pin: &EnvironmentPin,
) -> Result<PinResult> {
    let mut tx = pool.begin().await?;
    let result = pin_in_tx(&mut tx, tenant, environment, pin).await;
    finish_transaction(tx, result, |result| matches!(result, PinResult::Pinned { .. })).await
}

async fn pin_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    environment: EnvironmentId,
    pin: &EnvironmentPin,
) -> Result<PinResult> {
    // The lock keeps the environment from being offboarded meanwhile, and orders requests for the same environment.
    let is_offboarded = sqlx::query_scalar!(
        r#"/* db::environment_pins::pin */
        select state = 'offboarded' as "offboarded!" from environments where id = $1 for no key update"#,
        environment.as_uuid(),
    );
    if is_offboarded.fetch_one(&mut *tx).await? {
        return Ok(PinResult::Offboarded);
    }
    let before = find(tx, environment).await?;
    if before.as_ref().is_some_and(|before| before.reason == pin.reason && before.until == pin.until) {
        return Ok(PinResult::Pinned { before });
    }
    sqlx::query!(
        r#"/* db::environment_pins::pin */
        insert into environment_pins (environment_id, reason, until, pinned_by, pinned_at) values ($1, $2, $3, $4, $5)
        on conflict (environment_id) do update set reason = excluded.reason, until = excluded.until,
            pinned_by = excluded.pinned_by, pinned_at = excluded.pinned_at"#,
        environment.as_uuid(),
        pin.reason,
        pin.until,
        json!(pin.pinned_by),
        pin.pinned_at,
    )
    .execute(&mut *tx)
    .await?;
    events::append_environment_event(tx, FeedType::EnvironmentPinned, tenant, environment, pin.pinned_at).await?;
    Ok(PinResult::Pinned { before })
}

/// Deletes the pin of an environment with an event. Returns the pin, or `None` if there was none.
pub async fn unpin(
    pool: &PgPool,
    tenant: TenantId,
    environment: EnvironmentId,
    now: DateTime<Utc>,
) -> Result<Option<EnvironmentPin>> {
    let mut tx = pool.begin().await?;
    let result = unpin_in_tx(&mut tx, tenant, environment, now).await;
    finish_transaction(tx, result, Option::is_some).await
}

async fn unpin_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    environment: EnvironmentId,
    now: DateTime<Utc>,
) -> Result<Option<EnvironmentPin>> {
    let Some(before) = find(tx, environment).await? else { return Ok(None) };
    if !delete(tx, environment).await? {
        return Ok(None);
    }
    events::append_environment_event(tx, FeedType::EnvironmentUnpinned, tenant, environment, now).await?;
    Ok(Some(before))
}

/// Deletes the pin of an environment without an event, because the environment is offboarded. Returns whether there was
/// one.
pub(super) async fn delete(tx: &mut PgConnection, environment: EnvironmentId) -> Result<bool> {
    let deleted = sqlx::query!(
        "/* db::environment_pins::delete */ delete from environment_pins where environment_id = $1",
        environment.as_uuid(),
    );
    Ok(deleted.execute(tx).await?.rows_affected() > 0)
}

async fn find(tx: &mut PgConnection, environment: EnvironmentId) -> Result<Option<EnvironmentPin>> {
    let row = sqlx::query!(
        r#"/* db::environment_pins::find */
        select reason, until, pinned_by, pinned_at from environment_pins where environment_id = $1"#,
        environment.as_uuid(),
    );
    let Some(row) = row.fetch_optional(tx).await? else { return Ok(None) };
    let pinned_by = parse_json(row.pinned_by, "the author of a pin")?;
    Ok(Some(EnvironmentPin { reason: row.reason, until: row.until, pinned_by, pinned_at: row.pinned_at }))
}

/// Returns the pin of an environment that is in force, or `None` if its release may change.
pub(super) async fn in_force(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    now: DateTime<Utc>,
) -> Result<Option<EnvironmentPin>> {
    let pin = find(tx, environment).await?;
    Ok(pin.filter(|pin| pin.until.is_none_or(|until| until > now)))
}
