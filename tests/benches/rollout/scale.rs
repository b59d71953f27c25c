//! Benchmark of the dry run and of the list of members with many environments. The environments exist only in the
//! database.

use std::time::Instant;

use freehold_sandbox::settings::Settings;
use freehold_tenancy::db::lifecycle::{
    CreateRolloutResult, NewRollout, PlanRolloutResult, create_rollout, plan_rollout,
};
use freehold_tenancy::db::releases;
use freehold_tenancy::db::rollout_members::{self, MemberFilter};
use freehold_tenancy::release::ReleaseContent;
use freehold_tenancy::rollout::RolloutPlan;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::ready_environments;
use serde_json::json;

use crate::fleet::person;
use freehold_tests::benchmark_table::{Table, median};

/// Number of environments.
const ENVIRONMENTS: i32 = 10_000;

/// Number of dry runs, and of readings of all pages.
const ROUNDS: usize = 5;

pub(crate) async fn measure(table: &mut Table) {
    let freehold = Freehold::with(Settings::instant(), CONFIG).await;
    let (pool, now, by) = (freehold.pool(), freehold.clock.now(), person("ann"));
    let release = async |template: &str| {
        let content = ReleaseContent { template: Some(template.to_owned()), ..ReleaseContent::default() };
        releases::of_configuration(&freehold.database.worker_pool, &content, &by, now).await.expect("a release")
    };
    let (old, new) = (release("old").await, release("new").await);
    ready_environments::insert(pool, ENVIRONMENTS, old, now).await;
    sqlx::query("analyze").execute(pool).await.expect("statistics");
    let waves = [1, 10, 50, 100]
        .map(|percent| json!({ "name": format!("to-{percent}"), "select": { "percent": percent }, "max_failures": 9 }));
    let plan: RolloutPlan = serde_json::from_value(json!({ "waves": waves })).expect("a plan");
    let request = NewRollout { release: new, plan_name: None, plan: &plan, by: &by, non_production: &[] };

    let api_pool = &freehold.database.api_pool;
    let mut slowest = 0.0_f64;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let result = plan_rollout(api_pool, &request, 65, now).await.expect("a result");
        slowest = slowest.max(started.elapsed().as_secs_f64());
        assert!(matches!(result, PlanRolloutResult::Planned(_)), "{result:?}");
    }
    let detail = format!("slowest of {ROUNDS}");
    table.at_most(&format!("{ENVIRONMENTS} environments: dry run"), slowest, 1.0, "s", &detail);

    let id = match create_rollout(api_pool, &request, now).await.expect("a result") {
        CreateRolloutResult::Created(id) => id,
        other => panic!("no rollout: {other:?}"),
    };
    let mut durations = Vec::new();
    for _ in 0..ROUNDS {
        let mut after = None;
        loop {
            let started = Instant::now();
            let page = rollout_members::page(api_pool, id, MemberFilter::default(), after, 100).await.expect("a page");
            let Some(last) = page.last() else { break };
            durations.push(1000.0 * started.elapsed().as_secs_f64());
            after = Some(last.environment_id);
        }
    }
    let detail = format!("{} pages", durations.len());
    let name = format!("{ENVIRONMENTS} environments: page of 100 members, median");
    table.at_most(&name, median(&durations), 20.0, "ms", &detail);
}
