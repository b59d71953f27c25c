//! Fleet of environments that have a release, and a worker that continues rollouts.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::db::lifecycle::{
    CreateRolloutResult, NewRollout, PlanRolloutResult, RolloutChangeResult, RolloutRequest, change_rollout,
    create_rollout, plan_rollout,
};
use freehold_tenancy::db::rollout_members::{self, MemberFilter};
use freehold_tenancy::db::{PgPool, releases, rollouts};
use freehold_tenancy::operation::Requester;
use freehold_tenancy::release::ReleaseContent;
use freehold_tenancy::rollout::{MemberState, Rollout, RolloutMember, RolloutPlan, RolloutState};
use freehold_tenancy::{EnvironmentId, OperationId, ReleaseId, RolloutId};
use freehold_tests::fixture::Freehold;
use freehold_tests::ready_environments;
use freehold_worker::Worker;
use serde_json::{Value, json};
use uuid::Uuid;

/// SQL that pins an environment.
pub(crate) const PIN: &str = "insert into environment_pins (environment_id, reason, pinned_by, pinned_at)
    values ($1, 'audit', '{\"issuer\": \"i\", \"subject\": \"s\"}', $2)";

pub(crate) struct Fixture {
    pub(crate) freehold: Freehold,
    pub(crate) worker: Arc<Worker>,
    pub(crate) old: ReleaseId,
    pub(crate) new: ReleaseId,
}

pub(crate) fn requester(name: &str) -> Requester {
    Requester { issuer: "https://issuer.example.com".to_owned(), subject: name.to_owned() }
}

/// Returns a plan whose waves have these fields in addition to their names.
pub(crate) fn plan(waves: &[Value]) -> RolloutPlan {
    let named = |(number, wave): (usize, &Value)| {
        let mut wave = wave.clone();
        wave["name"] = json!(format!("w{number}"));
        wave
    };
    let waves: Vec<_> = waves.iter().enumerate().map(named).collect();
    serde_json::from_value(json!({ "waves": waves })).expect("a plan")
}

impl Fixture {
    /// Returns a fleet of this number of environments.
    pub(crate) async fn new(environments: i32) -> Self {
        let freehold = Freehold::instant().await;
        let (pool, now) = (&freehold.database.worker_pool, freehold.clock.now());
        let release = async |template: &str| {
            let content = ReleaseContent { template: Some(template.to_owned()), ..ReleaseContent::default() };
            releases::of_configuration(pool, &content, &requester("worker"), now).await.expect("a release")
        };
        let (old, new) = (release("old").await, release("new").await);
        ready_environments::insert(freehold.pool(), environments, old, now).await;
        let worker = freehold.worker("first");
        Self { freehold, worker, old, new }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.freehold.pool()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.freehold.clock.now()
    }

    /// Executes one SQL statement with the id of an environment as `$1` and the current time as `$2`.
    pub(crate) async fn execute(&self, statement: &'static str, id: Uuid) {
        sqlx::query(statement).bind(id).bind(self.now()).execute(self.pool()).await.expect(statement);
    }

    pub(crate) async fn try_create(&self, plan: &RolloutPlan) -> CreateRolloutResult {
        let by = requester("author");
        let new = NewRollout { release: self.new, plan_name: None, plan, by: &by, non_production: &[] };
        create_rollout(&self.freehold.database.api_pool, &new, self.now()).await.expect("a result")
    }

