//! Reads the alarms of environments in a bake. Any worker reads the alarms of any environment.

use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::db::rollout_members::{self, BakingMember};
use freehold_tenancy::db::{Result, explain, lifecycle};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use crate::cloud::{Alarm, AlarmState, Target};
use crate::services::Services;

/// Time between two reads of the alarms of one environment.
const READ_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// Time between two searches for alarms to read.
const SEARCH_INTERVAL: TimeDelta = TimeDelta::seconds(5);

/// Minimum real time between two searches, for a sandbox with a fast clock.
const MIN_SLEEP: Duration = Duration::from_millis(200);

/// Maximum number of environments that a worker claims at once.
const MAX_CLAIMED: i64 = 100;

/// Maximum number of environments whose alarms are read concurrently.
const CONCURRENCY: usize = 16;

/// Reads alarms during rollouts until `shutdown` is cancelled.
pub(crate) async fn run(services: &Services, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        if services.wake_signals.has_rollout()
            && services.aws_access.status().problem().is_none()
            && let Err(error) = read_due(services, shutdown).await
        {
            let error = explain(&services.pool, error).await;
            tracing::warn!(%error, "cannot read the alarms of a bake; will retry");
        }
        tokio::select! {
            () = pause(services) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

async fn pause(services: &Services) {
    tokio::time::sleep(MIN_SLEEP).await;
    services.clock.sleep_until(services.clock.now() + SEARCH_INTERVAL).await;
}

/// Reads the alarms that are due, until `shutdown` is cancelled. Returns the number of environments.
pub(crate) async fn read_due(services: &Services, shutdown: &CancellationToken) -> Result<usize> {
    let mut count = 0;
    while !shutdown.is_cancelled() {
        let now = services.clock.now();
        let due = rollout_members::claim_alarms(&services.pool, now, now + READ_INTERVAL, MAX_CLAIMED).await?;
        if due.is_empty() {
            break;
        }
        count += due.len();
        let reads: Vec<BoxFuture<'_, _>> = due.iter().map(|member| read_member(services, member).boxed()).collect();
        let reads: Vec<Result<()>> = stream::iter(reads).buffer_unordered(CONCURRENCY).collect().await;
        reads.into_iter().collect::<Result<()>>()?;
    }
    Ok(count)
}

/// Reads the alarms of one environment and records the result.
async fn read_member(services: &Services, member: &BakingMember) -> Result<()> {
    let (pool, environment) = (&services.pool, member.environment_id);
    match firing_alarm(services, member).await {
        Ok(None) => rollout_members::record_alarms_read(pool, member, None, services.clock.now()).await,
        Ok(Some(reason)) => {
            if lifecycle::record_firing_alarm(pool, member, &reason, services.clock.now()).await? {
                tracing::warn!(%environment, %reason, "environment {environment} fails in the bake: {reason}");
                services.report_events();
                services.wake_signals.notify_rollouts();
            }
            Ok(())
        }
        Err(error) => {
            let problem = format!("its alarms cannot be read: {error}");
            rollout_members::record_alarms_read(pool, member, Some(&problem), services.clock.now()).await
        }
    }
}

/// Returns in words which alarm of an environment fires or is missing; `None` if there is none. The error says that a
/// region cannot be read, and for which reason. An alarm that fires takes precedence over such an error.
async fn firing_alarm(services: &Services, member: &BakingMember) -> std::result::Result<Option<String>, String> {
    let account = Target::new(member.account.clone(), member.environment_id, &services.config.organization);
    let account = account.map_err(|error| error.to_string())?;
    let mut unreadable = None;
    for (region, arns) in &member.alarms {
        match services.aws.alarms(&account, *region, arns).await {
            Ok(alarms) => {
                if let Some(problem) = arns.iter().find_map(|arn| problem_of(arn, &alarms)) {
                    return Ok(Some(problem));
                }
            }
            Err(error) => unreadable = Some(error.to_string()),
        }
    }
    unreadable.map_or(Ok(None), Err)
}

/// Returns in words that an alarm fires or is missing.
fn problem_of(arn: &str, alarms: &[Alarm]) -> Option<String> {
    match alarms.iter().find(|alarm| alarm.arn == arn) {
        Some(alarm) if alarm.state == AlarmState::Alarm => Some(format!("the alarm {arn} fires: {}", alarm.reason)),
        Some(_) => None,
        None => Some(format!("the alarm {arn} does not exist any more")),
    }
}
