//! Executes the decisions of the saga. The outcome of a step and its next wake-up are written in one transaction, with
//! the fence of the claim.

mod outcome;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use freehold_tenancy::db::fence::Claim;
use freehold_tenancy::db::lifecycle::{self, SLOTS_FIELD};
use freehold_tenancy::db::operations;
use freehold_tenancy::db::steps::{self, PlannedStep};
use freehold_tenancy::db::{DbError, tenants};
use freehold_tenancy::front_door::FRONT_DOOR_FIELD;
use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::replica::ReplicaSlot;
use freehold_tenancy::step::{JournalEntry, StepName};
use freehold_tenancy::trace;
use futures::FutureExt;
use futures::future::join_all;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;

use crate::context::{OperationData, StepContext};
use crate::current_step::RunningStep;
use crate::saga::{self, Decision};
use crate::services::Services;
use crate::step::Step;
use crate::step_outcome::StepError;
use crate::workflows::{self, Concerns, FrontDoorConcern};

/// Runs a claimed operation until it waits, is parked or has finished. Once `stop` is cancelled, the function finishes
/// the steps in progress and releases the operation, which is then due immediately, so that another worker continues
/// it.
///
/// [`DbError::LeaseLost`] means that another worker has claimed the operation. Nothing was written after that.
pub(crate) async fn run_operation(
    services: &Arc<Services>,
    claim: Claim,
    stop: &CancellationToken,
) -> Result<(), DbError> {
    // `run_steps` is never dropped, because dropping it during a BEGIN would leave a connection with an open
    // transaction. A lost lease is detected at the next write.
    tokio::select! {
        done = run_steps(services, claim, stop) => done,
        never = renew_lease(services, claim) => match never {},
    }
}

async fn renew_lease(services: &Services, claim: Claim) -> Infallible {
    loop {
        tokio::time::sleep(services.real_time_lease / 3).await;
        let until = services.clock.now() + services.lease();
        if let Err(error) = operations::prolong(&services.pool, &claim, until).await {
            let operation = claim.operation_id;
            tracing::debug!(%operation, %error, "cannot renew the lease of operation {operation}");
        }
    }
}

async fn run_steps(services: &Arc<Services>, claim: Claim, stop: &CancellationToken) -> Result<(), DbError> {
    let pool = &services.pool;
    let id = claim.operation_id;
    let data = Arc::new(load_operation_data(services, claim).await?);
    let (kind, tenant) = (data.subject.kind, data.tenant.id);
    let mut journal = Arc::new(steps::journal(pool, id).await?);
    let list = workflows::steps_for(kind, &concerns(&data, &journal));
    if claim.first || journal.len() < list.len() {
        let plan: Vec<_> = list.iter().map(|step| to_planned_step(step, &list)).collect();
        steps::plan(pool, &claim, &plan, services.clock.now()).await?;
        journal = Arc::new(steps::journal(pool, id).await?);
    }
    loop {
        let now = services.clock.now();
        match saga::decide(&list, &journal, now) {
            Decision::Run(_) if stop.is_cancelled() => {
                tracing::info!(
                    %tenant, operation = %id,
                    "operation {id} of tenant {tenant} released; another worker continues it"
                );
                return operations::release(pool, &claim, Some(now), now).await;
            }
            Decision::Run(ready) => {
                let names: Vec<_> = ready.iter().map(|step| step.name).collect();
                steps::begin(pool, &claim, &names, now).await?;
                services.report_events();
                journal = Arc::new(steps::journal(pool, id).await?);
                let runs = ready.into_iter().map(|step| {
                    let services = Arc::clone(services);
                    let context = StepContext::new(services, claim, step.name, Arc::clone(&data), Arc::clone(&journal));
                    async move { run_step(&context, step).await }
                });
                for outcome in join_all(runs).await {
                    outcome?;
                }
                journal = Arc::new(steps::journal(pool, id).await?);
                let is_complete =
                    |name: StepName| journal.iter().any(|one| one.name == name && one.state.is_complete());
                if names.contains(&StepName::MoveHome) && is_complete(StepName::MoveHome) {
                    // The next claim reads the new home.
                    return operations::release(pool, &claim, Some(now), now).await;
                }
            }
            Decision::Wait(until) => return operations::release(pool, &claim, Some(until), now).await,
            Decision::Park => {
                operations::release(pool, &claim, None, now).await?;
                services.wake_signals.notify_rollouts();
                return Ok(());
            }
            decision @ (Decision::Finish | Decision::Fail) => {
                let has_failed = decision == Decision::Fail;
                if has_failed {
                    lifecycle::fail(pool, &claim, now).await?;
                } else if !lifecycle::succeed(pool, &claim, now).await? {
                    // The next claim reads the new administrator.
                    return operations::release(pool, &claim, Some(now), now).await;
                }
                services.report_events();
                services.wake_signals.notify_rollouts();
                let seconds = (now - data.subject.created_at).as_seconds_f64();
                metrics::histogram!("freehold_operation_duration_seconds", "kind" => kind.as_str()).record(seconds);
                let end = if has_failed { "failed" } else { "finished" };
                tracing::info!(%tenant, operation = %id, %kind, seconds, "operation {id} of tenant {tenant} {end}");
                return Ok(());
            }
        }
    }
}

