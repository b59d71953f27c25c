//! Loop that continues the rollout in progress. It claims the rollout with a lease and a fence, so that any worker
//! continues it after a crash.

pub(crate) mod alarms;
mod decide;

use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::db::rollouts::{self, RolloutClaim};
use freehold_tenancy::db::{DbError, Result, explain, lifecycle};
use tokio_util::sync::CancellationToken;

use crate::services::Services;

/// Maximum real time between two checks during a rollout, in case every wake-up is lost.
const MAX_SLEEP: Duration = Duration::from_secs(10);

/// Maximum real time between two checks without a rollout, so that an idle worker makes few queries.
const MAX_IDLE_SLEEP: Duration = Duration::from_mins(1);

/// Minimum real time between two checks.
const MIN_SLEEP: Duration = Duration::from_millis(20);

/// Continues rollouts until `shutdown` is cancelled. Every worker runs this function; because of the claim, one
/// worker at a time continues a rollout.
pub(crate) async fn run(worker: &str, services: &Services, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = drain(worker, services).await {
            let error = explain(&services.pool, error).await;
            tracing::warn!(%error, "cannot continue the rollout; will retry");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::select! {
            () = wait(services) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Waits until the rollout may be due: at its wake-up, or when an operation has ended.
async fn wait(services: &Services) {
    tokio::time::sleep(MIN_SLEEP).await;
    // The next claim reports the error of the database.
    let Ok(unfinished) = rollouts::unfinished(&services.pool).await else { return };
    services.wake_signals.set_has_rollout(unfinished.is_some());
    let max_sleep = if unfinished.is_some() { MAX_SLEEP } else { MAX_IDLE_SLEEP };
    let due_at = unfinished.and_then(|rollout| rollout.due_at);
    let due_at = due_at.unwrap_or_else(|| services.clock.now() + TimeDelta::days(1));
    tokio::select! {
        () = services.clock.sleep_until(due_at) => {}
        () = services.wake_signals.wait_for_rollouts() => {}
        () = tokio::time::sleep(max_sleep) => {}
    }
}

/// Continues the rollout that is due until it waits. Returns the number of decisions.
pub(crate) async fn drain(worker: &str, services: &Services) -> Result<usize> {
    let mut decisions = 0;
    while let Some(claim) = rollouts::claim_due(&services.pool, worker, services.clock.now(), services.lease()).await? {
        match advance(services, &claim, &mut decisions).await {
            // Another worker continues the rollout.
            Err(DbError::LeaseLost) => return Ok(decisions),
            done => done?,
        }
    }
    Ok(decisions)
}

async fn advance(services: &Services, claim: &RolloutClaim, decisions: &mut usize) -> Result<()> {
    loop {
        let turn = lifecycle::advance_rollout(&services.pool, claim, decide::decide, services.clock.now()).await?;
        *decisions += 1;
        // The turn may have opened operations.
        services.work_notifier.notify();
        if turn.has_changed {
            let (id, state) = (claim.rollout_id, turn.state);
            tracing::info!(rollout = %id, %state, "rollout {id} is {state}");
        }
        if turn.is_released {
            services.report_events();
            return Ok(());
        }
    }
}
