//! Tests of the requests of persons: pause, approve, abort, retry, roll back.

use freehold_tenancy::db::lifecycle::{CreateRolloutResult, RolloutChangeResult, RolloutRequest, change_rollout};
use freehold_tenancy::db::{releases, rollout_waves};
use freehold_tenancy::rollout::{RolloutPlan, RolloutState};
use serde_json::json;

use super::fixture::{Fixture, PIN, plan, requester};

const ABORT: RolloutRequest<'_> = RolloutRequest::Abort { reason: None };
const PAUSE: RolloutRequest<'_> = RolloutRequest::Pause { reason: Some("incident") };
const ROLL_BACK: RolloutRequest<'_> = RolloutRequest::RollBack { reason: Some("errors in production") };

fn approved_plan() -> RolloutPlan {
    plan(&[json!({ "approval": true, "max_failures": 9 })])
}

#[tokio::test]
async fn a_paused_rollout_starts_nothing_until_it_is_resumed() {
    let fixture = Fixture::new(4).await;
    let id = fixture.start(json!({ "max_concurrent": 2, "max_failures": 9 })).await;
    fixture.change(id, PAUSE).await;
    fixture.succeed_all().await;
    assert_eq!(
        (fixture.state(id).await, fixture.counts(id).await.as_str()),
        (RolloutState::Paused, "waiting 2, succeeded 2")
    );
    assert_eq!(fixture.rollout(id).await.reason.as_deref(), Some("incident"));
    let refused = fixture.try_change(id, PAUSE).await;
    assert_eq!(refused, RolloutChangeResult::InvalidTransition(RolloutState::Paused));
    fixture.change(id, RolloutRequest::Resume).await;
    assert_eq!(fixture.counts(id).await, "updating 2, succeeded 2");
}

#[tokio::test]
async fn a_bake_ends_early_when_it_is_promoted() {
    let fixture = Fixture::new(2).await;
    let id = fixture.create(&plan(&[json!({ "select": { "percent": 50 }, "bake_seconds": 600 }), json!({})])).await;
    fixture.drain().await;
    let promote = RolloutRequest::Promote { reason: "the fix is urgent" };
    let early = fixture.try_change(id, promote).await;
    assert_eq!(early, RolloutChangeResult::InvalidTransition(RolloutState::Running));
    fixture.succeed_all().await;
    fixture.change(id, promote).await;
    assert_eq!(fixture.counts(id).await, "updating 1, succeeded 1");
}

#[tokio::test]
async fn a_wave_starts_after_another_person_has_approved_its_hash() {
    let fixture = Fixture::new(2).await;
    let id = fixture.create(&approved_plan()).await;
    fixture.drain().await;
    assert_eq!((fixture.state(id).await, fixture.started_updates().await), (RolloutState::AwaitingApproval, 0));
    let waves = rollout_waves::list(fixture.pool(), id).await.expect("the waves");
    let sha256 = waves[0].approval_sha256.as_deref().expect("a hash");
    let approve = RolloutRequest::Approve { sha256 };
    let wrong = "0".repeat(64);
    let mismatch = fixture.try_change(id, RolloutRequest::Approve { sha256: &wrong }).await;
    assert_eq!(mismatch, RolloutChangeResult::HashMismatch);
    let pool = &fixture.freehold.database.api_pool;
    let own = change_rollout(pool, id, &approve, &requester("author"), fixture.now()).await.expect("a result");
    assert_eq!(own, RolloutChangeResult::SamePerson);
    // An environment that leaves the wave does not void the approval.
    let environment = fixture.members(id).await[0].environment_id;
    fixture.execute(PIN, environment.as_uuid()).await;
    fixture.change(id, approve).await;
    assert_eq!(fixture.counts(id).await, "updating 1, skipped 1");
    let waves = rollout_waves::list(fixture.pool(), id).await.expect("the waves");
    assert_eq!(waves[0].approval.as_ref().expect("an approval").by, requester("operator"));
}

#[tokio::test]
async fn a_rejected_wave_halts_the_rollout_and_can_be_proposed_again() {
    let fixture = Fixture::new(1).await;
    let id = fixture.create(&approved_plan()).await;
    fixture.drain().await;
    fixture.change(id, RolloutRequest::Reject { reason: None }).await;
    assert_eq!(fixture.state(id).await, RolloutState::Halted);
    fixture.change(id, RolloutRequest::RetryFailed).await;
    assert_eq!(fixture.state(id).await, RolloutState::AwaitingApproval);
}

#[tokio::test]
async fn an_aborted_rollout_finishes_with_its_last_update() {
    let fixture = Fixture::new(3).await;
    let id = fixture.start(json!({ "max_concurrent": 1 })).await;
    fixture.change(id, ABORT).await;
    assert_eq!(
        (fixture.state(id).await, fixture.counts(id).await.as_str()),
        (RolloutState::Aborted, "updating 1, skipped 2")
    );
    assert_eq!(fixture.try_create(&plan(&[json!({})])).await, CreateRolloutResult::InProgress(id));
    fixture.succeed_all().await;
    assert!(fixture.rollout(id).await.finished_at.is_some());
    let second = fixture.create(&plan(&[json!({})])).await;
    assert_eq!(fixture.members(second).await.len(), 2);
    fixture.change(second, ABORT).await;
    assert!(fixture.rollout(second).await.finished_at.is_some());
}

