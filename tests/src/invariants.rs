//! Invariants that hold after any sequence of faults, checked by comparing the simulated organisation with the
//! database.
//!
//! The checks start from the objects in the organisation and not from a list of steps, so that they are valid for
//! operations of every kind.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use freehold_sandbox::World;
use freehold_sandbox::organizations::RequestState;
use freehold_sandbox::ssoadmin::RequestStatus;
use freehold_sandbox::world::AccountView;
use freehold_tenancy::db::PgPool;
use freehold_tenancy::{Config, EnvironmentId};
use sqlx::Row;
use uuid::Uuid;

#[derive(Debug, Default)]
pub struct InvariantReport {
    pub environments: usize,
    /// Number of ready environments.
    pub ready: usize,
    /// Number of environments that need attention, by attention code.
    pub needs_attention: BTreeMap<String, usize>,
    /// Number of accounts, excluding the management account and Freehold's account.
    pub accounts: usize,
    /// Number of account creation requests, including failed ones.
    pub account_requests: usize,
    /// Number of stacks, including deleted ones.
    pub stacks: usize,
    pub assignments: usize,
    /// Violated invariants, described in one sentence each.
    pub violations: Vec<String>,
}

/// Environment with its current account mapping and its latest operation.
struct EnvironmentRow {
    state: String,
    tier: String,
    residency: String,
    /// Number of replicas and front doors.
    additional_stacks: usize,
    /// AWS account of the current mapping; `None` if there is no mapping.
    account: Option<String>,
    /// State of the latest operation.
    operation: String,
    code: Option<String>,
    message: Option<String>,
}

impl InvariantReport {
    /// Checks an installation in which no operation is pending or running.
    pub async fn check(world: &World, pool: &PgPool, config: &Config) -> Self {
        let environments = environments(pool).await;
        let mut report = Self { environments: environments.len(), ..Self::default() };
        report.check_operations(&environments);
        report.check_accounts(world, pool, config, &environments).await;
        report.check_creations(world, &environments);
        report.check_stacks(world, &environments);
        report.check_assignments(world, config, &environments);
        report.check_journal(pool).await;
        report
    }

    /// Panics with a list of the violated invariants, if any. The message contains `after`, the name of the preceding
    /// event.
    pub fn assert_ok(&self, after: &str) {
        assert!(self.violations.is_empty(), "{after}:\n{}", self.violations.join("\n"));
    }

    fn add_violation(&mut self, description: String) {
        self.violations.push(description);
    }

    /// Checks that every environment is ready or needs attention with a code and a message.
    fn check_operations(&mut self, environments: &BTreeMap<Uuid, EnvironmentRow>) {
        for (id, environment) in environments {
            let id = EnvironmentId::from(*id);
            let has_text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
            match (environment.operation.as_str(), environment.state.as_str()) {
                ("succeeded", "ready") => {
                    self.ready += 1;
                    if environment.account.is_none() {
                        self.add_violation(format!("{id} is ready but has no account"));
                    }
                }
                ("succeeded", _) => {}
                ("needs_attention", _) if has_text(&environment.code) && has_text(&environment.message) => {
                    *self.needs_attention.entry(environment.code.clone().unwrap_or_default()).or_default() += 1;
                }
                (operation, state) => {
                    self.add_violation(format!("{id} is {state}, but its operation is {operation}"));
                }
            }
        }
    }

