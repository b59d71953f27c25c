//! Tests of the replicas of an environment: they follow the home region, have states of their own, and are suspended,
//! restored, repaired and deleted with their environment.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tenancy::db::lifecycle::{self, LifecycleResult};
use freehold_tenancy::db::{environment_stacks, events};
use freehold_tenancy::environment::{Environment, EnvironmentState};
use freehold_tenancy::operation::{Initiator, Operation, OperationState};
use freehold_tenancy::replica::ReplicaState;
use freehold_tenancy::step::StepState;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::fleet::MinimumCalls;
use freehold_tests::step_faults::{self, PlannedFault, StepFault};
use freehold_tests::world_snapshot;
use freehold_worker::Worker;
use freehold_worker::changing_regions::{CHANGE_REGIONS_STEPS, REMOVE_REGIONS_STEPS};
use freehold_worker::offboarding::OFFBOARD_STEPS;
use freehold_worker::onboarding::ONBOARD_STEPS;
use freehold_worker::reconcile::RepairMode;
use freehold_worker::restoring::RESTORE_STEPS;
use freehold_worker::step::Step;

use super::offboarding::{MAX_SIMULATED_TIME, offboard, requester};
use super::reconcile::administrator::Administrator;
use super::reconcile::compare;
use super::{change_regions, suspension};

pub(super) const AN_HOUR: TimeDelta = TimeDelta::hours(1);

pub(super) async fn environment(freehold: &Freehold, tenant: &Tenant) -> Environment {
    freehold.reload_tenant(tenant).await.environments.remove(0)
}

pub(super) async fn latest_operation(freehold: &Freehold, tenant: &Tenant) -> Operation {
    freehold.operation_of(&freehold.reload_tenant(tenant).await).await
}

/// Returns the region and the state of each replica.
pub(super) fn states(environment: &Environment) -> Vec<(&str, ReplicaState)> {
    environment.replicas.iter().map(|replica| (replica.region.as_str(), replica.state)).collect()
}

/// Returns the region of each tenant stack in the simulated organisation.
pub(super) fn tenant_stacks(freehold: &Freehold) -> Vec<String> {
    let stacks = freehold.world.stacks().into_iter();
    let stacks = stacks.filter(|stack| stack.name == "freehold-tenant" && stack.status != "DELETE_COMPLETE");
    let mut regions: Vec<_> = stacks.map(|stack| stack.region).collect();
    regions.sort();
    regions
}

/// Creates a tenant that is ready in eu-central-1, with a ready replica in eu-west-1.
async fn create_ready_tenant(freehold: &Freehold) -> (Tenant, Arc<Worker>) {
    let tenant = freehold.sign_up_with_replicas("Example", "eu-central-1", &["eu-west-1"]).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let environment = environment(freehold, &tenant).await;
    assert_eq!(environment.state, EnvironmentState::Ready, "{:#?}", latest_operation(freehold, &tenant).await);
    assert_eq!(states(&environment), [("eu-west-1", ReplicaState::Ready)]);
    (freehold.reload_tenant(&tenant).await, worker)
}

/// Signs up a tenant whose replica cannot be deployed, and runs until its onboarding waits for a person.
async fn create_tenant_with_failed_replica(freehold: &Freehold) -> (Tenant, Arc<Worker>) {
    // The stacks before are those of the baseline and of the home region.
    let fault = Fault::failed("Resource handler returned message: Rate exceeded");
    freehold.world.inject(Rule::on("cloudformation", "CreateStack", fault).skip(2));
    let tenant = freehold.sign_up_with_replicas("Example", "eu-central-1", &["eu-west-1"]).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, TimeDelta::days(1)).await;
    (tenant, worker)
}

