//! Looking after what AWS has in progress under a quota: one look serves every operation that waits for it.
//!
//! When to look, and through what, is `poll_schedule`'s to say. Either everything in progress is listed, which tells all whose
//! work has ended and counts what others in the organisation have taken; or the one or two whose work may be over look by
//! themselves.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::db::shared_polls::{self, QuotaUsage};
use freehold_tenancy::db::{DbError, quotas};
use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;

use crate::cloud::{self, CloudErrorKind};
use crate::poll_schedule::{self, PollMethod};
use crate::services::Services;

/// What others have in progress is believed to be as it was counted for so long.
const USAGE_TTL: TimeDelta = TimeDelta::seconds(60);

/// And where they held places, for so long: one of those may be free by now.
const EXTERNAL_USAGE_TTL: TimeDelta = TimeDelta::seconds(20);

/// When a look that AWS did not answer is tried again, where AWS does not say.
const RETRY_DELAY: TimeDelta = TimeDelta::seconds(15);

/// The quotas whose work AWS lists, with the step that waits for it.
const LISTED: [(Quota, StepName); 2] =
    [(Quota::AccountCreations, StepName::AwaitAccount), (Quota::Assignments, StepName::GrantAccess)];

/// Makes the looks that are due, and answers how many those were.
pub(crate) async fn run_due_polls(services: &Services) -> Result<usize, DbError> {
    let due = shared_polls::claim_due(&services.pool, services.clock.now(), lease(services)).await?;
    for quota in &due {
        let Some((quota, step)) = LISTED.into_iter().find(|(listed, _)| listed == quota) else {
            shared_polls::schedule_next(&services.pool, *quota, None).await?;
            continue;
        };
        if let Err(error) = look(services, quota, step).await {
            tracing::warn!(%error, %quota, "a look failed, and is made again when it is due again");
        }
    }
    Ok(due.len())
}

/// How long nobody else looks. Whoever does not come back from a look is replaced sooner than an operation's worker: two
/// looks at the same time cost a call, and nothing else.
fn lease(services: &Services) -> TimeDelta {
    services.lease() / 2
}

async fn look(services: &Services, quota: Quota, step: StepName) -> Result<(), DbError> {
    let (pool, now) = (&services.pool, services.clock.now());
    let usually = usually(services, quota);
    let expected = services.durations.expected(step, usually, now).await;
    let watched = shared_polls::usage(pool, quota).await?;
    // What has been seen says how long it takes, and not the time that has passed without a look.
    let lasted = watched.in_progress.iter().map(|one| one.seen - one.since).max();
    let expected = expected.given(lasted.unwrap_or_default());
    let crowd = crowd(services, quota, &watched);
    let next = match poll_schedule::choose_method(&watched.in_progress, expected, crowd, now) {
        // Somebody else's look has come first.
        PollMethod::None => None,
        PollMethod::Individual(whom) => {
            shared_polls::request_individual_poll(pool, quota, &whom, now).await?;
            None
        }
        PollMethod::List => match in_progress(services, quota).await {
            Ok(requests) => {
                count(services, quota, &requests, now).await?;
                None
            }
            Err(error) => {
                tracing::info!(%quota, %error, "what is in progress could not be listed");
                let until = if let CloudErrorKind::Throttled { until } = error.kind { until } else { None };
                Some(until.unwrap_or(now + RETRY_DELAY))
            }
        },
    };
    if next.is_some() {
        return shared_polls::schedule_next(pool, quota, next).await;
    }
    let watched = shared_polls::usage(pool, quota).await?;
    let crowd = self::crowd(services, quota, &watched);
    shared_polls::schedule_next(
        pool,
        quota,
        poll_schedule::next_shared_poll(&watched.in_progress, expected, crowd, now),
    )
    .await
}

fn crowd(services: &Services, quota: Quota, watched: &QuotaUsage) -> poll_schedule::QuotaLoad {
    poll_schedule::QuotaLoad::of(watched, quota.limit(&services.config.quotas))
}

/// Counts what is in progress, if that was not done lately: others in the organisation take places too. Answers whether it
/// is known now.
pub(crate) async fn refresh_usage(services: &Services, quota: Quota) -> Result<cloud::Result<bool>, DbError> {
    let (pool, now) = (&services.pool, services.clock.now());
    let known_since = usage_valid_since(services, quota).await?;
    if !shared_polls::claim_count(pool, quota, known_since, now, lease(services)).await? {
        return Ok(Ok(false));
    }
    let requests = match in_progress(services, quota).await {
        Ok(requests) => requests,
        Err(error) => {
            shared_polls::release_count(pool, quota).await?;
            return Ok(Err(error));
        }
    };
    count(services, quota, &requests, now).await?;
    Ok(Ok(true))
}

/// Since when everything in progress must have been counted to be known.
pub(crate) async fn usage_valid_since(services: &Services, quota: Quota) -> Result<DateTime<Utc>, DbError> {
    let external_in_progress = shared_polls::external_usage(&services.pool, quota).await?;
    let holds = if external_in_progress > 0 { EXTERNAL_USAGE_TTL } else { USAGE_TTL };
    Ok(services.clock.now() - holds)
}

/// Writes a count down, and wakes whoever is concerned.
async fn count(services: &Services, quota: Quota, requests: &[String], now: DateTime<Utc>) -> Result<(), DbError> {
    let ended = shared_polls::record_usage(&services.pool, quota, requests, now).await?;
    let woken = wake_queue(services, quota).await?;
    if ended + woken > 0 {
        services.work_notifier.notify();
    }
    Ok(())
}

/// Wakes those first in line for what is free under `quota`, and answers how many that woke.
pub(crate) async fn wake_queue(services: &Services, quota: Quota) -> Result<u64, DbError> {
    let places = quota.limit(&services.config.quotas);
    let pace = services.rate_limit_of_quota(quota);
    quotas::wake_queue(&services.pool, quota, places, pace.as_ref(), services.clock.now()).await
}

async fn in_progress(services: &Services, quota: Quota) -> cloud::Result<Vec<String>> {
    match quota {
        Quota::Assignments => services.cloud.assignments_in_progress().await,
        _ => services.cloud.creations_in_progress().await,
    }
}

/// About how many seconds the work takes.
fn usually(services: &Services, quota: Quota) -> u64 {
    let usual = &services.config.expected_durations;
    if quota == Quota::Assignments { usual.assignment_seconds } else { usual.account_creation_seconds }
}