#[tokio::test]
async fn failed_environments_are_retried_in_their_wave() {
    let fixture = Fixture::new(4).await;
    let waves =
        [json!({ "select": { "percent": 50 }, "max_failures": 1, "bake_seconds": 60 }), json!({ "max_failures": 1 })];
    let id = fixture.create(&plan(&waves)).await;
    fixture.drain().await;
    fixture.fail(fixture.open_updates().await[0].0).await;
    fixture.succeed_all().await;
    fixture.advance(60).await;
    assert_eq!(fixture.counts(id).await, "updating 2, succeeded 1, failed 1");
    for (update, _) in fixture.open_updates().await {
        fixture.fail(update).await;
    }
    fixture.drain().await;
    assert_eq!(fixture.state(id).await, RolloutState::Halted);
    fixture.change(id, RolloutRequest::RetryFailed).await;
    // The first wave comes first again, and bakes again.
    assert_eq!(
        (fixture.rollout(id).await.wave, fixture.counts(id).await.as_str()),
        (0, "waiting 2, updating 1, succeeded 1")
    );
    fixture.succeed_all().await;
    assert_eq!(fixture.state(id).await, RolloutState::Baking);
    fixture.advance(60).await;
    fixture.succeed_all().await;
    assert_eq!((fixture.state(id).await, fixture.counts(id).await.as_str()), (RolloutState::Succeeded, "succeeded 4"));
    assert_eq!(fixture.try_change(id, RolloutRequest::RetryFailed).await, RolloutChangeResult::NoFailures);
}

#[tokio::test]
async fn a_rollback_restores_each_release_in_reverse_order() {
    let fixture = Fixture::new(6).await;
    let first = json!({ "select": { "percent": 33 }, "max_concurrent": 1, "max_failures": 9 });
    let id = fixture.create(&plan(&[first, json!({ "max_concurrent": 1, "max_failures": 9 })])).await;
    fixture.drain().await;
    for _ in 0..3 {
        fixture.succeed_all().await;
    }
    fixture.fail(fixture.open_updates().await[0].0).await;
    fixture.change(id, ROLL_BACK).await;
    // The environment whose update has failed has its release before.
    assert_eq!(fixture.counts(id).await, "waiting 2, updating 1, skipped 2, rolled_back 1");
    let members = fixture.members(id).await;
    let mut order = Vec::new();
    while let Some((_, environment)) = fixture.open_updates().await.first() {
        order.push(members.iter().position(|member| member.environment_id == *environment));
        fixture.succeed_all().await;
    }
    assert_eq!(order, [Some(2), Some(1), Some(0)]);
    assert_eq!(fixture.state(id).await, RolloutState::RolledBack);
    assert_eq!((fixture.counts(id).await.as_str(), fixture.releases().await), ("skipped 2, rolled_back 4", (6, 0)));
}

#[tokio::test]
async fn an_update_in_progress_is_rolled_back_after_its_end() {
    let fixture = Fixture::new(1).await;
    let id = fixture.start(json!({})).await;
    fixture.change(id, ROLL_BACK).await;
    assert_eq!(fixture.counts(id).await, "updating 1");
    fixture.succeed_all().await;
    assert_eq!((fixture.counts(id).await.as_str(), fixture.releases().await), ("updating 1", (0, 1)));
    fixture.succeed_all().await;
    assert_eq!((fixture.state(id).await, fixture.releases().await), (RolloutState::RolledBack, (1, 0)));
}

#[tokio::test]
async fn only_the_latest_rollout_can_be_rolled_back_after_its_end() {
    let fixture = Fixture::new(2).await;
    let first = fixture.start(json!({ "max_failures": 9 })).await;
    fixture.fail(fixture.open_updates().await[0].0).await;
    fixture.succeed_all().await;
    assert_eq!(fixture.state(first).await, RolloutState::Succeeded);
    fixture.freehold.clock.advance(std::time::Duration::from_secs(1));
    let second = fixture.start(json!({})).await;
    assert_eq!(fixture.try_change(first, ROLL_BACK).await, RolloutChangeResult::OtherRollout(second));
    fixture.succeed_all().await;
    fixture.change(second, ROLL_BACK).await;
    fixture.succeed_all().await;
    assert_eq!((fixture.state(second).await, fixture.releases().await), (RolloutState::RolledBack, (1, 1)));
}

#[tokio::test]
async fn the_default_moves_with_the_catch_up_wave_and_back_with_a_rollback() {
    let fixture = Fixture::new(1).await;
    fixture.freehold.clock.advance(std::time::Duration::from_secs(1));
    let id = fixture.create(&RolloutPlan { makes_default: true, ..plan(&[json!({ "max_failures": 9 })]) }).await;
    fixture.drain().await;
    // One environment becomes ready meanwhile, and the onboarding of another one is in progress.
    let ready = fixture.freehold.sign_up("Ready", "eu-central-1", "standard").await;
    let finish = "with ended as (
            update operations set state = 'succeeded', finished_at = $2, wake_at = null where environment_id = $1
        )
        update environments set state = 'ready', ready_at = $2 where id = $1";
    fixture.execute(finish, ready.environments[0].id.as_uuid()).await;
    let onboarding = fixture.freehold.sign_up("Onboarding", "eu-central-1", "standard").await;
    assert_eq!(releases::default(fixture.pool()).await.expect("a result"), None);
    fixture.succeed_all().await;
    assert_eq!(releases::default(fixture.pool()).await.expect("a result"), Some(fixture.new));
    assert_eq!(
        (fixture.state(id).await, fixture.counts(id).await.as_str()),
        (RolloutState::Running, "waiting 1, updating 1, succeeded 1")
    );
    // The rollout continues when the onboarding has ended.
    fixture.execute(finish, onboarding.environments[0].id.as_uuid()).await;
    fixture.drain().await;
    assert_eq!(fixture.counts(id).await, "updating 2, succeeded 1");
    fixture.succeed_all().await;
    assert_eq!(fixture.state(id).await, RolloutState::Succeeded);
    fixture.change(id, ROLL_BACK).await;
    assert_eq!(releases::default(fixture.pool()).await.expect("a result"), None);
}