    /// Checks that every account belongs to an environment, is mapped to no other environment, and is in the right OU.
    async fn check_accounts(
        &mut self,
        world: &World,
        pool: &PgPool,
        config: &Config,
        environments: &BTreeMap<Uuid, EnvironmentRow>,
    ) {
        let settings = world.settings();
        let own = [&settings.management_account, &settings.freehold_account];
        let accounts: Vec<AccountView> =
            world.accounts().into_iter().filter(|account| !own.contains(&&account.id)).collect();
        self.accounts = accounts.len();
        let mappings: Vec<(String, Uuid)> =
            sqlx::query_as("select aws_account_id, environment_id from account_mappings")
                .fetch_all(pool)
                .await
                .expect("the mappings");
        for account in &accounts {
            let id = &account.id;
            let owner = environment_id_of(&account.tags);
            let Some((environment_id, environment)) = owner.and_then(|owner| environments.get_key_value(&owner)) else {
                self.add_violation(format!("account {id} belongs to no environment: {:?}", account.tags));
                continue;
            };
            let mapping = mappings.iter().find(|(mapped, _)| mapped == id);
            match mapping {
                Some((_, to)) if to != environment_id => {
                    self.add_violation(format!(
                        "account {id} of {} is mapped to another environment",
                        EnvironmentId::from(*environment_id)
                    ));
                }
                None if environment.operation == "succeeded" => {
                    self.add_violation(format!("account {id} has no mapping although its operation has succeeded"));
                }
                _ => {}
            }
            let home = config.residencies.iter().find(|one| one.name.as_str() == environment.residency);
            if environment.state == "ready" && home.is_none_or(|home| home.ou_name() != account.parent_name) {
                self.add_violation(format!("account {id} is ready but in the OU {}", account.parent_name));
            }
        }
        let existing: BTreeSet<_> = accounts.iter().map(|account| &account.id).collect();
        for (account, _) in mappings.iter().filter(|(account, _)| !existing.contains(account)) {
            self.add_violation(format!("account {account} is mapped but does not exist"));
        }
    }

    /// Checks that an account is requested again only after AWS has reported the failure of the previous request.
    fn check_creations(&mut self, world: &World, environments: &BTreeMap<Uuid, EnvironmentRow>) {
        let requests = world.create_requests();
        self.account_requests = requests.len();
        let mut last_failure: BTreeMap<&str, Option<DateTime<Utc>>> = BTreeMap::new();
        for request in &requests {
            if environment_id_of(&request.tags).is_none_or(|owner| !environments.contains_key(&owner)) {
                self.add_violation(format!("the account request for {} belongs to no environment", request.email));
            }
            let failed_at = match &request.state {
                RequestState::Failed { at, .. } => Some(*at),
                _ => None,
            };
            let previous = last_failure.insert(&request.email, failed_at);
            if previous.is_some_and(|failed_at| failed_at.is_none_or(|at| at > request.requested_at)) {
                self.add_violation(format!("the account of {} was requested twice", request.email));
            }
        }
    }

