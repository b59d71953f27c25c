//! Queue positions of operations, with estimated completion times.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::rates::{self, CallRate};
use super::{PgPool, Result, vending, workers};
use crate::clock::seconds;
use crate::config::Config;
use crate::operation::{Operation, OperationState};
use crate::quota::Quota;
use crate::step::StepName;
use crate::vending::{VendingStatus, VendingStop, VendingStopCode};
use crate::wait_estimate::{DailyLimit, OnboardingModel, Queue, ServiceModel, StepDurations};
use crate::{OperationId, Region};

/// Minimum number of measured durations. With fewer, the configured duration is used.
const MIN_RUNS: i64 = 3;

/// Operation in the queue of a quota.
struct QueuedOperation {
    operation_id: OperationId,
    quota: String,
    position: i64,
    requires_opt_in: bool,
}

/// Returns the queue position and estimated completion time of each operation. Operations that are not queued are left
/// out. Returns nothing while a hold stops all work, because then no estimate is possible.
pub async fn of(
    pool: &PgPool,
    config: &Config,
    operations: &[&Operation],
    now: DateTime<Utc>,
) -> Result<HashMap<OperationId, Queue>> {
    let waiting = |one: &&&Operation| matches!(one.state, OperationState::Pending | OperationState::Running);
    let ids: Vec<_> = operations.iter().filter(waiting).map(|one| one.id.as_uuid()).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let list_queued = list_queued(pool, &ids).await?;
    if list_queued.is_empty() || workers::aws_access_outage(pool).await?.is_some() {
        return Ok(HashMap::new());
    }
    let average_durations = average_durations(pool, config).await?;
    let vending = vending::status(pool, config.quotas.account_ceilings(), now).await?;
    let mut queues = HashMap::new();
    for quota in [Quota::AccountCreations, Quota::Assignments, Quota::RegionOptIns, Quota::AccountClosures] {
        let here: Vec<_> = list_queued.iter().filter(|one| one.quota == quota.as_str()).collect();
        let Some(last) = here.iter().map(|one| one.position).max() else { continue };
        let last = usize::try_from(last).unwrap_or(0);
        let ready = if quota == Quota::AccountCreations {
            load_model(pool, config, average_durations, now).await?.ready(last)
        } else {
            let then = match quota {
                Quota::Assignments => average_durations.verify,
                Quota::RegionOptIns => average_durations.stack + average_durations.verify,
                Quota::AccountCreations | Quota::AccountClosures | Quota::StackDeployments => 0.0,
            };
            let mut quota_model = quota_model(pool, config, quota, average_durations, now).await?;
            let served = (0..last).map(|_| quota_model.serve(now).1 + seconds(then));
            served.map(|ready| crate::wait_estimate::ReadyEstimate { ready, ready_after_opt_in: ready }).collect()
        };
        for one in here {
            let Some(expected) = usize::try_from(one.position - 1).ok().and_then(|place| ready.get(place)) else {
                continue;
            };
            let estimated_ready_at = if one.requires_opt_in { expected.ready_after_opt_in } else { expected.ready };
            let queue = if quota == Quota::AccountCreations {
                account_queue(&vending, config, one.position, estimated_ready_at)
            } else {
                let position = u32::try_from(one.position).unwrap_or(u32::MAX);
                Queue { position, estimated_ready_at: Some(estimated_ready_at), stopped_by: None }
            };
            queues.entry(one.operation_id).or_insert(queue);
        }
    }
    Ok(queues)
}

/// Returns the queue entry of an operation that waits for an account. Without an estimate if vending is paused or the
/// operation would exceed the configured maximum number of accounts.
fn account_queue(status: &VendingStatus, config: &Config, position: i64, estimated_ready_at: DateTime<Utc>) -> Queue {
    let exceeds_maximum = config
        .quotas
        .account_ceilings()
        .total
        .is_some_and(|maximum| status.accounts + position > i64::from(maximum.get()));
    let stopped_by = match &status.stop {
        Some(VendingStop::Paused { .. }) => Some(VendingStopCode::Paused),
        _ if exceeds_maximum => Some(VendingStopCode::CeilingReached),
        stop => stop.as_ref().map(VendingStop::code),
    };
    let has_estimate = matches!(stopped_by, None | Some(VendingStopCode::DailyCeilingReached));
    Queue {
        position: u32::try_from(position).unwrap_or(u32::MAX),
        estimated_ready_at: has_estimate.then_some(estimated_ready_at),
        stopped_by,
    }
}

