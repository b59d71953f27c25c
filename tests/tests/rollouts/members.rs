//! Tests of the environments of a rollout: which are members, and which can start.

use freehold_tenancy::db::lifecycle::{CreateRolloutResult, PlanRolloutResult};
use freehold_tenancy::db::operations;
use freehold_tenancy::release::ReleaseState;
use freehold_tenancy::rollout::RolloutState;
use serde_json::json;

use super::fixture::{Fixture, PIN, plan};

const OPEN_REPAIR: &str =
    "insert into operations (id, tenant_id, environment_id, kind, requested_by, created_at, state,
        wake_at, updated_at)
    select gen_random_uuid(), tenant_id, id, 'repair', '{}', $2, 'running', $2, $2 from environments where id = $1";

const FREEZE: &str =
    "update change_freeze set reason = 'holidays', until = $2::timestamptz + interval '1 hour', set_at = $2,
    set_by = jsonb_build_object('issuer', 'i', 'subject', $1::text)";

#[tokio::test]
async fn one_rollout_runs_at_a_time() {
    let fixture = Fixture::new(2).await;
    let id = fixture.create(&plan(&[json!({})])).await;
    assert_eq!(fixture.try_create(&plan(&[json!({})])).await, CreateRolloutResult::InProgress(id));
}

#[tokio::test]
async fn two_requests_at_the_same_time_create_one_rollout() {
    let fixture = Fixture::new(2).await;
    let plan = plan(&[json!({})]);
    let (one, other) = tokio::join!(fixture.try_create(&plan), fixture.try_create(&plan));
    let created = [&one, &other].into_iter().filter(|one| matches!(one, CreateRolloutResult::Created(_))).count();
    assert_eq!(created, 1, "{one:?}, {other:?}");
}

#[tokio::test]
async fn a_release_that_cannot_be_deployed_is_refused() {
    let fixture = Fixture::new(1).await;
    let refused = async || match fixture.try_create(&plan(&[json!({})])).await {
        CreateRolloutResult::Refused(reason) => reason,
        other => panic!("{other:?}"),
    };
    fixture.execute("update releases set source = 'api', checked_at = $2 where id = $1", fixture.new.as_uuid()).await;
    assert_eq!(refused().await, PlanRolloutResult::ReleaseNotApproved);
    fixture
        .execute("update releases set state = 'checking', checked_at = $2 where id = $1", fixture.new.as_uuid())
        .await;
    assert_eq!(refused().await, PlanRolloutResult::ReleaseNotReady(ReleaseState::Checking));
}

#[tokio::test]
async fn a_forecast_says_which_environments_are_left_out_and_why() {
    let fixture = Fixture::new(4).await;
    let ids: Vec<uuid::Uuid> =
        sqlx::query_scalar("select id from environments order by id").fetch_all(fixture.pool()).await.expect("the ids");
    fixture.execute(PIN, ids[0]).await;
    fixture.execute("update environments set state = 'offboarding', updated_at = $2 where id = $1", ids[1]).await;
    let current = "update environment_stacks set changed_at = $2,
        release_id = (select id from releases where content ->> 'template' = 'new') where environment_id = $1";
    fixture.execute(current, ids[2]).await;
    let PlanRolloutResult::Planned(forecast) = fixture.forecast(&plan(&[json!({})])).await else {
        panic!("no forecast")
    };
    let mut reasons: Vec<_> = forecast.left_out.iter().map(|one| one.reason.to_string()).collect();
    reasons.sort();
    assert_eq!(reasons, ["has the release already", "is offboarding", "pinned to its release: audit"]);
    let wave = &forecast.waves[0];
    assert_eq!((wave.environments, wave.effective_concurrency, wave.seconds), (1, 1, 65));
    let staging = plan(&[json!({ "select": { "environments": ["staging"] } })]);
    assert!(matches!(fixture.forecast(&staging).await, PlanRolloutResult::EmptyWave(_)));
}

#[tokio::test]
async fn a_change_freeze_refuses_new_rollouts_and_starts_nothing() {
    let fixture = Fixture::new(2).await;
    let id = fixture.create(&plan(&[json!({})])).await;
    fixture.execute(FREEZE, uuid::Uuid::nil()).await;
    fixture.drain().await;
    assert_eq!((fixture.started_updates().await, fixture.state(id).await), (0, RolloutState::Running));
    fixture.advance(1800).await;
    assert_eq!(fixture.started_updates().await, 0);
    fixture.advance(1800).await;
    assert_eq!(fixture.started_updates().await, 1);
    fixture.succeed_all().await;
    fixture.succeed_all().await;
    fixture.execute(FREEZE, uuid::Uuid::nil()).await;
    assert!(matches!(fixture.try_create(&plan(&[json!({})])).await, CreateRolloutResult::Frozen { .. }));
}

