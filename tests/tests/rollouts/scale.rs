//! Tests with 10,000 environments. The benchmark `rollout` measures the durations.

use freehold_tenancy::db::lifecycle::PlanRolloutResult;
use freehold_tenancy::db::rollout_members::{self, MemberFilter};
use freehold_tenancy::rollout::MemberState;
use serde_json::json;

use super::fixture::{Fixture, plan};

#[tokio::test]
async fn the_pages_of_a_rollout_have_each_of_10_000_environments() {
    let fixture = Fixture::new(10_000).await;
    sqlx::query("analyze").execute(fixture.pool()).await.expect("statistics");
    let shares = [1, 10, 50, 100].map(|percent| json!({ "select": { "percent": percent }, "max_failures": 9 }));
    let plan = plan(&shares);
    let PlanRolloutResult::Planned(forecast) = fixture.forecast(&plan).await else { panic!("no forecast") };
    let sizes: Vec<_> = forecast.waves.iter().map(|wave| wave.environments).collect();
    assert_eq!(sizes, [100, 900, 4_000, 5_000]);
    let id = fixture.create(&plan).await;
    let (mut after, mut seen) = (None, std::collections::BTreeSet::new());
    loop {
        let page =
            rollout_members::page(fixture.pool(), id, MemberFilter::default(), after, 100).await.expect("a page");
        let Some(last) = page.last() else { break };
        after = Some(last.environment_id);
        seen.extend(page.iter().map(|member| member.environment_id));
    }
    assert_eq!(seen.len(), 10_000);
    let filter = MemberFilter { wave: Some(2), state: Some(MemberState::Failed) };
    let failed = rollout_members::page(fixture.pool(), id, filter, None, 100).await.expect("a page");
    assert!(failed.is_empty());
}