/// Returns the queue position and estimated completion time that new onboardings would have, one for each given home
/// region. Returns nothing while a hold stops all work.
pub async fn estimate_for_new(
    pool: &PgPool,
    config: &Config,
    regions: &[Region],
    now: DateTime<Utc>,
) -> Result<Vec<Queue>> {
    if workers::aws_access_outage(pool).await?.is_some() {
        return Ok(Vec::new());
    }
    let before = sqlx::query_scalar!(
        r#"/* db::queue::estimate_for_new */
        select (select count(distinct operation_id) from slots where quota = $1 and granted_at is null)
            + (select count(*) from operations o where o.state in ('pending', 'running') and o.kind = 'onboard'
                and not exists (select from slots s where s.operation_id = o.id and s.quota = $1)
                and not exists (select from operation_steps r where r.operation_id = o.id and r.name = $2
                    and r.state in ('waiting', 'parked', 'done'))) as "count!""#,
        Quota::AccountCreations.as_str(),
        StepName::RequestAccount.as_str(),
    );
    let before = usize::try_from(before.fetch_one(pool).await?).unwrap_or(0);
    let average_durations = average_durations(pool, config).await?;
    let vending = vending::status(pool, config.quotas.account_ceilings(), now).await?;
    let ready = load_model(pool, config, average_durations, now).await?.ready(before + regions.len());
    let asked = regions.iter().zip(before..).filter_map(|(region, place)| {
        let expected = ready.get(place)?;
        let estimated_ready_at = if region.is_opt_in() { expected.ready_after_opt_in } else { expected.ready };
        let position = i64::try_from(place + 1).unwrap_or(i64::MAX);
        Some(account_queue(&vending, config, position, estimated_ready_at))
    });
    Ok(asked.collect())
}

/// Returns the queued operations among `ids`. An onboarding requests its slot some time after the signup, later still
/// if many sign up at once. Until then, its creation time determines the position.
async fn list_queued(pool: &PgPool, ids: &[uuid::Uuid]) -> Result<Vec<QueuedOperation>> {
    let rows = sqlx::query!(
        r#"/* db::queue::list_queued */
        with line as (
            select quota, operation_id, min(queued_at) as queued_at from slots where granted_at is null
            group by quota, operation_id
            union all
            select $2, o.id, o.created_at from operations o
            where o.state in ('pending', 'running') and o.kind = 'onboard'
                and not exists (select from slots s where s.operation_id = o.id and s.quota = $2)
                and not exists (select from operation_steps r where r.operation_id = o.id and r.name = $3
                    and r.state in ('waiting', 'parked', 'done'))
        ),
        ranked as (
            select quota, operation_id, row_number() over (partition by quota order by queued_at,
                operation_id) as position
            from line
        )
        select r.operation_id as "operation_id!", r.quota as "quota!", r.position as "position!",
            e.home_region as "home_region!"
        from ranked r join operations o on o.id = r.operation_id join environments e on e.id = o.environment_id
        where r.operation_id = any($1)"#,
        ids,
        Quota::AccountCreations.as_str(),
        StepName::RequestAccount.as_str(),
    )
    .fetch_all(pool)
    .await?;
    let list_queued = rows.into_iter().map(|row| QueuedOperation {
        operation_id: row.operation_id.into(),
        quota: row.quota,
        position: row.position,
        requires_opt_in: row.home_region.parse().is_ok_and(Region::is_opt_in),
    });
    Ok(list_queued.collect())
}

/// Builds the model of the account queue, including operations that already have a slot.
async fn load_model(
    pool: &PgPool,
    config: &Config,
    average_durations: StepDurations,
    now: DateTime<Utc>,
) -> Result<OnboardingModel> {
    let created = sqlx::query_scalar!(
        r#"/* db::queue::load_model */
        select created.finished_at as "finished_at!" from operation_steps granting
        join operation_steps created on created.operation_id = granting.operation_id and created.name = 'await-account'
        join operations o on o.id = granting.operation_id
        where o.state in ('pending', 'running') and granting.name = 'grant-access'
            and granting.state = 'pending' and created.state = 'done'"#
    );
    let created = created.fetch_all(pool).await?;
    let creating = since(pool, Quota::AccountCreations).await?;
    let queued_assignments = sqlx::query_scalar!(
        r#"/* db::queue::load_model */ select count(*) as "count!" from slots where quota = $1 and granted_at is null"#,
        Quota::Assignments.as_str(),
    );
    let queued_assignments = usize::try_from(queued_assignments.fetch_one(pool).await?).unwrap_or(0);

    let assignments_per_environment = config.access.len().max(1);
    let usable = seconds(average_durations.usable);
    let being_created = creating.iter().map(|since| (*since + seconds(average_durations.creation)).max(now) + usable);
    let being_reached = created.iter().map(|at| (*at + usable).max(now));
    let waiting = std::iter::repeat_n(now, queued_assignments.div_ceil(assignments_per_environment));
    Ok(OnboardingModel {
        creations: quota_model(pool, config, Quota::AccountCreations, average_durations, now)
            .await?
            .with_daily_limit(daily_limit(pool, config, now).await?),
        assignments: quota_model(pool, config, Quota::Assignments, average_durations, now).await?,
        assignments_per_environment,
        assignment_arrivals: being_created.chain(being_reached).chain(waiting).collect(),
        average_durations,
    })
}

