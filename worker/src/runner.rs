//! Carries out what the saga decides: intent, call, then outcome and next wake-up in one transaction, under the fence.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::attention::{Attention, Remedy};
use freehold_tenancy::clock::seconds;
use freehold_tenancy::db::fence::Claim;
use freehold_tenancy::db::lifecycle::{self, StepDisposition};
use freehold_tenancy::db::steps::{self, PlannedStep};
use freehold_tenancy::db::{DbError, operations, tenants};
use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::step::{Facts, JournalEntry};
use freehold_tenancy::{OperationId, TenantId, trace};
use futures::FutureExt;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;

use crate::Worker;
use crate::context::{StepContext, format_duration, late};
use crate::saga::{self, Decision};
use crate::shared_poller;
use crate::step::{Step, StepError, StepOutcome, Wait, attention};
use crate::workflows;

/// After so many failures in a row without progress a person is asked; it is tried on all the same.
const TRIES: u32 = 12;

tokio::task_local! {
    static WORK: StepTaskInfo;
}

/// What a task is at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepTaskInfo {
    pub(crate) step: &'static str,
    pub(crate) operation: OperationId,
    pub(crate) tenant: TenantId,
}

/// What the current task is at, if it is running a step.
pub(crate) fn current_work() -> Option<StepTaskInfo> {
    WORK.try_with(|work| *work).ok()
}

/// The step that the current task is running, if it is running one.
pub fn current_step() -> Option<&'static str> {
    current_work().map(|work| work.step)
}

/// Carries a claimed operation on until it waits, is parked or has ended; once `stop` is asked for, until the steps that
/// are under way are journaled. What is left of it then is due at once, for whoever is still there.
///
/// [`DbError::LeaseLost`] means that another worker has taken over; nothing was written since.
pub(crate) async fn run_operation(worker: &Arc<Worker>, claim: Claim, stop: &CancellationToken) -> Result<(), DbError> {
    // The walk is never broken off: dropped amid a BEGIN, it would leave a connection in an open transaction. Who has lost
    // the lease finds that out at the next write.
    tokio::select! {
        done = run_steps(worker, claim, stop) => done,
        never = keep_lease(worker, claim) => match never {},
    }
}

/// Prolongs the lease while the operation is worked on.
async fn keep_lease(worker: &Worker, claim: Claim) -> Infallible {
    loop {
        tokio::time::sleep(worker.lease_real / 3).await;
        let until = worker.clock.now() + worker.lease();
        if let Err(error) = operations::prolong(&worker.pool, &claim, until).await {
            tracing::debug!(operation = %claim.operation_id, %error, "the lease could not be prolonged");
        }
    }
}

async fn run_steps(worker: &Arc<Worker>, claim: Claim, stop: &CancellationToken) -> Result<(), DbError> {
    let pool = &worker.pool;
    let id = claim.operation_id;
    let unreadable = || DbError::UnexpectedValue(format!("{id} works on an environment that is not there"));
    let subject = Arc::new(operations::subject(pool, id).await?.ok_or_else(unreadable)?);
    let tenant = tenants::get(pool, subject.tenant_id).await?.ok_or_else(unreadable)?;
    let environment = tenant.environments.iter().find(|one| one.id == subject.environment_id);
    let environment = Arc::new(environment.ok_or_else(unreadable)?.clone());
    let tenant = Arc::new(tenant);
    let list = workflows::steps_of(subject.kind);
    let history = match subject.kind {
        // Nothing comes before it.
        OperationKind::Onboard => Vec::new(),
        _ => steps::history(pool, subject.environment_id, id).await?,
    };
    let history = Arc::new(history);

    let mut journal = Arc::new(steps::journal(pool, id).await?);
    if claim.first || journal.len() < list.len() {
        let plan: Vec<_> = list.iter().map(planned).collect();
        steps::plan(pool, &claim, &plan, worker.clock.now()).await?;
        journal = Arc::new(steps::journal(pool, id).await?);
    }
    loop {
        let now = worker.clock.now();
        match saga::decide(list, &journal, now) {
            Decision::Run(_) if stop.is_cancelled() => {
                tracing::info!(tenant = %tenant.id, operation = %id, "handed back, to be carried on by another worker");
                return operations::release(pool, &claim, Some(now), now).await;
            }
            Decision::Run(ready) => {
                let names: Vec<_> = ready.iter().map(|step| step.name).collect();
                steps::begin(pool, &claim, &names, now).await?;
                journal = Arc::new(steps::journal(pool, id).await?);
                let runs = ready.into_iter().map(|step| {
                    let context = StepContext {
                        worker: Arc::clone(worker),
                        claim,
                        step: step.name,
                        tenant: Arc::clone(&tenant),
                        environment: Arc::clone(&environment),
                        subject: Arc::clone(&subject),
                        history: Arc::clone(&history),
                        journal: Arc::clone(&journal),
                    };
                    async move { run(&context, step).await }
                });
                for outcome in join_all(runs).await {
                    outcome?;
                }
                journal = Arc::new(steps::journal(pool, id).await?);
            }
            Decision::Wait(until) => return operations::release(pool, &claim, Some(until), now).await,
            Decision::Park => return operations::release(pool, &claim, None, now).await,
            Decision::Finish => {
                lifecycle::succeed(pool, &claim, now).await?;
                worker.notify_webhooks();
                let took = (now - subject.created_at).as_seconds_f64();
                metrics::histogram!("freehold_operation_duration_seconds", "kind" => subject.kind.as_str())
                    .record(took);
                tracing::info!(tenant = %tenant.id, operation = %id, kind = %subject.kind, seconds = took, "done");
                return Ok(());
            }
        }
    }
}

