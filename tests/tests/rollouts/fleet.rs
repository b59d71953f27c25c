//! Fleet of environments in the simulated AWS, which real workers update.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_sandbox::Settings;
use freehold_tenancy::db::{operations, rollouts};
use freehold_tenancy::operation::{Operation, OperationKind};
use freehold_tenancy::release::ReleaseContent;
use freehold_tenancy::rollout::RolloutState;
use freehold_tenancy::tenant::Tenant;
use freehold_tenancy::{EnvironmentId, ReleaseId, RolloutId};
use freehold_tests::fixture::Freehold;
use freehold_worker::Worker;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fixture::{Fixture, plan};
use crate::releases::{create_approved, releases_of};

/// Maximum simulated time of a run; longer than the waits of a rollout that needs no person.
const MAX_SIMULATED_TIME: TimeDelta = TimeDelta::days(1);

impl Fixture {
    /// Onboards this number of environments in the simulated AWS, and approves a release with this content.
    pub(super) async fn in_aws(settings: Settings, config: &str, size: usize, content: &ReleaseContent) -> Self {
        let freehold = Freehold::with(settings, config).await;
        for number in 0..size {
            freehold.sign_up(&format!("Example {number}"), "eu-central-1", "standard").await;
        }
        let worker = freehold.worker("first");
        freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
        let tenants = freehold.tenants().await;
        let old = releases_of(&tenants[0].environments[0])[0].1.expect("the release of the configuration");
        let new = create_approved(&freehold, &worker, content).await;
        Self { freehold, worker, old, new }
    }

    /// Creates a rollout with these waves.
    pub(super) async fn create_waves(&self, waves: &[Value]) -> RolloutId {
        self.create(&plan(waves)).await
    }

    /// Does all due work.
    async fn work(&self, worker: &Arc<Worker>) {
        // The ends of updates make the rollout due.
        loop {
            let alarms = worker.read_alarms().await.expect("reads of alarms");
            let decisions = worker.drain_rollouts().await.expect("decisions");
            if alarms + decisions + worker.drain().await.expect("the due work") == 0 {
                return;
            }
        }
    }

    /// Advances the clock to the next wake-up of an operation or of the rollout. Returns the time of that wake-up.
    async fn advance_to_next(&self) -> Option<DateTime<Utc>> {
        let operation = operations::next_wake(self.pool()).await.expect("a result");
        let rollout = rollouts::unfinished(self.pool()).await.expect("a result").and_then(|one| one.due_at);
        let next = [operation, rollout].into_iter().flatten().min()?;
        self.freehold.clock.advance_to(next);
        Some(next)
    }

    /// Runs the worker until it has done all work, or until `is_enough`.
    pub(super) async fn run_until(&self, worker: &Arc<Worker>, is_enough: impl Fn() -> bool) {
        let until = self.now() + MAX_SIMULATED_TIME;
        loop {
            self.work(worker).await;
            if is_enough() || self.advance_to_next().await.is_none_or(|at| at > until) {
                return;
            }
        }
    }

    /// Runs the worker until the rollout has this state.
    pub(super) async fn run_until_state(&self, worker: &Arc<Worker>, id: RolloutId, state: RolloutState) {
        loop {
            self.work(worker).await;
            if self.state(id).await == state {
                return;
            }
            self.advance_to_next().await.expect("more work");
        }
    }

    /// Runs the worker until it has done all work.
    pub(super) async fn run(&self, worker: &Arc<Worker>) {
        self.run_until(worker, || false).await;
    }

    /// Runs workers until all work is done. Another worker replaces one that crashes.
    pub(super) async fn run_with_other_workers(&self) {
        for number in 1.. {
            let worker = self.freehold.worker(&format!("worker-{number}"));
            tokio::select! {
                () = self.run(&worker) => break,
                () = self.freehold.step_faults.wait_until_crashed() => {}
            }
        }
    }

    /// Returns the tenant of the rollout's environment with this number, in the order of the updates.
    pub(super) async fn tenant_of(&self, id: RolloutId, number: usize) -> Tenant {
        let environment = self.members(id).await[number].environment_id;
        let mut tenants = self.freehold.tenants().await.into_iter();
        tenants.find(|tenant| tenant.environments[0].id == environment).expect("the tenant")
    }

    /// Returns the updates that a rollout has started, oldest first.
    pub(super) async fn updates_of(&self, id: RolloutId) -> Vec<(EnvironmentId, Operation)> {
        let query =
            "select id, environment_id from operations where kind = $1 and input ->> 'rollout' = $2 order by id";
        let query = sqlx::query_as(query).bind(OperationKind::Update.as_str()).bind(id.to_string());
        let rows: Vec<(Uuid, Uuid)> = query.fetch_all(self.pool()).await.expect("the operations");
        let mut found = Vec::new();
        for (operation, environment) in rows {
            let operation = operations::get(self.pool(), operation.into()).await.expect("a result");
            found.push((environment.into(), operation.expect("the operation")));
        }
        found
    }

    /// Returns the releases on record, one for each environment.
    pub(super) async fn releases_on_record(&self) -> Vec<Option<ReleaseId>> {
        let tenants = self.freehold.tenants().await;
        tenants.iter().map(|tenant| releases_of(&tenant.environments[0])[0].1).collect()
    }

    /// Returns the tenant stacks of the simulated AWS.
    pub(super) fn stacks(&self) -> Vec<StackInAws> {
        let mut state = self.freehold.world.state();
        state.advance(self.freehold.world.settings(), self.now());
        let accounts = state.accounts.iter();
        let regions = accounts.flat_map(|(account, one)| one.regions.values().map(move |region| (account, region)));
        let stacks = regions.flat_map(|(account, region)| region.stacks.iter().map(move |stack| (account, stack)));
        let of_tenants = stacks.filter(|(_, stack)| stack.name == "freehold-tenant");
        let described = of_tenants.map(|(account, stack)| {
            let is_start = |event: &&freehold_sandbox::cloudformation::Event| {
                event.physical_id.as_deref() == Some(&stack.id) && event.status.as_str() == "UPDATE_IN_PROGRESS"
            };
            StackInAws {
                account: account.clone(),
                status: stack.status.as_str(),
                updates: stack.events.iter().filter(is_start).count(),
                template: json!(stack)["definition"]["template"].as_str().unwrap_or_default().to_owned(),
            }
        });
        described.collect()
    }

    /// Returns whether a tenant stack has this status.
    pub(super) fn has_stack(&self, status: &str) -> bool {
        self.stacks().iter().any(|stack| stack.status == status)
    }
}

/// Tenant stack in the simulated AWS.
#[derive(Debug)]
pub(super) struct StackInAws {
    pub(super) account: String,
    pub(super) status: &'static str,
    /// Number of updates that CloudFormation has started.
    pub(super) updates: usize,
    /// Text of the template.
    pub(super) template: String,
}