#[tokio::test]
async fn an_environment_is_ready_before_its_replicas() {
    let freehold = Freehold::with(freehold_sandbox::Settings::default(), CONFIG).await;
    let tenant = freehold.sign_up_with_replicas("Example", "eu-central-1", &["eu-west-1"]).await;
    let worker = freehold.worker("worker-1");
    while environment(&freehold, &tenant).await.state != EnvironmentState::Ready {
        freehold.run_due_and_advance(&worker).await.expect("a wake-up");
    }
    let ready = environment(&freehold, &tenant).await;
    assert!(!matches!(ready.replicas[0].state, ReplicaState::Ready), "{:?}", states(&ready));
    assert_eq!(latest_operation(&freehold, &tenant).await.state, OperationState::Running);

    freehold.run_until_idle(&worker, AN_HOUR).await;
    let done = environment(&freehold, &tenant).await;
    assert_eq!((done.state, done.ready_at), (EnvironmentState::Ready, ready.ready_at));
    assert_eq!(states(&done), [("eu-west-1", ReplicaState::Ready)]);
    let replica = &done.replicas[0];
    assert!(replica.url.is_some() && replica.since > ready.ready_at.expect("a time"), "{replica:#?}");
    assert!(replica.stack_id.as_deref().is_some_and(|id| id.contains("eu-west-1")), "{replica:#?}");
    let operation = latest_operation(&freehold, &tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded);
    let of_replicas = operation.steps.iter().filter(|step| step.name.ends_with(char::is_numeric));
    let of_replicas: Vec<_> = of_replicas.map(|step| (step.name.as_str(), step.state)).collect();
    assert_eq!(
        of_replicas,
        [
            ("enable-region-1", StepState::Skipped),
            ("deploy-replica-1", StepState::Done),
            ("verify-replica-1", StepState::Done)
        ]
    );
    let published = events::after(freehold.pool(), operation.id, 0, 1000).await.expect("events");
    let published: Vec<_> =
        published.iter().map(|event| event.event_type.as_str()).filter(|text| !text.starts_with("step.")).collect();
    assert_eq!(
        published,
        [
            "operation.accepted",
            "operation.started",
            "environment.account.assigned",
            "environment.ready",
            "environment.region.ready",
            "operation.succeeded"
        ]
    );
}

#[tokio::test]
async fn three_replicas_in_opt_in_regions_become_ready() {
    let regions = ["eu-south-1", "eu-south-2", "il-central-1"];
    let config = CONFIG.replace(
        "regions = [\"eu-central-2\"]",
        &format!("regions = {:?}", ["eu-central-2"].iter().chain(&regions).collect::<Vec<_>>()),
    );
    let freehold = Freehold::with(freehold_sandbox::Settings::default(), &config).await;
    let tenant = freehold.sign_up_with_replicas("Example", "eu-central-2", &regions).await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(2)).await;
    let environment = environment(&freehold, &tenant).await;
    assert_eq!(states(&environment), regions.map(|region| (region, ReplicaState::Ready)));
    assert_eq!(tenant_stacks(&freehold), ["eu-central-2", "eu-south-1", "eu-south-2", "il-central-1"]);
}

#[tokio::test]
async fn a_failed_replica_degrades_the_environment_until_it_is_retried() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_tenant_with_failed_replica(&freehold).await;
    let failed = environment(&freehold, &tenant).await;
    assert_eq!(failed.state, EnvironmentState::Degraded, "{:#?}", latest_operation(&freehold, &tenant).await);
    assert!(failed.ready_at.is_some());
    assert_eq!(states(&failed), [("eu-west-1", ReplicaState::Failed)]);
    assert!(failed.replicas[0].message.as_deref().is_some_and(|text| text.contains("Rate exceeded")), "{failed:#?}");

    freehold.world.clear_faults();
    let id = latest_operation(&freehold, &tenant).await.id;
    lifecycle::retry(freehold.pool(), id, "ann", freehold.clock.now()).await.expect("an answer");
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let repaired = environment(&freehold, &tenant).await;
    assert_eq!(repaired.state, EnvironmentState::Ready);
    assert_eq!(states(&repaired), [("eu-west-1", ReplicaState::Ready)]);
    let published = feed_types(&freehold).await;
    let of_environment: Vec<_> =
        published.iter().filter(|text| text.contains("degraded") || text.contains("recovered")).collect();
    assert_eq!(of_environment, ["environment.degraded", "environment.recovered"]);
}

/// Returns the types of the events that belong to no operation, in the order in which they were written.
async fn feed_types(freehold: &Freehold) -> Vec<String> {
    let types = sqlx::query_scalar("select type from feed_pending where operation_id is null order by id");
    types.fetch_all(freehold.pool()).await.expect("the events")
}

#[tokio::test]
async fn a_canceled_onboarding_keeps_an_environment_that_is_ready() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_tenant_with_failed_replica(&freehold).await;
    let operation = latest_operation(&freehold, &tenant).await;
    let (by, now) = (requester("ann"), freehold.clock.now());
    let canceled = lifecycle::cancel(freehold.pool(), operation.id, &by, Initiator::Operator, now).await;
    assert_eq!(canceled.expect("an answer"), LifecycleResult::Started(vec![]));
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let kept = environment(&freehold, &tenant).await;
    assert_eq!((kept.state, kept.operation_id), (EnvironmentState::Degraded, operation.id));
    assert!(tenant_stacks(&freehold).contains(&"eu-central-1".to_owned()));
}

