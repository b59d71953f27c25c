//! What must hold whatever has happened: the simulated organisation compared with the database, thing by thing.
//!
//! It starts from what there is in the organisation, not from a list of steps, so that it also judges operations of other
//! kinds.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use freehold_sandbox::World;
use freehold_sandbox::organizations::RequestState;
use freehold_sandbox::ssoadmin::Progress;
use freehold_sandbox::world::AccountView;
use freehold_tenancy::db::PgPool;
use freehold_tenancy::{Config, EnvironmentId};
use sqlx::Row;
use uuid::Uuid;

/// What was found.
#[derive(Debug, Default)]
pub struct InvariantReport {
    /// Environments that were asked for.
    pub environments: usize,
    /// Those that are ready.
    pub ready: usize,
    /// Those that need a person, by the code of the reason.
    pub needs_attention: BTreeMap<String, usize>,
    /// Accounts in the organisation besides its own two.
    pub accounts: usize,
    /// Requests for accounts, failed ones included.
    pub account_requests: usize,
    /// Stacks, deleted ones included.
    pub stacks: usize,
    /// Assignments.
    pub assignments: usize,
    /// What does not hold, one sentence each.
    pub violations: Vec<String>,
}

/// An environment as the database has it.
struct Known {
    state: String,
    tier: String,
    residency: String,
    /// The account that it is mapped to now.
    account: Option<String>,
    /// State and attention of its latest operation.
    operation: String,
    code: Option<String>,
    message: Option<String>,
}

impl InvariantReport {
    /// Judges an installation at rest: nothing is under way any more.
    pub async fn check(world: &World, pool: &PgPool, config: &Config) -> Self {
        let environments = environments(pool).await;
        let mut verdict = Self { environments: environments.len(), ..Self::default() };
        verdict.operations(&environments);
        verdict.accounts(world, pool, config, &environments).await;
        verdict.creations(world, &environments);
        verdict.stacks(world, &environments);
        verdict.assignments(world, config, &environments);
        verdict.journal(pool).await;
        verdict
    }

    /// Panics with everything that does not hold.
    pub fn assert_ok(&self, after: &str) {
        assert!(self.violations.is_empty(), "{after}:\n{}", self.violations.join("\n"));
    }

    fn violated(&mut self, what: String) {
        self.violations.push(what);
    }

    /// Nobody is forgotten: each environment is ready, or needs attention for a reason that is told.
    fn operations(&mut self, environments: &BTreeMap<Uuid, Known>) {
        for (id, known) in environments {
            let id = EnvironmentId::from(*id);
            let told = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
            match (known.operation.as_str(), known.state.as_str()) {
                ("succeeded", "ready") => {
                    self.ready += 1;
                    if known.account.is_none() {
                        self.violated(format!("{id} is ready and has no account"));
                    }
                }
                ("succeeded", _) => {}
                ("needs_attention", _) if told(&known.code) && told(&known.message) => {
                    *self.needs_attention.entry(known.code.clone().unwrap_or_default()).or_default() += 1;
                }
                (operation, state) => {
                    self.violated(format!("{id} is {state} and was left behind: its operation is {operation}"));
                }
            }
        }
    }

    /// No account that nobody asked for, none that nobody owns, and each where it belongs.
    async fn accounts(&mut self, world: &World, pool: &PgPool, config: &Config, environments: &BTreeMap<Uuid, Known>) {
        let settings = world.settings();
        let own = [&settings.management_account, &settings.freehold_account];
        let accounts: Vec<AccountView> =
            world.accounts().into_iter().filter(|account| !own.contains(&&account.id)).collect();
        self.accounts = accounts.len();
        let mapped: Vec<(String, Uuid)> = sqlx::query_as("select aws_account_id, environment_id from account_mappings")
            .fetch_all(pool)
            .await
            .expect("the mappings");
        for account in &accounts {
            let id = &account.id;
            let owner = owner(&account.tags);
            let Some((environment, known)) = owner.and_then(|owner| environments.get_key_value(&owner)) else {
                self.violated(format!("account {id} belongs to no environment: {:?}", account.tags));
                continue;
            };
            let mapping = mapped.iter().find(|(mapped, _)| mapped == id);
            match mapping {
                Some((_, to)) if to != environment => {
                    self.violated(format!(
                        "account {id} of {} is mapped to another",
                        EnvironmentId::from(*environment)
                    ));
                }
                None if known.operation == "succeeded" => {
                    self.violated(format!("account {id} has no mapping, and no operation owns it"));
                }
                _ => {}
            }
            let home = config.residencies.iter().find(|one| one.name.as_str() == known.residency);
            if known.state == "ready" && home.is_none_or(|home| home.ou_name() != account.parent_name) {
                self.violated(format!("account {id} is ready and in {}", account.parent_name));
            }
        }
        let there: BTreeSet<_> = accounts.iter().map(|account| &account.id).collect();
        for (account, _) in mapped.iter().filter(|(account, _)| !there.contains(account)) {
            self.violated(format!("account {account} is mapped and does not exist"));
        }
    }