fn planned(step: &Step) -> PlannedStep {
    PlannedStep { name: step.name, after: step.after.iter().map(ToString::to_string).collect() }
}

/// Runs one step and journals what came of it.
async fn run(context: &StepContext, step: &'static Step) -> Result<(), DbError> {
    let span = tracing::info_span!(
        "step", step = step.name, tenant = %context.tenant.id, operation = %context.claim.operation_id,
        otel.kind = Empty, otel.name = Empty,
    );
    trace::begin(&span, "internal", step.name, context.subject.traceparent.as_deref());
    let work = StepTaskInfo { step: step.name, operation: context.claim.operation_id, tenant: context.tenant.id };
    let running = WORK.scope(work, AssertUnwindSafe((step.run)(context)).catch_unwind());
    let ran = running.instrument(span).await;
    let ran = ran.unwrap_or_else(|_| Err(StepError::Retry("the step ended unexpectedly; see the log".to_owned())));
    let outcome = with_cancel(context, sanitize_texts(outcome(context, step, ran)?));
    log(context, &outcome);
    match record(context, &outcome).await {
        Err(DbError::AccountTaken) => {
            let why = "The account found for this environment belongs to another one. Nothing was mapped.";
            let parked =
                self::outcome(context, step, Err(StepError::needs_attention("account_mapped_elsewhere", why)))?;
            record(context, &parked).await
        }
        done => done,
    }
}

async fn record(context: &StepContext, outcome: &lifecycle::StepRecord) -> Result<(), DbError> {
    let (worker, now) = (&context.worker, context.now());
    lifecycle::record_step(&worker.pool, &context.claim, outcome, now).await?;
    worker.notify_webhooks();
    let freed = outcome.released.iter().map(|place| place.quota);
    let parked = outcome.quota.filter(|_| matches!(outcome.ending, StepDisposition::Parked(_)));
    for quota in freed.chain(parked).collect::<BTreeSet<_>>() {
        if shared_poller::wake_queue(worker, quota).await? > 0 {
            worker.work_notifier.notify();
        }
    }
    Ok(())
}

/// Puts what a step said into what the journal keeps.
fn outcome(
    context: &StepContext,
    step: &'static Step,
    ran: Result<StepOutcome, StepError>,
) -> Result<lifecycle::StepRecord, DbError> {
    let nothing = |ending| lifecycle::StepRecord {
        step: step.name,
        ending,
        late: None,
        facts: Facts::new(),
        released: Vec::new(),
        quota: step.quota,
        mapped: None,
    };
    let failures = context.attempts_without_progress();
    Ok(match ran {
        Ok(StepOutcome { failed: Some(error), facts, released, .. }) => {
            lifecycle::StepRecord { facts, released, ..self::outcome(context, step, Err(error))? }
        }
        Ok(StepOutcome { wait, late, facts, released, mapped, failed: None }) => {
            let ending = match wait {
                None => StepDisposition::Done,
                Some(Wait { why, check_at }) => StepDisposition::Waiting { why, check_at },
            };
            lifecycle::StepRecord { step: step.name, ending, late, facts, released, quota: step.quota, mapped }
        }
        Err(StepError::Blocked { why, until, at_most }) => {
            let late = context.blocked_too_long(&why, at_most);
            let check_at = until.unwrap_or_else(|| context.now() + context.pause_while_blocked());
            lifecycle::StepRecord { late, ..nothing(StepDisposition::Blocked { why, check_at }) }
        }
        Err(StepError::Retry(error)) => {
            let late = (failures + 1 >= TRIES).then(|| repeated_failure(failures + 1, &error));
            let check_at = context.now() + pause(failures);
            lifecycle::StepRecord { late, ..nothing(StepDisposition::Retrying { error, check_at }) }
        }
        Err(StepError::NeedsAttention(attention)) => nothing(StepDisposition::Parked(attention)),
        Err(StepError::Journal(error)) => return Err(error),
    })
}