#[tokio::test]
async fn replicas_are_restored_and_deleted_with_their_environment() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    assert_eq!(tenant_stacks(&freehold), ["eu-central-1", "eu-west-1"]);

    offboard(&freehold, &tenant, false).await;
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    let restored = lifecycle::restore(pool, tenant.id, None, &requester("ann"), Initiator::Operator, now).await;
    restored.expect("an answer");
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let restored = environment(&freehold, &tenant).await;
    assert_eq!(restored.state, EnvironmentState::Ready);
    assert_eq!(states(&restored), [("eu-west-1", ReplicaState::Ready)]);

    offboard(&freehold, &tenant, false).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let operation = latest_operation(&freehold, &tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    assert_eq!(tenant_stacks(&freehold), [""; 0]);
    assert_eq!(environment_stacks::list(pool, tenant.environments[0].id).await.expect("the stacks"), []);
    let finished = |name: &str| operation.steps.iter().find(|step| step.name == name).and_then(|step| step.finished_at);
    assert!(finished("delete-replica-1") <= finished("delete-stack"), "{operation:#?}");
    assert_eq!(environment(&freehold, &tenant).await.replicas, []);
}

#[tokio::test]
async fn a_missing_stack_of_a_replica_is_found_and_repaired() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    let account = tenant.environments[0].aws_account_id.as_ref().expect("an account").to_string();
    Administrator::of(&freehold).delete_stack_in(&account, "eu-west-1", "freehold-tenant").await;
    freehold.clock.advance(std::time::Duration::from_hours(1));

    let report = compare(&freehold, RepairMode::Off).await;
    let found: Vec<_> = report.findings.iter().map(|one| (one.finding.kind.as_str(), &one.finding.subject)).collect();
    assert_eq!(found, [("stack_missing", &format!("{account}/eu-west-1/freehold-tenant"))]);
    let missing = environment(&freehold, &tenant).await;
    assert_eq!(missing.state, EnvironmentState::Degraded);
    assert_eq!(states(&missing), [("eu-west-1", ReplicaState::Failed)]);

    compare(&freehold, RepairMode::All).await;
    freehold.run_until_idle(&worker, AN_HOUR).await;
    freehold.clock.advance(std::time::Duration::from_mins(10));
    assert_eq!(compare(&freehold, RepairMode::Off).await.findings.len(), 0);
    let repaired = environment(&freehold, &tenant).await;
    assert_eq!(repaired.state, EnvironmentState::Ready);
    assert_eq!(states(&repaired), [("eu-west-1", ReplicaState::Ready)]);
    assert_eq!(tenant_stacks(&freehold), ["eu-central-1", "eu-west-1"]);
}

/// Onboards a tenant with `replicas` in an organisation with durations similar to those of AWS. Returns the
/// environment and the number of calls of each AWS operation.
async fn count_calls(replicas: &[&str]) -> (Environment, BTreeMap<String, u64>) {
    let config = CONFIG.replace("\"us-west-2\"]", "\"us-west-2\", \"us-east-2\"]");
    let freehold = Freehold::with(freehold_sandbox::Settings::default(), &config).await;
    let before = freehold.world.calls().by_operation();
    let tenant = freehold.sign_up_with_replicas("Example", "us-east-1", replicas).await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
    let calls = freehold.world.calls().by_operation().into_iter().map(|(call, count)| {
        let earlier = before.get(&call).map_or(0, |count| count.calls);
        (call, count.calls - earlier)
    });
    let calls = calls.collect();
    (environment(&freehold, &tenant).await, calls)
}

#[tokio::test]
async fn a_replica_takes_the_fewest_calls_and_delays_no_environment() {
    let (alone, calls_alone) = count_calls(&[]).await;
    let (with_replicas, calls) = count_calls(&["us-west-2", "us-east-2"]).await;
    let states: Vec<_> = with_replicas.replicas.iter().map(|replica| replica.state).collect();
    assert_eq!(states, [ReplicaState::Ready, ReplicaState::Ready]);
    let minimum = MinimumCalls::load().replica;
    // The other services have no region, and their results are cached for some minutes.
    let is_regional =
        |call: &str| ["account:", "cloudformation:", "lambda:", "sts:"].iter().any(|one| call.starts_with(one));
    for (call, count) in calls.iter().filter(|(call, _)| is_regional(call)) {
        let more = count.saturating_sub(calls_alone.get(call).copied().unwrap_or(0));
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let (more, allowed) = (more as f64, 2.0 * minimum.get(call).copied().unwrap_or(0.0));
        assert!(more <= allowed, "{call}: {more} calls for two replicas, {allowed} are needed");
    }
    let time_to_ready = |environment: &Environment| environment.ready_at.expect("a time") - environment.created_at;
    assert!(time_to_ready(&with_replicas) <= time_to_ready(&alone) + TimeDelta::seconds(15));
}