async fn daily_limit(pool: &PgPool, config: &Config, now: DateTime<Utc>) -> Result<Option<DailyLimit>> {
    let Some(maximum) = config.quotas.account_ceilings().per_day else { return Ok(None) };
    let starts = vending::creations_of_last_day(&mut *pool.acquire().await?, None, now).await?;
    Ok(Some(DailyLimit { maximum: usize::try_from(maximum.get()).unwrap_or(usize::MAX), starts }))
}

/// Returns the current state of a quota as a queue model.
async fn quota_model(
    pool: &PgPool,
    config: &Config,
    quota: Quota,
    average_durations: StepDurations,
    now: DateTime<Utc>,
) -> Result<ServiceModel> {
    let quotas = &config.quotas;
    let takes = match quota {
        Quota::AccountCreations => average_durations.creation,
        Quota::AccountClosures => average_durations.closure,
        Quota::Assignments => average_durations.assignment,
        Quota::RegionOptIns => average_durations.opt_in,
        Quota::StackDeployments => average_durations.stack,
    };
    let tokens = match quota.rate_limited_call().and_then(|call| CallRate::of(quotas, call)) {
        Some(call_rate) => Some(rates::available_tokens(pool, &call_rate, now).await?),
        None => None,
    };
    let external_in_progress = super::shared_polls::external_usage(pool, quota).await?;
    let external_in_progress = usize::try_from(external_in_progress).unwrap_or(0);
    Ok(ServiceModel::new(now, quota.limit(quotas), &since(pool, quota).await?, external_in_progress, takes, tokens))
}

/// Returns the start times of the work that holds a slot of `quota`.
async fn since(pool: &PgPool, quota: Quota) -> Result<Vec<DateTime<Utc>>> {
    let since = sqlx::query_scalar!(
        r#"/* db::queue::since */
        select granted_at as "granted_at!" from slots where quota = $1 and granted_at is not null
            and ended_at is null"#,
        quota.as_str(),
    );
    Ok(since.fetch_all(pool).await?)
}

/// Returns the recent average durations of steps, or configured durations for steps with too few measured durations.
async fn average_durations(pool: &PgPool, config: &Config) -> Result<StepDurations> {
    let names = [
        StepName::AwaitAccount,
        StepName::ReachAccount,
        StepName::InstallBaseline,
        StepName::DeployStack,
        StepName::GrantAccess,
        StepName::EnableRegions,
        StepName::Verify,
    ];
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let rows = sqlx::query!(
        r#"/* db::queue::average_durations */
        select n.name as "name!", count(r.seconds) as "count!", avg(r.seconds) as "seconds?"
        from unnest($1::text[]) as n (name)
        cross join lateral (
            select case
                -- A step with a queue of its own is counted from its request.
                when n.name in ('grant-access', 'enable-regions') then (s.facts ->> 'took_seconds')::float8
                when n.name = 'await-account' then extract(epoch from s.finished_at - (
                    select max((p.facts ->> 'creation_requested_at')::timestamptz) from operation_steps p
                    where p.operation_id = s.operation_id and p.name in ('request-account', 'await-account')))::float8
                else extract(epoch from s.finished_at - (
                    select max(p.finished_at) from operation_steps p
                    where p.operation_id = s.operation_id and p.name = any(s.after)))::float8
            end as seconds
            from operation_steps s where s.name = n.name and s.state = 'done' order by s.finished_at desc limit 40
        ) r group by n.name"#,
        &names,
    )
    .fetch_all(pool)
    .await?;
    let known: HashMap<String, f64> =
        rows.into_iter().filter(|row| row.count >= MIN_RUNS).filter_map(|row| Some((row.name, row.seconds?))).collect();
    let configured = StepDurations::configured(&config.expected_durations);
    let of = |step: StepName, configured: f64| known.get(step.as_str()).copied().unwrap_or(configured);
    Ok(StepDurations {
        creation: of(StepName::AwaitAccount, configured.creation),
        usable: of(StepName::ReachAccount, configured.usable),
        baseline: of(StepName::InstallBaseline, configured.baseline),
        stack: of(StepName::DeployStack, configured.stack),
        assignment: of(StepName::GrantAccess, configured.assignment),
        opt_in: of(StepName::EnableRegions, configured.opt_in),
        verify: of(StepName::Verify, configured.verify),
        closure: configured.closure,
    })
}