#[tokio::test]
async fn environments_that_cannot_be_updated_are_skipped() {
    let fixture = Fixture::new(4).await;
    let id = fixture.create(&plan(&[json!({ "max_failures": 9 })])).await;
    let members = fixture.members(id).await;
    let environment = |number: usize| members[number].environment_id.as_uuid();
    fixture.execute(PIN, environment(0)).await;
    fixture
        .execute("update environments set state = 'offboarding', updated_at = $2 where id = $1", environment(1))
        .await;
    fixture.execute(OPEN_REPAIR, environment(2)).await;
    let park = "update operations set state = 'needs_attention', attention_code = 'x', attention_message = 'help',
        attention_remedies = '{}', updated_at = $2 where environment_id = $1 and state = 'running'";
    fixture.execute(park, environment(2)).await;
    fixture.drain().await;
    let reasons = fixture.reasons(id).await;
    assert_eq!(reasons[..2], ["skipped: pinned to its release: audit", "skipped: is offboarding"]);
    assert!(reasons[2].starts_with("skipped: the operation op_") && reasons[2].ends_with("needs a person: help"));
    // A legal hold that the update would break is no failure of the release.
    fixture.fail_with(fixture.open_updates().await[0].0, "legal_hold").await;
    fixture.drain().await;
    assert_eq!((fixture.counts(id).await.as_str(), fixture.state(id).await), ("skipped 4", RolloutState::Succeeded));
}

#[tokio::test]
async fn an_update_waits_for_the_end_of_another_operation() {
    let fixture = Fixture::new(2).await;
    let id = fixture.create(&plan(&[json!({ "max_concurrent": 1 })])).await;
    let first = fixture.members(id).await[0].environment_id.as_uuid();
    fixture.execute(OPEN_REPAIR, first).await;
    fixture.drain().await;
    assert_eq!(fixture.counts(id).await, "waiting 1, updating 1");
    assert!(fixture.reasons(id).await[0].starts_with("waiting: waits for the end of repair op_"));
    fixture.succeed_all().await;
    assert_eq!(fixture.worker.drain_rollouts().await.expect("decisions"), 0, "the rollout polls");
    let end = "update operations set state = 'succeeded', finished_at = $2, wake_at = null
        where environment_id = $1 and finished_at is null";
    fixture.execute(end, first).await;
    fixture.drain().await;
    assert_eq!(fixture.counts(id).await, "updating 1, succeeded 1");
}

#[tokio::test]
async fn an_update_starts_in_a_maintenance_window() {
    let fixture = Fixture::new(1).await;
    // 1 January 2026 is a Thursday. The window starts at 02:30 in Berlin, which is 01:30 in UTC.
    let windows =
        "update tenants set updated_at = $2, maintenance_windows = '[{\"days\": [\"thu\"], \"start\": \"02:30\",
        \"minutes\": 60, \"time_zone\": \"Europe/Berlin\"}]' where $1 is not null";
    fixture.execute(windows, uuid::Uuid::nil()).await;
    let id = fixture.start(json!({})).await;
    assert_eq!(fixture.reasons(id).await, ["waiting: waits for the maintenance window at 2026-01-01T01:30:00Z"]);
    let start: chrono::DateTime<chrono::Utc> = "2026-01-01T01:30:00Z".parse().expect("a time");
    fixture.advance((start - fixture.now()).num_seconds() - 1).await;
    assert_eq!(fixture.started_updates().await, 0);
    fixture.advance(2).await;
    assert_eq!(fixture.counts(id).await, "updating 1");
}

#[tokio::test]
async fn a_worker_claims_an_onboarding_before_updates() {
    let fixture = Fixture::new(20).await;
    fixture.start(json!({ "max_concurrent": 20, "max_failures": 99 })).await;
    fixture.freehold.clock.advance(std::time::Duration::from_secs(1));
    let tenant = fixture.freehold.sign_up("Acme", "eu-central-1", "standard").await;
    let (pool, lease) = (&fixture.freehold.database.worker_pool, chrono::TimeDelta::seconds(25));
    let claims = operations::claim(pool, "first", fixture.now(), lease, 1).await.expect("claims");
    assert_eq!(claims[0].operation_id, tenant.environments[0].operation_id);
    let rest = operations::claim(pool, "first", fixture.now(), lease, 32).await.expect("claims");
    assert_eq!(rest.len(), 20);
}