/// Workflow of a walk over the steps of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    Onboard,
    Resume,
    Offboard,
    AddRegion,
    RemoveRegion,
}

impl Walk {
    fn steps(self) -> impl Iterator<Item = &'static Step> + Clone {
        let list = match self {
            Self::Onboard => ONBOARD_STEPS,
            Self::Resume => RESTORE_STEPS,
            Self::Offboard => OFFBOARD_STEPS,
            Self::AddRegion => CHANGE_REGIONS_STEPS,
            Self::RemoveRegion => REMOVE_REGIONS_STEPS,
        };
        // The steps of the other slots are the same functions.
        list.iter().filter(|step| step.name.replica().is_some_and(|(slot, _)| slot.number() == 1))
    }
}

/// Runs until no work is scheduled, with another worker after each crash.
pub(crate) async fn run_with_other_workers(freehold: &Freehold) {
    for worker in 1.. {
        let worker = freehold.worker(&format!("worker-{worker}"));
        tokio::select! {
            () = freehold.run_until_idle(&worker, MAX_SIMULATED_TIME) => break,
            () = freehold.step_faults.wait_until_crashed() => {}
        }
    }
}

/// Runs a workflow on an environment with a replica in an opt-in region, with a fault in its last operation. Returns a
/// description of the world, and the states of the environment and its replicas.
async fn walk(walk: Walk, fault: Option<PlannedFault>) -> (Vec<String>, bool) {
    let config = CONFIG.replace("regions = [\"eu-central-2\"]", "regions = [\"eu-central-2\", \"eu-south-2\"]");
    let freehold = Freehold::with(freehold_sandbox::Settings::instant(), &config).await;
    let plan = || freehold.step_faults.plan_fault(fault);
    if walk == Walk::Onboard {
        plan();
    }
    let replicas: &[&str] = if walk == Walk::AddRegion { &[] } else { &["eu-south-2"] };
    let tenant = freehold.sign_up_with_replicas("Example", "eu-central-2", replicas).await;
    run_with_other_workers(&freehold).await;
    match walk {
        Walk::Onboard => {}
        Walk::Resume => {
            suspension::suspend(&freehold, &tenant).await;
            run_with_other_workers(&freehold).await;
            plan();
            suspension::resume(&freehold, &tenant).await;
        }
        Walk::Offboard => {
            plan();
            offboard(&freehold, &tenant, false).await;
        }
        Walk::AddRegion => {
            plan();
            change_regions::change(&freehold, &tenant, &["eu-south-2"]).await;
        }
        Walk::RemoveRegion => {
            change_regions::change(&freehold, &tenant, &[]).await;
            change_regions::let_replicas_leave(&freehold);
            plan();
            assert_eq!(freehold.worker("remover").open_due_removals().await.expect("a result"), 1);
        }
    }
    run_with_other_workers(&freehold).await;
    let operation = latest_operation(&freehold, &tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{walk:?} with {fault:?}: {operation:#?}");
    let environment = environment(&freehold, &tenant).await;
    let mut found = world_snapshot::describe(&freehold.world);
    found.push(format!("{} {:?}", environment.state, states(&environment)));
    (found, freehold.step_faults.was_injected())
}

async fn assert_same_result(kind: Walk) {
    let calls =
        step_faults::assert_same_result(kind.steps(), &StepFault::ALL, async |fault| walk(kind, fault).await).await;
    assert!(calls >= StepFault::ALL.len() * kind.steps().count(), "only {calls} calls were tried");
}

#[tokio::test]
async fn a_fault_at_any_call_for_a_new_replica_gives_the_same_result() {
    assert_same_result(Walk::Onboard).await;
}

#[tokio::test]
async fn a_fault_at_any_call_for_a_resumed_replica_gives_the_same_result() {
    assert_same_result(Walk::Resume).await;
}

#[tokio::test]
async fn a_fault_at_any_call_for_an_added_region_gives_the_same_result() {
    assert_same_result(Walk::AddRegion).await;
}

#[tokio::test]
async fn a_fault_at_any_call_for_a_removed_region_gives_the_same_result() {
    assert_same_result(Walk::RemoveRegion).await;
}

#[tokio::test]
async fn a_fault_at_any_call_for_a_deleted_replica_gives_the_same_result() {
    assert_same_result(Walk::Offboard).await;
}
