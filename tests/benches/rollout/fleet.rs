//! Fleet of ready environments in the simulated AWS, whose rollouts run with real workers and a manual clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_sandbox::settings::{DurationDistribution, Durations, Settings};
use freehold_tenancy::db::lifecycle::{
    CreateRolloutResult, NewRollout, PlanRolloutResult, RolloutForecast, RolloutRequest, change_rollout,
    create_rollout, plan_rollout,
};
use freehold_tenancy::db::releases::{self, ApproveResult, NewRelease};
use freehold_tenancy::db::rollout_members::{self, MemberFilter};
use freehold_tenancy::db::{PgPool, operations, rollouts, tenants};
use freehold_tenancy::operation::{OperationState, Requester};
use freehold_tenancy::release::{ReleaseContent, ReleaseSource};
use freehold_tenancy::rollout::{Rollout, RolloutMember, RolloutPlan};
use freehold_tenancy::{EnvironmentId, ReleaseId, RolloutId};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::Worker;
use futures::future::join_all;

/// Built-in template of the tenant stack.
const TEMPLATE: &str = include_str!("../../../stacks/tenant.yaml");

/// Built-in template of regions without Function URLs.
const TEMPLATE_WITHOUT_URL: &str = include_str!("../../../stacks/tenant-without-url.yaml");

/// Text of the template that each release replaces, so that each release changes one resource.
const DESCRIPTION: &str = "Returns the tenant, the environment and the region.";

/// Duration of the creation of a change set in seconds.
const CHANGE_SET_SECONDS: f64 = 3.0;

/// Duration of the update of one resource in seconds.
const RESOURCE_SECONDS: f64 = 62.0;

/// Duration of an update with its verification, whose calls take no simulated time.
pub(crate) const UPDATE_SECONDS: f64 = CHANGE_SET_SECONDS + RESOURCE_SECONDS;

pub(crate) struct Fleet {
    pub(crate) freehold: Freehold,
    workers: Vec<Arc<Worker>>,
    releases: usize,
    /// AWS account of each environment.
    pub(crate) accounts: BTreeMap<EnvironmentId, String>,
}

pub(crate) fn person(subject: &str) -> Requester {
    Requester { issuer: "https://issuer.example.com".to_owned(), subject: subject.to_owned() }
}

/// Returns the durations of an update of [`UPDATE_SECONDS`]; everything else is finished at once.
pub(crate) fn update_durations() -> Durations {
    Durations {
        change_set: DurationDistribution::constant(CHANGE_SET_SECONDS),
        stack_resource: DurationDistribution::constant(RESOURCE_SECONDS),
        ..Durations::instant()
    }
}

impl Fleet {
    /// Onboards this number of environments, each with replicas in `replicas`.
    pub(crate) async fn new(environments: usize, replicas: &[&str], seed: u64, durations: Durations) -> Self {
        let started = Instant::now();
        let freehold = Freehold::with(Settings { seed, durations, ..Settings::default() }, CONFIG).await;
        let mut fleet = Self { freehold, workers: Vec::new(), releases: 0, accounts: BTreeMap::new() };
        fleet.use_workers(1);
        for number in 0..environments {
            let company = format!("Example {number}");
            fleet.freehold.sign_up_with_replicas(&company, "eu-central-1", replicas).await;
        }
        fleet.run_until_idle().await;
        let states = operations::counts(fleet.pool()).await.expect("a result");
        let count = i64::try_from(environments).expect("few");
        assert_eq!(states, [(OperationState::Succeeded, count)], "all onboardings must succeed");
        fleet.accounts = read_accounts(fleet.pool()).await;
        sqlx::query("analyze").execute(fleet.pool()).await.expect("statistics");
        println!("        {environments} environments onboarded in {:.0} s", started.elapsed().as_secs_f64());
        fleet
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.freehold.pool()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.freehold.clock.now()
    }

    /// Replaces the workers with new ones, which share no memory with the earlier ones.
    pub(crate) fn use_workers(&mut self, workers: usize) {
        self.workers = (1..=workers).map(|number| self.freehold.worker(&format!("worker-{number}"))).collect();
    }

    /// Registers another release, and approves it.
    pub(crate) async fn release(&mut self) -> ReleaseId {
        self.releases += 1;
        let content = release_content(self.releases);
        let (registrant, approver) = (person("ann"), person("bob"));
        let new = NewRelease { source: ReleaseSource::Api, content: &content, notes: None, registered_by: &registrant };
        let id = releases::register(self.pool(), &new, self.now()).await.expect("a release");
        self.workers[0].check_releases().await.expect("a check");
        let release = releases::find(self.pool(), id).await.expect("the releases").expect("the release");
        let approved = releases::approve(self.pool(), id, &release.sha256, &approver, self.now()).await;
        assert_eq!(approved.expect("an answer"), ApproveResult::Approved, "{:?}", release.problems);
        id
    }

