//! Tests of the course of a rollout: waves, bakes, failures and crashes.

use chrono::TimeDelta;
use freehold_tenancy::db::DbError;
use freehold_tenancy::db::lifecycle::advance_rollout;
use freehold_tenancy::db::{rollout_waves, rollouts};
use freehold_tenancy::rollout::{Decision, RolloutState};
use serde_json::json;

use super::fixture::{Fixture, plan};

#[tokio::test]
async fn a_rollout_updates_wave_after_wave_with_a_bake_between() {
    let fixture = Fixture::new(5).await;
    let id = fixture
        .create(&plan(&[
            json!({ "select": { "percent": 40 }, "bake_seconds": 600, "max_failures": 9 }),
            json!({ "max_failures": 9 }),
        ]))
        .await;
    assert_eq!(fixture.state(id).await, RolloutState::Pending);
    fixture.drain().await;
    assert_eq!(fixture.counts(id).await, "waiting 3, updating 2");
    fixture.succeed_all().await;
    assert_eq!(
        (fixture.state(id).await, fixture.counts(id).await.as_str()),
        (RolloutState::Baking, "waiting 3, baking 2")
    );
    fixture.advance(599).await;
    assert_eq!(fixture.state(id).await, RolloutState::Baking);
    fixture.advance(1).await;
    assert_eq!(fixture.counts(id).await, "updating 3, succeeded 2");
    fixture.succeed_all().await;
    let rollout = fixture.rollout(id).await;
    assert_eq!((rollout.state, rollout.wave, rollout.wake_at), (RolloutState::Succeeded, 1, None));
    assert!(rollout.finished_at.is_some());
    assert_eq!((fixture.counts(id).await.as_str(), fixture.releases().await), ("succeeded 5", (0, 5)));
    let waves = rollout_waves::list(fixture.pool(), id).await.expect("the waves");
    assert!(waves.iter().all(|wave| wave.started_at.is_some() && wave.finished_at.is_some()));
}

#[tokio::test]
async fn the_next_update_starts_as_soon_as_one_has_ended() {
    let fixture = Fixture::new(4).await;
    let id = fixture.start(json!({ "max_concurrent": 2, "max_failures": 9 })).await;
    let first = fixture.open_updates().await[0].0;
    fixture.succeed(first).await;
    // The clock stands still: the end of the update makes the rollout due.
    fixture.drain().await;
    assert_eq!(fixture.counts(id).await, "waiting 1, updating 2, succeeded 1");
}

#[tokio::test]
async fn a_strict_wave_halts_exactly_after_the_tolerated_failures() {
    let fixture = Fixture::new(10).await;
    let id = fixture.start(json!({ "max_concurrent": 5, "max_failures": 1 })).await;
    assert_eq!(fixture.counts(id).await, "waiting 8, updating 2");
    fixture.fail(fixture.open_updates().await[0].0).await;
    fixture.drain().await;
    assert_eq!(fixture.counts(id).await, "waiting 8, updating 1, failed 1");
    fixture.fail(fixture.open_updates().await[0].0).await;
    fixture.drain().await;
    let rollout = fixture.rollout(id).await;
    assert_eq!(rollout.state, RolloutState::Halted);
    assert_eq!(rollout.reason.as_deref(), Some("2 updates have failed in the wave w0, which tolerates 1"));
    fixture.advance(86_400).await;
    assert_eq!((fixture.started_updates().await, fixture.counts(id).await.as_str()), (2, "waiting 8, failed 2"));
    assert_eq!(fixture.reasons(id).await[0], "failed: Function: handler is missing");
}

#[tokio::test]
async fn updates_in_progress_finish_after_a_soft_wave_has_halted() {
    let fixture = Fixture::new(10).await;
    let id = fixture.start(json!({ "max_concurrent": 4, "concurrency_mode": "soft" })).await;
    let updates = fixture.open_updates().await;
    fixture.fail(updates[0].0).await;
    fixture.drain().await;
    assert_eq!(
        (fixture.state(id).await, fixture.counts(id).await.as_str()),
        (RolloutState::Halted, "waiting 6, updating 3, failed 1")
    );
    fixture.fail(updates[1].0).await;
    fixture.succeed_all().await;
    assert_eq!(
        (fixture.state(id).await, fixture.counts(id).await.as_str()),
        (RolloutState::Halted, "waiting 6, succeeded 2, failed 2")
    );
}

