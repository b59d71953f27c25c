//! Checks of a rollout that has finished despite crashes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_tenancy::db::rollout_members::{self, MemberFilter};
use freehold_tenancy::rollout::{MemberState, Rollout, RolloutMember, RolloutState};
use freehold_tests::crash::Infrastructure;
use uuid::Uuid;

use freehold_tests::benchmark_table::Table;

/// Adds the figures of a rollout that was created at `start`.
pub(super) async fn check(
    infrastructure: &Infrastructure,
    rollout: &Rollout,
    environments: usize,
    start: DateTime<Utc>,
    name: &str,
    table: &mut Table,
) {
    let members = rollout_members::page(&infrastructure.pool, rollout.id, MemberFilter::default(), None, 10_000);
    let members = members.await.expect("the members");
    let detail = rollout.reason.clone().unwrap_or_default();
    let unfinished = usize::from(rollout.state != RolloutState::Succeeded);
    table.none(&format!("{name}: rollouts that have not succeeded"), unfinished, &detail);
    let updated = members.iter().filter(|member| member.state == MemberState::Succeeded).count();
    let others = members.iter().find(|member| member.state != MemberState::Succeeded);
    let detail = others.map(|one| format!("{} {}", one.state, one.reason.as_deref().unwrap_or_default()));
    let detail = detail.unwrap_or_default();
    table.none(&format!("{name}: environments not updated"), environments.abs_diff(updated), &detail);
    let repeated = repeated_updates(infrastructure, start).await;
    table.none(&format!("{name}: environments updated more than once"), repeated, "");
    table.none(&format!("{name}: updates out of order"), out_of_order(&members), "");
}

/// Returns the number of environments with more than one update, in the database or in the simulated AWS.
async fn repeated_updates(infrastructure: &Infrastructure, start: DateTime<Utc>) -> usize {
    let updates = "select environment_id, count(*) from operations where kind = 'update' group by environment_id";
    let updates: Vec<(Uuid, i64)> = sqlx::query_as(updates).fetch_all(&infrastructure.pool).await.expect("the updates");
    let opened = updates.iter().filter(|(_, count)| *count > 1).count();
    let mut executed = BTreeMap::<String, usize>::new();
    for span in infrastructure.world.busy() {
        if span.activity == "stack" && span.from >= start {
            *executed.entry(span.account_id.unwrap_or_default()).or_default() += 1;
        }
    }
    opened.max(executed.values().filter(|count| **count > 1).count())
}

/// Returns the number of updates that started before an earlier one of the plan, or before the wave before had ended.
fn out_of_order(members: &[RolloutMember]) -> usize {
    let mut count = 0;
    for pair in members.windows(2) {
        let [before, after] = pair else { continue };
        count += usize::from(before.started_at > after.started_at);
        if before.wave < after.wave {
            let of_wave = members.iter().filter(|member| member.wave == before.wave);
            count += of_wave.filter(|member| member.finished_at > after.started_at).count();
        }
    }
    count
}