    /// Returns the forecast of a rollout.
    pub(crate) async fn forecast(&self, release: ReleaseId, plan: &RolloutPlan) -> RolloutForecast {
        let by = person("ann");
        let new = NewRollout { release, plan_name: None, plan, by: &by, non_production: &[] };
        let seconds = self.freehold.config.expected_durations.update_seconds();
        match plan_rollout(&self.freehold.database.api_pool, &new, seconds, self.now()).await.expect("a result") {
            PlanRolloutResult::Planned(forecast) => forecast,
            other => panic!("no forecast: {other:?}"),
        }
    }

    pub(crate) async fn create(&self, release: ReleaseId, plan: &RolloutPlan) -> RolloutId {
        let by = person("ann");
        let new = NewRollout { release, plan_name: None, plan, by: &by, non_production: &[] };
        match create_rollout(&self.freehold.database.api_pool, &new, self.now()).await.expect("a result") {
            CreateRolloutResult::Created(id) => id,
            other => panic!("no rollout: {other:?}"),
        }
    }

    /// Aborts a rollout.
    pub(crate) async fn abort(&self, id: RolloutId) {
        let request = RolloutRequest::Abort { reason: None };
        let pool = &self.freehold.database.api_pool;
        change_rollout(pool, id, &request, &person("carl"), self.now()).await.expect("a result");
        self.run_until_idle().await;
    }

    /// Starts the updates that a rollout can start now, but does not run them.
    pub(crate) async fn start_updates(&self) {
        self.workers[0].drain_rollouts().await.expect("decisions");
    }

    /// Runs all work that is due now.
    async fn run_due(&self) {
        loop {
            let own = join_all(self.workers.iter().map(|worker| worker.drain_own())).await;
            let all = join_all(self.workers.iter().map(|worker| worker.drain())).await;
            let decisions = join_all(self.workers.iter().map(|worker| worker.drain_rollouts())).await;
            let done = own.into_iter().chain(all).chain(decisions);
            if done.map(|done| done.expect("the due work")).sum::<usize>() == 0 {
                return;
            }
        }
    }

    /// Returns the time of the next wake-up, or `None` if no work is scheduled.
    async fn next_wake(&self) -> Option<DateTime<Utc>> {
        let operation = operations::next_wake(self.pool()).await.expect("a result");
        let rollout = rollouts::unfinished(self.pool()).await.expect("a result").and_then(|rollout| rollout.due_at);
        [operation, rollout].into_iter().flatten().min()
    }

    /// Runs the workers and advances the clock until no work is scheduled.
    pub(crate) async fn run_until_idle(&self) {
        loop {
            self.run_due().await;
            let Some(next) = self.next_wake().await else { return };
            self.freehold.clock.advance_to(next);
        }
    }

    pub(crate) async fn rollout(&self, id: RolloutId) -> Rollout {
        rollouts::find(self.pool(), id).await.expect("a result").expect("the rollout")
    }

    pub(crate) async fn members(&self, id: RolloutId) -> Vec<RolloutMember> {
        rollout_members::page(self.pool(), id, MemberFilter::default(), None, 10_000).await.expect("the members")
    }

    /// Returns the duration of the work of CloudFormation since `start` for each account, with the change sets.
    pub(crate) fn update_durations_since(&self, start: DateTime<Utc>) -> BTreeMap<String, TimeDelta> {
        let spans = self.freehold.world.busy();
        let spans = spans.into_iter().filter(|span| span.activity == "stack" && span.from >= start);
        let change_set = freehold_tenancy::clock::seconds(CHANGE_SET_SECONDS);
        spans.filter_map(|span| Some((span.account_id?, change_set + (span.until - span.from)))).collect()
    }
}

/// Returns the AWS account of each environment.
async fn read_accounts(pool: &PgPool) -> BTreeMap<EnvironmentId, String> {
    let (mut accounts, mut before) = (BTreeMap::new(), None);
    loop {
        let filter = tenants::TenantFilter::default();
        let page = tenants::list(pool, &filter, before, 500).await.expect("the tenants");
        let Some(last) = page.last() else { return accounts };
        before = Some(last.id);
        let environments = page.into_iter().flat_map(|tenant| tenant.environments);
        accounts.extend(environments.filter_map(|one| Some((one.id, one.aws_account_id?.to_string()))));
    }
}

/// Returns the content of the release with this number.
pub(crate) fn release_content(number: usize) -> ReleaseContent {
    let change = |template: &str| template.replace(DESCRIPTION, &format!("{DESCRIPTION} Release {number}."));
    ReleaseContent {
        template: Some(change(TEMPLATE)),
        region_templates: [("eu-central-2".parse().expect("a region"), change(TEMPLATE_WITHOUT_URL))].into(),
        ..ReleaseContent::default()
    }
}
