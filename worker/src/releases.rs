//! Checks of registered releases. Every worker runs this loop; concurrent checks of one release are harmless.

mod check;

use chrono::TimeDelta;
use freehold_tenancy::db::{Result, releases};
use tokio_util::sync::CancellationToken;

use crate::services::Services;

/// Pause between two searches for releases to check.
const CHECK_INTERVAL: TimeDelta = TimeDelta::seconds(5);

/// Checks registered releases until `shutdown` is cancelled.
pub(crate) async fn run(services: &Services, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        if services.aws_access.status().problem().is_none()
            && let Err(error) = check_registered(services).await
        {
            tracing::warn!(%error, "cannot check the registered releases");
        }
        tokio::select! {
            () = services.clock.sleep_until(services.clock.now() + CHECK_INTERVAL) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Checks the releases that no worker has checked. Returns the number of releases that are now ready or refused.
pub(crate) async fn check_registered(services: &Services) -> Result<usize> {
    let mut count = 0;
    for release in releases::to_check(&services.pool).await? {
        let check = match check::check(&services.aws, &services.config, &release).await {
            Ok(check) => check,
            Err(error) => {
                tracing::warn!(release = %release.id, %error, "release {} cannot be checked now", release.id);
                continue;
            }
        };
        let is_ready = check.problems.is_empty();
        if releases::record_check(&services.pool, release.id, &check, services.clock.now()).await? {
            count += 1;
            let state = if is_ready { "ready" } else { "refused" };
            tracing::info!(release = %release.id, state, "release {} is {state}", release.id);
            services.report_events();
        }
    }
    Ok(count)
}
