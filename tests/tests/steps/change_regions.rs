//! Tests of changes of the replica regions: new replicas are deployed while the environment serves, and removed ones
//! are deleted by an operation of their own when their time has come.

use std::sync::Arc;

use chrono::TimeDelta;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tenancy::Region;
use freehold_tenancy::db::lifecycle::{self, ChangeRegionsResult, LegalHoldResult, RegionChange};
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::operation::{Initiator, OperationKind, OperationState};
use freehold_tenancy::replica::ReplicaState;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::Worker;

use super::offboarding::{account, offboard, requester};
use super::replicas::{AN_HOUR, environment, latest_operation, states, tenant_stacks};

/// Time for which a removed replica keeps serving.
const TIME_TO_LEAVE: TimeDelta = TimeDelta::days(7);

fn parse(regions: &[&str]) -> Vec<Region> {
    regions.iter().map(|region| region.parse().expect("a region")).collect()
}

/// Requests that the tenant's only environment has exactly these replicas. Overwrites other changes.
pub(super) async fn change(freehold: &Freehold, tenant: &Tenant, replica_regions: &[&str]) -> ChangeRegionsResult {
    change_known(freehold, tenant, None, replica_regions).await
}

/// Requests that the tenant's only environment has exactly these replicas, if it still has the `known` ones.
async fn change_known(
    freehold: &Freehold,
    tenant: &Tenant,
    known: Option<&[&str]>,
    replica_regions: &[&str],
) -> ChangeRegionsResult {
    let (known, replica_regions) = (known.map(parse), parse(replica_regions));
    let now = freehold.clock.now();
    let change = RegionChange {
        tenant: tenant.id,
        environment: &tenant.environments[0].name,
        known_regions: known.as_deref(),
        replica_regions: &replica_regions,
        known_front_door: None,
        front_door: tenant.environments[0].front_door.is_some(),
        leaving_at: now + TIME_TO_LEAVE,
        requested_by: &requester("ann"),
    };
    lifecycle::change_regions(freehold.pool(), &change, now).await.expect("an answer")
}

/// Lets the time pass after which removed replicas are deleted.
pub(super) fn let_replicas_leave(freehold: &Freehold) {
    freehold.clock.advance_to(freehold.clock.now() + TIME_TO_LEAVE);
}

/// Returns a configuration whose residency `eu` has five regions.
fn config_with_five_regions() -> String {
    CONFIG.replace("\"eu-west-1\"", "\"eu-west-1\", \"eu-west-2\", \"eu-west-3\", \"eu-north-1\"")
}

/// Creates a tenant that is ready in eu-central-1, with ready replicas.
async fn create_tenant(freehold: &Freehold, replicas: &[&str]) -> (Tenant, Arc<Worker>) {
    let tenant = freehold.sign_up_with_replicas("Example", "eu-central-1", replicas).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, AN_HOUR).await;
    assert_eq!(environment(freehold, &tenant).await.state, EnvironmentState::Ready);
    (freehold.reload_tenant(&tenant).await, worker)
}

/// Returns the tag of the account with the regions of the replicas.
fn tagged_regions(freehold: &Freehold, tenant: &Tenant) -> Option<String> {
    account(freehold, tenant).tags.get("freehold:replica-regions").cloned()
}