#[tokio::test]
async fn an_update_that_needs_a_person_is_a_failure() {
    let fixture = Fixture::new(2).await;
    let id = fixture.start(json!({})).await;
    let update = fixture.open_updates().await[0].0;
    let park = "update operations set state = 'needs_attention', attention_code = 'stack_stuck', wake_at = null,
        attention_message = 'the stack is stuck', attention_remedies = '{}', updated_at = $2 where id = $1";
    fixture.execute(park, update.as_uuid()).await;
    fixture.drain().await;
    assert_eq!(fixture.state(id).await, RolloutState::Halted);
    assert_eq!(fixture.reasons(id).await[0], "failed: the stack is stuck");
}

#[tokio::test]
async fn a_critical_finding_in_the_bake_is_a_failure() {
    let fixture = Fixture::new(4).await;
    let id = fixture.create(&plan(&[json!({ "select": { "percent": 25 }, "bake_seconds": 600 }), json!({})])).await;
    fixture.drain().await;
    let environment = fixture.open_updates().await[0].1;
    fixture.succeed_all().await;
    let finding =
        "insert into findings (id, kind, subject, tenant_id, environment_id, first_seen_at, severity, message,
            remedy, last_seen_at)
        select gen_random_uuid(), 'stack_unhealthy', 'x', tenant_id, id, $2, 'critical', 'the function fails', 'person',
            $2 from environments where id = $1";
    fixture.execute(finding, environment.as_uuid()).await;
    fixture.advance(60).await;
    assert_eq!(fixture.state(id).await, RolloutState::Halted);
    assert_eq!(fixture.reasons(id).await[0], "failed: the function fails");
}

#[tokio::test]
async fn the_rest_of_a_wave_is_skipped_at_its_deadline() {
    let fixture = Fixture::new(3).await;
    let id = fixture.start(json!({ "max_concurrent": 1, "window_deadline_seconds": 60 })).await;
    fixture.advance(60).await;
    assert_eq!(fixture.counts(id).await, "updating 1, skipped 2");
    fixture.succeed_all().await;
    assert_eq!(fixture.state(id).await, RolloutState::Succeeded);
}

#[tokio::test]
async fn another_worker_continues_the_rollout_of_a_dead_worker() {
    let fixture = Fixture::new(30).await;
    let id = fixture.create(&plan(&[json!({ "max_concurrent": 30, "max_failures": 29 })])).await;
    let (pool, lease) = (&fixture.freehold.database.worker_pool, TimeDelta::seconds(25));
    let claim = rollouts::claim_due(pool, "dead", fixture.now(), lease).await.expect("a result").expect("a claim");
    // The first worker dies after it has started some of the updates.
    let turn = advance_rollout(pool, &claim, |_, _, _| Decision::Begin { count: 7 }, fixture.now()).await;
    assert!(!turn.expect("a turn").is_released);
    assert_eq!(fixture.started_updates().await, 7);
    fixture.drain().await;
    assert_eq!(fixture.started_updates().await, 7);
    let updates = fixture.open_updates().await;
    fixture.succeed(updates[0].0).await;
    fixture.advance(25).await;
    assert_eq!(fixture.counts(id).await, "updating 29, succeeded 1");
    assert_eq!(fixture.started_updates().await, 30);
    let late = advance_rollout(pool, &claim, |_, _, _| Decision::Begin { count: 7 }, fixture.now()).await;
    assert!(matches!(late, Err(DbError::LeaseLost)));
    fixture.succeed_all().await;
    assert_eq!(fixture.state(id).await, RolloutState::Succeeded);
}

#[tokio::test]
async fn two_workers_start_each_update_once() {
    let fixture = Fixture::new(60).await;
    let id = fixture.create(&plan(&[json!({ "max_concurrent": 40, "max_failures": 99 })])).await;
    let second = fixture.freehold.worker("second");
    let (first, second) = tokio::join!(fixture.worker.drain_rollouts(), second.drain_rollouts());
    first.and(second).expect("decisions");
    assert_eq!((fixture.started_updates().await, fixture.counts(id).await.as_str()), (40, "waiting 20, updating 40"));
}