    pub(crate) async fn create(&self, plan: &RolloutPlan) -> RolloutId {
        match self.try_create(plan).await {
            CreateRolloutResult::Created(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Creates a rollout of one wave with these fields, and starts it.
    pub(crate) async fn start(&self, wave: Value) -> RolloutId {
        let id = self.create(&plan(&[wave])).await;
        self.drain().await;
        id
    }

    pub(crate) async fn forecast(&self, plan: &RolloutPlan) -> PlanRolloutResult {
        let by = requester("author");
        let new = NewRollout { release: self.new, plan_name: None, plan, by: &by, non_production: &[] };
        plan_rollout(&self.freehold.database.api_pool, &new, 65, self.now()).await.expect("a result")
    }

    /// Continues the rollout until it waits.
    pub(crate) async fn drain(&self) {
        self.worker.drain_rollouts().await.expect("decisions");
    }

    pub(crate) async fn advance(&self, seconds: i64) {
        self.freehold.clock.advance_to(self.now() + TimeDelta::seconds(seconds));
        self.drain().await;
    }

    pub(crate) async fn rollout(&self, id: RolloutId) -> Rollout {
        rollouts::find(self.pool(), id).await.expect("a result").expect("the rollout")
    }

    pub(crate) async fn state(&self, id: RolloutId) -> RolloutState {
        self.rollout(id).await.state
    }

    pub(crate) async fn members(&self, id: RolloutId) -> Vec<RolloutMember> {
        let filter = MemberFilter::default();
        rollout_members::page(self.pool(), id, filter, None, 1000).await.expect("the members")
    }

    /// Returns the numbers of environments by state, such as `waiting 3, updating 2`.
    pub(crate) async fn counts(&self, id: RolloutId) -> String {
        let members = self.members(id).await;
        let count = |state: &MemberState| members.iter().filter(|member| member.state == *state).count();
        let counts = MemberState::ALL.iter().map(|state| (state, count(state))).filter(|(_, count)| *count > 0);
        counts.map(|(state, count)| format!("{state} {count}")).collect::<Vec<_>>().join(", ")
    }

    /// Returns the states of the environments with their reasons, in the order of the updates.
    pub(crate) async fn reasons(&self, id: RolloutId) -> Vec<String> {
        let text = |member: RolloutMember| format!("{}: {}", member.state, member.reason.unwrap_or_default());
        self.members(id).await.into_iter().map(text).collect()
    }

    /// Returns the open updates in the order in which they were started.
    pub(crate) async fn open_updates(&self) -> Vec<(OperationId, EnvironmentId)> {
        let query = "select id, environment_id from operations where kind = 'update' and finished_at is null
            and state <> 'needs_attention' order by id";
        let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(query).fetch_all(self.pool()).await.expect("the operations");
        rows.into_iter().map(|(id, environment)| (id.into(), environment.into())).collect()
    }

    pub(crate) async fn started_updates(&self) -> i64 {
        let query = "select count(*) from operations where kind = 'update'";
        sqlx::query_scalar(query).fetch_one(self.pool()).await.expect("a number")
    }

    /// Ends an update as succeeded: its environment has the release.
    pub(crate) async fn succeed(&self, update: OperationId) {
        let statement = "with ended as (
                update operations set state = 'succeeded', finished_at = $2, updated_at = $2, wake_at = null,
                    lease_until = null where id = $1 returning environment_id, input
            )
            update environment_stacks s set changed_at = $2, release_id = r.id from ended, releases r
            where s.environment_id = ended.environment_id and ended.input ->> 'release' = $3::jsonb ->> r.id::text";
        let names = json!({
            self.old.as_uuid().to_string(): self.old.to_string(),
            self.new.as_uuid().to_string(): self.new.to_string(),
        });
        let query = sqlx::query(statement).bind(update.as_uuid()).bind(self.now()).bind(names);
        query.execute(self.pool()).await.expect("an ended update");
    }

    /// Ends an update as failed, with the code and message of its failed step.
    pub(crate) async fn fail_with(&self, update: OperationId, code: &str) {
        let statement = "with ended as (
                update operations set state = 'failed', finished_at = $2, updated_at = $2, wake_at = null,
                    lease_until = null where id = $1 returning id
            )
            insert into operation_steps (operation_id, name, position, after, state, attention)
            select id, 'update-stack', 0, '{}', 'failed', jsonb_build_object('code', $3::text, 'message',
                'Function: handler is missing') from ended";
        let query = sqlx::query(statement).bind(update.as_uuid()).bind(self.now()).bind(code);
        query.execute(self.pool()).await.expect("a failed update");
    }

    pub(crate) async fn fail(&self, update: OperationId) {
        self.fail_with(update, "stack_failed").await;
    }

    /// Ends all open updates as succeeded and continues the rollout.
    pub(crate) async fn succeed_all(&self) {
        for (update, _) in self.open_updates().await {
            self.succeed(update).await;
        }
        self.drain().await;
    }

    pub(crate) async fn try_change(&self, id: RolloutId, request: RolloutRequest<'_>) -> RolloutChangeResult {
        let pool = &self.freehold.database.api_pool;
        change_rollout(pool, id, &request, &requester("operator"), self.now()).await.expect("a result")
    }

    /// Changes the rollout and continues it.
    pub(crate) async fn change(&self, id: RolloutId, request: RolloutRequest<'_>) {
        assert_eq!(self.try_change(id, request).await, RolloutChangeResult::Changed);
        self.drain().await;
    }

    /// Returns the releases of the environments, each with the number of environments.
    pub(crate) async fn releases(&self) -> (i64, i64) {
        let query = "select count(*) filter (where release_id = $1), count(*) filter (where release_id = $2)
            from environment_stacks";
        let query = sqlx::query_as(query).bind(self.old.as_uuid()).bind(self.new.as_uuid());
        query.fetch_one(self.pool()).await.expect("numbers")
    }
}
