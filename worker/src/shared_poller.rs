//! Shared polls, in which one List call reports the progress of all operations that wait under a quota.
//!
//! `poll_schedule` determines the time and the method of a poll. A List call finds all finished work and counts the
//! slots that other programs in the organisation use. If at most two operations may have finished, they poll
//! individually instead.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::db::shared_polls::{self, QuotaUsage};
use freehold_tenancy::db::{DbError, quotas};
use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;

use crate::cloud::{self, CloudErrorKind};
use crate::poll_schedule::{self, PollMethod, PolledWork};
use crate::services::Services;

/// Time for which a count of the requests in progress at AWS is valid.
const USAGE_TTL: TimeDelta = TimeDelta::seconds(60);

/// Time for which a count is valid if other programs in the organisation use slots, because these slots may be free
/// again soon.
const EXTERNAL_USAGE_TTL: TimeDelta = TimeDelta::seconds(20);

/// Delay after a failed poll, unless the error contains a retry time.
const RETRY_DELAY: TimeDelta = TimeDelta::seconds(15);

/// Quotas whose requests AWS can list, each with the step that waits for the requests.
const LISTED_QUOTAS: [(Quota, StepName); 2] =
    [(Quota::AccountCreations, StepName::AwaitAccount), (Quota::Assignments, StepName::GrantAccess)];

/// Runs the shared polls that are due and returns the number of polls.
pub(crate) async fn run_due_polls(services: &Services) -> Result<usize, DbError> {
    let due = shared_polls::claim_due(&services.pool, services.clock.now(), poll_lease(services)).await?;
    for quota in &due {
        let Some((quota, step)) = LISTED_QUOTAS.into_iter().find(|(listed, _)| listed == quota) else {
            shared_polls::schedule_next(&services.pool, *quota, None).await?;
            continue;
        };
        if let Err(error) = poll(services, quota, step).await {
            tracing::warn!(%error, %quota, "polling quota {quota} failed; will retry");
        }
    }
    Ok(due.len())
}

/// Returns the duration of the lease of a poll. It is shorter than the lease of an operation, because a duplicate poll
/// costs only one call.
fn poll_lease(services: &Services) -> TimeDelta {
    services.lease() / 2
}

async fn poll(services: &Services, quota: Quota, step: StepName) -> Result<(), DbError> {
    let (pool, now) = (&services.pool, services.clock.now());
    let expected_seconds = expected_seconds(services, quota);
    let expected = services.durations.expected(step, PolledWork::Usual, expected_seconds, now).await;
    let usage = shared_polls::usage(pool, quota).await?;
    // The estimate uses the age of the work at the last poll, not its current age.
    let observed = usage.in_progress.iter().map(|one| one.seen - one.since).max();
    let expected = expected.given(observed.unwrap_or_default());
    let load = quota_load(services, quota, &usage);
    let next = match poll_schedule::choose_method(&usage.in_progress, expected, load, now) {
        // Another poll has already been made.
        PollMethod::None => None,
        PollMethod::Individual(operations) => {
            shared_polls::request_individual_poll(pool, quota, &operations, now).await?;
            None
        }
        PollMethod::List => match in_progress(services, quota).await {
            Ok(requests) => {
                record_usage(services, quota, &requests, now).await?;
                None
            }
            Err(error) => {
                tracing::info!(%quota, %error, "cannot list the work in progress under quota {quota}");
                let until = if let CloudErrorKind::Throttled { until } = error.kind { until } else { None };
                Some(until.unwrap_or(now + RETRY_DELAY))
            }
        },
    };
    if next.is_some() {
        return shared_polls::schedule_next(pool, quota, next).await;
    }
    let usage = shared_polls::usage(pool, quota).await?;
    let load = quota_load(services, quota, &usage);
    shared_polls::schedule_next(pool, quota, poll_schedule::next_shared_poll(&usage.in_progress, expected, load, now))
        .await
}

fn quota_load(services: &Services, quota: Quota, usage: &QuotaUsage) -> poll_schedule::QuotaLoad {
    poll_schedule::QuotaLoad::of(usage, quota.limit(&services.config.quotas))
}

/// Counts the requests in progress at AWS, including those of other programs in the organisation, unless the last count
/// is still valid or another worker is counting. Returns whether the requests were counted.
pub(crate) async fn refresh_usage(services: &Services, quota: Quota) -> Result<cloud::Result<bool>, DbError> {
    let (pool, now) = (&services.pool, services.clock.now());
    let valid_since = usage_valid_since(services, quota).await?;
    if !shared_polls::claim_count(pool, quota, valid_since, now, poll_lease(services)).await? {
        return Ok(Ok(false));
    }
    let requests = match in_progress(services, quota).await {
        Ok(requests) => requests,
        Err(error) => {
            shared_polls::release_count(pool, quota).await?;
            return Ok(Err(error));
        }
    };
    record_usage(services, quota, &requests, now).await?;
    Ok(Ok(true))
}

/// Returns the earliest time of a count of requests that is still valid.
pub(crate) async fn usage_valid_since(services: &Services, quota: Quota) -> Result<DateTime<Utc>, DbError> {
    let external_in_progress = shared_polls::external_usage(&services.pool, quota).await?;
    let validity = if external_in_progress > 0 { EXTERNAL_USAGE_TTL } else { USAGE_TTL };
    Ok(services.clock.now() - validity)
}

/// Stores the usage of a quota. Wakes the operations whose work has finished and the operations that get a free slot.
async fn record_usage(
    services: &Services,
    quota: Quota,
    requests: &[String],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let ended = shared_polls::record_usage(&services.pool, quota, requests, now).await?;
    let woken = wake_queue(services, quota).await?;
    if ended + woken > 0 {
        services.work_notifier.notify();
    }
    Ok(())
}

/// Wakes as many operations in the queue as `quota` has free slots. Returns the number of these operations.
pub(crate) async fn wake_queue(services: &Services, quota: Quota) -> Result<u64, DbError> {
    let limit = quota.limit(&services.config.quotas);
    let rate = services.rate_limit_of_quota(quota);
    quotas::wake_queue(&services.pool, quota, limit, rate.as_ref(), services.clock.now()).await
}

async fn in_progress(services: &Services, quota: Quota) -> cloud::Result<Vec<String>> {
    match quota {
        Quota::Assignments => services.aws.assignments_in_progress().await,
        _ => services.aws.creations_in_progress().await,
    }
}

fn expected_seconds(services: &Services, quota: Quota) -> u64 {
    let expected = &services.config.expected_durations;
    if quota == Quota::Assignments { expected.assignment_seconds } else { expected.account_creation_seconds }
}