    /// No account is asked for twice: only when AWS has failed one request may there be another.
    fn creations(&mut self, world: &World, environments: &BTreeMap<Uuid, Known>) {
        let requests = world.create_requests();
        self.account_requests = requests.len();
        let mut over: BTreeMap<&str, Option<DateTime<Utc>>> = BTreeMap::new();
        for request in &requests {
            if owner(&request.tags).is_none_or(|owner| !environments.contains_key(&owner)) {
                self.violated(format!("{} was asked for by nobody who is known", request.email));
            }
            let failed_at = match &request.state {
                RequestState::Failed { at, .. } => Some(*at),
                _ => None,
            };
            let before = over.insert(&request.email, failed_at);
            if before.is_some_and(|failed_at| failed_at.is_none_or(|at| at > request.requested_at)) {
                self.violated(format!("the account of {} was asked for twice", request.email));
            }
        }
    }

    /// No stack twice: one of each name in an account, and none deleted that had not failed.
    fn stacks(&mut self, world: &World, environments: &BTreeMap<Uuid, Known>) {
        let stacks = world.stacks();
        self.stacks = stacks.len();
        let mut live: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for stack in stacks.iter().filter(|stack| stack.status != "DELETE_COMPLETE") {
            *live.entry((&stack.account, &stack.name)).or_default() += 1;
        }
        for ((account, name), count) in live.iter().filter(|(_, count)| **count > 1) {
            self.violated(format!("account {account} has {count} stacks {name}"));
        }
        for account in
            environments.values().filter(|known| known.state == "ready").filter_map(|known| known.account.as_ref())
        {
            let complete = stacks.iter().filter(|stack| stack.account == *account && stack.status == "CREATE_COMPLETE");
            let complete = complete.count();
            if complete != 2 {
                self.violated(format!("account {account} is ready with {complete} complete stacks"));
            }
        }
        let undone: Vec<String> = {
            let state = world.state();
            let regions = state.accounts.values().flat_map(|account| account.regions.values());
            let deleted = regions.flat_map(|region| region.stacks.iter()).filter(|stack| stack.deleted_at.is_some());
            let had_succeeded = deleted.filter(|stack| {
                stack
                    .events
                    .iter()
                    .any(|event| event.logical_id == stack.name && event.status.as_str() == "CREATE_COMPLETE")
            });
            had_succeeded.map(|stack| stack.id.clone()).collect()
        };
        for id in undone {
            self.violated(format!("{id} was complete and was deleted"));
        }
    }

    /// No assignment twice, and none missing where all is done.
    fn assignments(&mut self, world: &World, config: &Config, environments: &BTreeMap<Uuid, Known>) {
        let there = world.assignments();
        self.assignments = there.len();
        let mut granted = BTreeMap::new();
        for request in world.state().identity_center.requests.values().filter(|one| one.progress == Progress::Succeeded)
        {
            *granted.entry(request.assignment.clone()).or_insert(0) += if request.creates { 1 } else { -1 };
        }
        for (assignment, times) in granted.iter().filter(|(_, times)| **times > 1) {
            self.violated(format!("{assignment:?} was assigned {times} times"));
        }
        for known in environments.values().filter(|known| known.state == "ready") {
            let own_group = config
                .tiers
                .iter()
                .any(|tier| tier.name.as_str() == known.tier && tier.tenant_group_permission_set.is_some());
            let declared = config.access.len() + usize::from(own_group);
            let has = there.iter().filter(|one| Some(&one.account) == known.account.as_ref()).count();
            if has != declared {
                self.violated(format!("account {:?} is ready with {has} assignments of {declared}", known.account));
            }
        }
    }

    /// The journal itself is in order.
    async fn journal(&mut self, pool: &PgPool) {
        for (what, query) in [
            (
                "an operation that has ended holds a place under a quota",
                "select count(*) from slots s join operations o on o.id = s.operation_id where o.finished_at is not null",
            ),
            (
                "the events of an operation have gaps",
                "select count(*) from (select from events group by operation_id having max(seq) <> count(*)) gaps",
            ),
            (
                "an operation has ended with steps that are not done",
                "select count(distinct o.id) from operations o join operation_steps s on s.operation_id = o.id
                 where o.state = 'succeeded' and s.state <> 'done'",
            ),
        ] {
            let count: i64 = sqlx::query_scalar(query).fetch_one(pool).await.expect("a count");
            if count > 0 {
                self.violated(format!("{what}: {count} times"));
            }
        }
    }
}

/// The environment that something was made for.
fn owner(tags: &BTreeMap<String, String>) -> Option<Uuid> {
    let id: EnvironmentId = tags.get("freehold:environment")?.parse().ok()?;
    Some(id.as_uuid())
}

async fn environments(pool: &PgPool) -> BTreeMap<Uuid, Known> {
    let rows = sqlx::query(
        "select e.id, e.state, t.tier, e.residency, m.aws_account_id, o.state as operation, o.attention_code,
            o.attention_message
         from environments e join tenants t on t.id = e.tenant_id
         left join account_mappings m on m.environment_id = e.id and m.valid_to is null
         left join lateral (
             select * from operations o where o.environment_id = e.id order by (o.finished_at is null) desc, o.id desc limit 1
         ) o on true",
    );
    let rows = rows.fetch_all(pool).await.expect("the environments");
    let known = |row: sqlx::postgres::PgRow| {
        let operation: Option<String> = row.get("operation");
        let known = Known {
            state: row.get("state"),
            tier: row.get("tier"),
            residency: row.get("residency"),
            account: row.get("aws_account_id"),
            operation: operation.unwrap_or_else(|| "missing".to_owned()),
            code: row.get("attention_code"),
            message: row.get("attention_message"),
        };
        (row.get("id"), known)
    };
    rows.into_iter().map(known).collect()
}
