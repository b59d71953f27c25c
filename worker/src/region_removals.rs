//! Start of the deletion of removed replicas whose time to leave has come.

use chrono::TimeDelta;
use freehold_tenancy::db::{Result, lifecycle};
use freehold_tenancy::operation::Requester;
use tokio_util::sync::CancellationToken;

use crate::services::Services;

const CHECK_INTERVAL: TimeDelta = TimeDelta::minutes(5);

/// Opens the operations that delete removed replicas, until `shutdown` is cancelled. Every worker runs this function;
/// concurrent runs are harmless.
pub(crate) async fn run(services: &Services, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = open_due(services).await {
            tracing::warn!(%error, "cannot start the deletion of removed replicas");
        }
        tokio::select! {
            () = services.clock.sleep_until(services.clock.now() + CHECK_INTERVAL) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Opens the operations that are due. Returns their number.
pub(crate) async fn open_due(services: &Services) -> Result<usize> {
    let by = Requester { issuer: "freehold".to_owned(), subject: "change_regions".to_owned() };
    let opened = lifecycle::open_due_removals(&services.pool, &by, services.clock.now()).await?;
    if !opened.is_empty() {
        services.work_notifier.notify();
    }
    Ok(opened.len())
}
