//! Deletion of expired idempotency keys and counters.

use chrono::TimeDelta;
use freehold_tenancy::db::{account_limit, idempotency};
use tokio_util::sync::CancellationToken;

use crate::services::Services;

const CLEANUP_INTERVAL: TimeDelta = TimeDelta::hours(1);

/// Deletes expired idempotency keys with their stored responses, and expired counters of the daily account limit, until
/// `shutdown` is cancelled. Every worker runs this function; concurrent runs are harmless.
pub(crate) async fn run(services: &Services, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = idempotency::delete_expired(&services.pool, services.clock.now()).await {
            tracing::warn!(%error, "cannot delete expired idempotency keys");
        }
        if let Err(error) = account_limit::delete_expired(&services.pool, services.clock.now()).await {
            tracing::warn!(%error, "cannot delete expired counters of the daily account limit");
        }
        tokio::select! {
            () = services.clock.sleep_until(services.clock.now() + CLEANUP_INTERVAL) => {}
            () = shutdown.cancelled() => {}
        }
    }
}