async fn load_operation_data(services: &Services, claim: Claim) -> Result<OperationData, DbError> {
    let (pool, id) = (&services.pool, claim.operation_id);
    let missing = || DbError::UnexpectedValue(format!("operation {id} belongs to an environment that does not exist"));
    let subject = operations::subject(pool, id).await?.ok_or_else(missing)?;
    let tenant = tenants::get(pool, subject.tenant_id).await?.ok_or_else(missing)?;
    let environment = tenant.environments.iter().find(|one| one.id == subject.environment_id);
    let environment = environment.ok_or_else(missing)?.clone();
    let history = match subject.kind {
        // An onboarding has no history, because it is the first operation of its environment.
        OperationKind::Onboard => Vec::new(),
        _ => steps::history(pool, subject.environment_id, id).await?,
    };
    Ok(OperationData { tenant, environment, subject, history })
}

/// Returns the parts of the environment that an operation concerns.
fn concerns(data: &OperationData, journal: &[JournalEntry]) -> Concerns {
    Concerns { replicas: concerned_replicas(data, journal), front_door: concerned_front_door(data, journal) }
}

/// Returns the steps of the front door that an operation has. An operation that names replicas has only those of the
/// change that it names. The journal has those of a front door that the operation has deleted.
fn concerned_front_door(data: &OperationData, journal: &[JournalEntry]) -> FrontDoorConcern {
    let input = &data.subject.input;
    if input.get(SLOTS_FIELD).is_some() {
        let change = input.get(FRONT_DOOR_FIELD).and_then(Value::as_str).and_then(|change| change.parse().ok());
        return change.map_or(FrontDoorConcern::None, FrontDoorConcern::Change);
    }
    let is_planned =
        |entry: &JournalEntry| entry.name.parse::<StepName>().is_ok_and(|step| step.front_door().is_some());
    if data.environment.front_door.is_some() || journal.iter().any(is_planned) {
        FrontDoorConcern::All
    } else {
        FrontDoorConcern::None
    }
}

/// Returns the replicas that an operation concerns: those in its input, otherwise all of the environment. The journal
/// has those that the operation has deleted.
fn concerned_replicas(data: &OperationData, journal: &[JournalEntry]) -> BTreeSet<ReplicaSlot> {
    if let Some(slots) = data.subject.input.get(SLOTS_FIELD).and_then(Value::as_array) {
        let numbers = slots.iter().filter_map(|slot| i16::try_from(slot.as_i64()?).ok());
        return numbers.filter_map(ReplicaSlot::new).collect();
    }
    let planned = journal.iter().filter_map(|entry| entry.name.parse::<StepName>().ok()?.replica());
    data.environment.replicas.iter().map(|replica| replica.slot).chain(planned.map(|(slot, _)| slot)).collect()
}

fn to_planned_step(step: &Step, list: &[&Step]) -> PlannedStep {
    let after = step.after.iter().filter(|before| list.iter().any(|step| step.name == **before));
    PlannedStep { name: step.name, after: after.map(ToString::to_string).collect() }
}

/// Runs one step and writes its outcome to the journal.
async fn run_step(context: &StepContext, step: &'static Step) -> Result<(), DbError> {
    let (tenant, operation) = (context.tenant().id, context.operation_id());
    let span = tracing::info_span!(
        "step", step = step.name.as_str(), tenant = %tenant, operation = %operation,
        otel.kind = Empty, otel.name = Empty,
    );
    trace::init_span(&span, "internal", step.name.as_str(), context.traceparent());
    let running = RunningStep { step: step.name, operation, tenant };
    let running = running.scope(AssertUnwindSafe((step.run)(context)).catch_unwind());
    let result = running.instrument(span).await;
    let result = result.unwrap_or_else(|_| Err(StepError::retry("the step panicked; see the log of the worker")));
    let record = outcome::to_record(context, step, result)?;
    let record = outcome::add_cancel_remedy(context, outcome::sanitize_texts(record));
    outcome::log(context, &record);
    match context.record(&record).await {
        Err(DbError::AccountTaken) => {
            let parked = Err(outcome::account_taken(context, record.mapped.as_ref()));
            let record = outcome::to_record(context, step, parked)?;
            context.record(&outcome::add_cancel_remedy(context, record)).await
        }
        done => done,
    }
}