#[tokio::test]
async fn a_region_is_added_while_the_environment_stays_ready() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_tenant(&freehold, &[]).await;
    assert_eq!(tagged_regions(&freehold, &tenant), None);
    let ChangeRegionsResult::Changed(Some(id)) = change(&freehold, &tenant, &["eu-west-1"]).await else {
        panic!("no operation was started");
    };
    let requested = environment(&freehold, &tenant).await;
    assert_eq!((requested.state, requested.operation_id), (EnvironmentState::Ready, id));
    assert_eq!(states(&requested), [("eu-west-1", ReplicaState::Pending)]);
    let busy = ChangeRegionsResult::Busy { operation: id, kind: OperationKind::ChangeRegions };
    assert_eq!(change(&freehold, &tenant, &[]).await, busy);

    freehold.run_until_idle(&worker, AN_HOUR).await;
    let operation = latest_operation(&freehold, &tenant).await;
    assert_eq!((operation.kind, operation.state), (OperationKind::ChangeRegions, OperationState::Succeeded));
    let steps: Vec<_> = operation.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(steps, ["upgrade-baseline", "enable-region-1", "deploy-replica-1", "verify-replica-1"]);
    let changed = environment(&freehold, &tenant).await;
    assert_eq!((changed.state, changed.ready_at), (EnvironmentState::Ready, tenant.environments[0].ready_at));
    assert_eq!(states(&changed), [("eu-west-1", ReplicaState::Ready)]);
    assert_eq!(tenant_stacks(&freehold), ["eu-central-1", "eu-west-1"]);
    assert_eq!(tagged_regions(&freehold, &tenant).as_deref(), Some("eu-west-1"));
    assert_eq!(change(&freehold, &tenant, &["eu-west-1"]).await, ChangeRegionsResult::Unchanged);
}

#[tokio::test]
async fn a_removed_region_serves_until_its_time_and_is_then_deleted() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_tenant(&freehold, &["eu-west-1"]).await;
    assert_eq!(change(&freehold, &tenant, &[]).await, ChangeRegionsResult::Changed(None));
    let leaving = environment(&freehold, &tenant).await;
    assert_eq!(leaving.state, EnvironmentState::Ready);
    assert_eq!(states(&leaving), [("eu-west-1", ReplicaState::Leaving)]);
    assert_eq!(worker.open_due_removals().await.expect("a result"), 0);
    assert_eq!(tenant_stacks(&freehold), ["eu-central-1", "eu-west-1"]);

    let_replicas_leave(&freehold);
    assert_eq!(worker.open_due_removals().await.expect("a result"), 1);
    assert_eq!(worker.open_due_removals().await.expect("a result"), 0);
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let operation = latest_operation(&freehold, &tenant).await;
    assert_eq!((operation.kind, operation.state), (OperationKind::RemoveRegions, OperationState::Succeeded));
    let left = environment(&freehold, &tenant).await;
    assert_eq!((left.state, left.replicas.len()), (EnvironmentState::Ready, 0));
    assert_eq!(tenant_stacks(&freehold), ["eu-central-1"]);
    assert_eq!(tagged_regions(&freehold, &tenant).as_deref(), Some(""));
}

#[tokio::test]
async fn a_region_that_is_leaving_is_kept_if_it_is_wanted_again() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_tenant(&freehold, &["eu-west-1"]).await;
    change(&freehold, &tenant, &[]).await;
    assert!(matches!(change(&freehold, &tenant, &["eu-west-1"]).await, ChangeRegionsResult::Changed(Some(_))));
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let_replicas_leave(&freehold);
    assert_eq!(worker.open_due_removals().await.expect("a result"), 0);
    assert_eq!(states(&environment(&freehold, &tenant).await), [("eu-west-1", ReplicaState::Ready)]);
}

#[tokio::test]
async fn a_client_that_has_missed_a_removal_removes_nothing() {
    let freehold = Freehold::with(freehold_sandbox::Settings::instant(), &config_with_five_regions()).await;
    let (tenant, _) = create_tenant(&freehold, &["eu-west-1", "eu-west-2"]).await;
    let known = Some(&["eu-west-1", "eu-west-2"][..]);
    assert_eq!(change_known(&freehold, &tenant, known, &["eu-west-1"]).await, ChangeRegionsResult::Changed(None));
    assert_eq!(change_known(&freehold, &tenant, known, &["eu-west-2"]).await, ChangeRegionsResult::Outdated);
    let expected = [("eu-west-1", ReplicaState::Ready), ("eu-west-2", ReplicaState::Leaving)];
    assert_eq!(states(&environment(&freehold, &tenant).await), expected);
}