/// Shortens what others have said to what a person reads, and leaves out what PostgreSQL does not keep.
fn sanitize_texts(mut outcome: lifecycle::StepRecord) -> lifecycle::StepRecord {
    let clean = |text: &mut String| *text = text.chars().filter(|c| !c.is_control()).take(1000).collect();
    match &mut outcome.ending {
        StepDisposition::Done => {}
        StepDisposition::Waiting { why, .. } | StepDisposition::Blocked { why, .. } => clean(why),
        StepDisposition::Retrying { error, .. } => clean(error),
        StepDisposition::Parked(attention) => clean(&mut attention.message),
    }
    if let Some(late) = &mut outcome.late {
        clean(&mut late.message);
    }
    outcome
}

/// Whatever an onboarding needs a person for, that person may also give it up.
fn with_cancel(context: &StepContext, mut outcome: lifecycle::StepRecord) -> lifecycle::StepRecord {
    if context.subject.kind == OperationKind::Onboard {
        if let StepDisposition::Parked(attention) = &mut outcome.ending {
            attention.remedies.push(Remedy::Cancel);
        }
        if let Some(late) = &mut outcome.late {
            late.remedies.push(Remedy::Cancel);
        }
    }
    outcome
}

/// 2 s, 4 s, 8 s, … up to five minutes, up to a quarter less so that failures that came together do not stay together.
fn pause(failures: u32) -> TimeDelta {
    let longest = f64::from(2_u32.saturating_pow(failures.min(16) + 1)).min(300.0);
    seconds(longest * (1.0 - 0.25 * rand::random::<f64>()))
}

fn log(context: &StepContext, outcome: &lifecycle::StepRecord) {
    let (tenant, operation, step) = (context.tenant.id, context.claim.operation_id, outcome.step);
    match &outcome.ending {
        StepDisposition::Done => tracing::info!(%tenant, %operation, step, "step done"),
        StepDisposition::Waiting { why, check_at } | StepDisposition::Blocked { why, check_at } => {
            tracing::debug!(%tenant, %operation, step, why, %check_at, "step waits");
        }
        StepDisposition::Retrying { error, check_at } => {
            tracing::warn!(%tenant, %operation, step, error, %check_at, "step will try again");
        }
        StepDisposition::Parked(attention) => {
            tracing::warn!(%tenant, %operation, step, code = attention.code, "{}", attention.message);
        }
    }
    if let Some(late) = &outcome.late {
        tracing::warn!(%tenant, %operation, step, code = late.code, "{}", late.message);
    }
}

/// What fails again and again is tried on, and a person is asked.
fn repeated_failure(times: u32, error: &str) -> Attention {
    let message = format!(
        "This failed {times} times in a row. Freehold goes on trying. Remove the cause; retry to try at once. The last error: \
         {error}"
    );
    attention("step_keeps_failing", message)
}

impl StepContext {
    /// Why a person is asked about what AWS has not allowed for too long, where it has.
    fn blocked_too_long(&self, why: &str, at_most: Option<TimeDelta>) -> Option<Attention> {
        let blocked = self.now() - self.entry()?.blocked_since?;
        let at_most = at_most.filter(|at_most| blocked > *at_most)?;
        Some(late(&format!(
            "Still waiting for {why} after {}; {} is allowed",
            format_duration(blocked),
            format_duration(at_most)
        )))
    }

    /// 15 s, and longer the longer it has been refused: up to five minutes.
    fn pause_while_blocked(&self) -> TimeDelta {
        let blocked = self
            .entry()
            .and_then(|entry| entry.blocked_since)
            .map_or(0.0, |since| (self.now() - since).as_seconds_f64());
        seconds((blocked / 4.0).clamp(15.0, 300.0) * (1.0 + 0.1 * rand::random::<f64>()))
    }

    fn attempts_without_progress(&self) -> u32 {
        let entry: Option<&JournalEntry> = self.journal.iter().find(|entry| entry.name == self.step);
        entry.map_or(0, |entry| entry.attempts_without_progress)
    }
}

/// When the earliest of two times is, where there are any.
pub(crate) fn earliest(one: Option<DateTime<Utc>>, other: DateTime<Utc>) -> DateTime<Utc> {
    one.map_or(other, |one| one.min(other))
}