    /// Checks that no account has two stacks of the same name, that ready environments have all stacks, and that no
    /// stack was deleted after its creation was complete.
    fn check_stacks(&mut self, world: &World, environments: &BTreeMap<Uuid, EnvironmentRow>) {
        let stacks = world.stacks();
        self.stacks = stacks.len();
        let mut active: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
        for stack in stacks.iter().filter(|stack| stack.status != "DELETE_COMPLETE") {
            *active.entry((&stack.account, &stack.region, &stack.name)).or_default() += 1;
        }
        for ((account, region, name), count) in active.iter().filter(|(_, count)| **count > 1) {
            self.add_violation(format!("account {account} has {count} stacks {name} in {region}"));
        }
        for environment in environments.values().filter(|one| one.state == "ready" && one.operation == "succeeded") {
            let Some(account) = &environment.account else { continue };
            let complete = stacks.iter().filter(|stack| stack.account == *account && stack.status == "CREATE_COMPLETE");
            let complete = complete.count();
            if complete != 2 + environment.additional_stacks {
                self.add_violation(format!("account {account} is ready with {complete} complete stacks"));
            }
        }
        let deleted_complete: Vec<String> = {
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
        for id in deleted_complete {
            self.add_violation(format!("{id} was deleted after it was complete"));
        }
    }

    /// Checks that no assignment was created twice, and that ready environments have all configured assignments.
    fn check_assignments(&mut self, world: &World, config: &Config, environments: &BTreeMap<Uuid, EnvironmentRow>) {
        let existing = world.assignments();
        self.assignments = existing.len();
        let mut creations = BTreeMap::new();
        for request in
            world.state().identity_center.requests.values().filter(|one| one.progress == RequestStatus::Succeeded)
        {
            *creations.entry(request.assignment.clone()).or_insert(0) += if request.creates { 1 } else { -1 };
        }
        for (assignment, times) in creations.iter().filter(|(_, times)| **times > 1) {
            self.add_violation(format!("{assignment:?} was assigned {times} times"));
        }
        for environment in environments.values().filter(|environment| environment.state == "ready") {
            let own_group = config
                .tiers
                .iter()
                .any(|tier| tier.name.as_str() == environment.tier && tier.tenant_group_permission_set.is_some());
            let expected = config.access.len() + usize::from(own_group);
            let actual = existing.iter().filter(|one| Some(&one.account) == environment.account.as_ref()).count();
            if actual != expected {
                self.add_violation(format!(
                    "account {:?} is ready with {actual} of {expected} assignments",
                    environment.account
                ));
            }
        }
    }

    /// Checks that finished operations hold no slots, that succeeded operations have no unfinished steps, and that the
    /// event numbers of each operation have no gaps.
    async fn check_journal(&mut self, pool: &PgPool) {
        for (description, query) in [
            (
                "a finished operation holds a slot",
                "select count(*) from slots s join operations o on o.id = s.operation_id
                    where o.finished_at is not null",
            ),
            (
                "the events of an operation have gaps",
                "select count(*) from (select from events group by operation_id having max(seq) <> count(*)) gaps",
            ),
            (
                "a succeeded operation has steps that are not done",
                "select count(distinct o.id) from operations o join operation_steps s on s.operation_id = o.id
                 where o.state = 'succeeded' and s.state <> 'done'",
            ),
        ] {
            let count: i64 = sqlx::query_scalar(query).fetch_one(pool).await.expect("a count");
            if count > 0 {
                self.add_violation(format!("{description}: {count} times"));
            }
        }
    }
}

/// Returns the environment id from the tags of an AWS object.
fn environment_id_of(tags: &BTreeMap<String, String>) -> Option<Uuid> {
    let id: EnvironmentId = tags.get("freehold:environment")?.parse().ok()?;
    Some(id.as_uuid())
}

async fn environments(pool: &PgPool) -> BTreeMap<Uuid, EnvironmentRow> {
    let rows = sqlx::query(
        "select e.id, e.state, t.tier, e.residency, m.aws_account_id, o.state as operation, o.attention_code,
            o.attention_message, (
                (select count(*) from environment_replicas r where r.environment_id = e.id)
                + (select count(*) from environment_front_doors d where d.environment_id = e.id)
            ) as additional_stacks
         from environments e join tenants t on t.id = e.tenant_id
         left join account_mappings m on m.environment_id = e.id and m.valid_to is null
         left join lateral (
             select * from operations o where o.environment_id = e.id order by (o.finished_at is null) desc,
                 o.id desc limit 1
         ) o on true",
    );
    let rows = rows.fetch_all(pool).await.expect("the environments");
    let environment = |row: sqlx::postgres::PgRow| {
        let operation: Option<String> = row.get("operation");
        let additional_stacks: i64 = row.get("additional_stacks");
        let environment = EnvironmentRow {
            additional_stacks: usize::try_from(additional_stacks).expect("few"),
            state: row.get("state"),
            tier: row.get("tier"),
            residency: row.get("residency"),
            account: row.get("aws_account_id"),
            operation: operation.unwrap_or_else(|| "missing".to_owned()),
            code: row.get("attention_code"),
            message: row.get("attention_message"),
        };
        (row.get("id"), environment)
    };
    rows.into_iter().map(environment).collect()
}