#[tokio::test]
async fn no_region_leaves_under_a_legal_hold() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_tenant(&freehold, &["eu-west-1"]).await;
    change(&freehold, &tenant, &[]).await;
    let set = async |hold: Option<&str>| {
        let now = freehold.clock.now();
        let result = lifecycle::set_legal_hold(freehold.pool(), tenant.id, hold, None, now).await;
        assert!(!matches!(result.expect("an answer"), LegalHoldResult::NotFound), "no tenant");
    };
    set(Some("litigation")).await;
    let_replicas_leave(&freehold);
    assert_eq!(worker.open_due_removals().await.expect("a result"), 0);
    set(None).await;
    assert_eq!(worker.open_due_removals().await.expect("a result"), 1);

    let (held, _) = create_tenant(&freehold, &["eu-west-1"]).await;
    let now = freehold.clock.now();
    lifecycle::set_legal_hold(freehold.pool(), held.id, Some("litigation"), None, now).await.expect("an answer");
    assert_eq!(change(&freehold, &held, &[]).await, ChangeRegionsResult::LegalHold("litigation".to_owned()));
}

#[tokio::test]
async fn a_replica_that_failed_is_deployed_by_the_next_change() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_tenant(&freehold, &[]).await;
    let fault = Fault::failed("Resource handler returned message: Rate exceeded");
    freehold.world.inject(Rule::on("cloudformation", "CreateStack", fault));
    change(&freehold, &tenant, &["eu-west-1"]).await;
    freehold.run_until_idle(&worker, TimeDelta::days(1)).await;
    let failed = environment(&freehold, &tenant).await;
    assert_eq!(failed.state, EnvironmentState::Degraded, "{:#?}", latest_operation(&freehold, &tenant).await);
    assert_eq!(states(&failed), [("eu-west-1", ReplicaState::Failed)]);

    let (by, now) = (requester("ann"), freehold.clock.now());
    lifecycle::cancel(freehold.pool(), failed.operation_id, &by, Initiator::Operator, now).await.expect("an answer");
    freehold.world.clear_faults();
    assert!(matches!(change(&freehold, &tenant, &["eu-west-1"]).await, ChangeRegionsResult::Changed(Some(_))));
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let deployed = environment(&freehold, &tenant).await;
    assert_eq!(deployed.state, EnvironmentState::Ready);
    assert_eq!(states(&deployed), [("eu-west-1", ReplicaState::Ready)]);
}

#[tokio::test]
async fn regions_change_only_within_their_limits() {
    let freehold = Freehold::with(freehold_sandbox::Settings::instant(), &config_with_five_regions()).await;
    let (tenant, worker) = create_tenant(&freehold, &["eu-west-1", "eu-west-2", "eu-west-3"]).await;
    let exchanged = ["eu-west-1", "eu-west-2", "eu-north-1"];
    // The replica that leaves has its slot until it is deleted.
    assert_eq!(change(&freehold, &tenant, &exchanged).await, ChangeRegionsResult::TooMany);
    assert_eq!(change(&freehold, &tenant, &exchanged[..2]).await, ChangeRegionsResult::Changed(None));
    let_replicas_leave(&freehold);
    worker.open_due_removals().await.expect("a result");
    freehold.run_until_idle(&worker, AN_HOUR).await;
    assert!(matches!(change(&freehold, &tenant, &exchanged).await, ChangeRegionsResult::Changed(Some(_))));
    freehold.run_until_idle(&worker, AN_HOUR).await;
    assert_eq!(tenant_stacks(&freehold), ["eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2"]);

    offboard(&freehold, &tenant, false).await;
    freehold.run_until_idle(&worker, AN_HOUR).await;
    assert!(matches!(change(&freehold, &tenant, &[]).await, ChangeRegionsResult::Busy { .. }));
}
