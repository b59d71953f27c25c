//! Tests of rollouts in the simulated AWS, with updates that fail, are interrupted or lose their environment: scenarios
//! 66 and 68 to 70.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::cloudwatch::AlarmState;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tenancy::RolloutId;
use freehold_tenancy::db::lifecycle::{self, NewSuspension, RolloutRequest};
use freehold_tenancy::db::{environment_pins, rollout_waves};
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::environment_pin::EnvironmentPin;
use freehold_tenancy::operation::{Initiator, OperationState};
use freehold_tenancy::rollout::RolloutState;
use freehold_tenancy::tenant::SuspensionReason;
use freehold_tests::fixture::CONFIG;
use serde_json::json;

use super::fixture::{Fixture, requester};
use crate::releases::{ALARM_RIGHTS, content, create_approved, with_alarm};

#[tokio::test]
async fn an_alarm_during_an_update_fails_the_environment() {
    let config = format!("{CONFIG}\n{ALARM_RIGHTS}");
    let mut fixture = Fixture::in_aws(Settings::default(), &config, 2, &with_alarm(content(60))).await;
    let worker = fixture.worker.clone();
    let first = fixture.create_waves(&[json!({ "max_concurrent": 2, "max_failures": 1 })]).await;
    fixture.run(&worker).await;
    assert_eq!(fixture.state(first).await, RolloutState::Succeeded, "{:?}", fixture.reasons(first).await);
    let before = fixture.releases_on_record().await;

    fixture.new = create_approved(&fixture.freehold, &worker, &with_alarm(content(90))).await;
    let id = fixture.create_waves(&[json!({ "bake_seconds": 600 })]).await;
    fixture.run_until(&worker, || fixture.has_stack("UPDATE_IN_PROGRESS")).await;
    let stacks = fixture.stacks();
    let updating = stacks.iter().find(|stack| stack.status == "UPDATE_IN_PROGRESS").expect("an update");
    let set =
        |state| fixture.freehold.world.set_alarm_state(&updating.account, "eu-central-1", "freehold-errors", state);
    assert!(set(AlarmState::Alarm));
    fixture.run(&worker).await;
    assert!(fixture.has_stack("UPDATE_ROLLBACK_COMPLETE"));
    assert_eq!(
        (fixture.state(id).await, fixture.counts(id).await.as_str()),
        (RolloutState::Halted, "waiting 1, failed 1")
    );
    let reasons = fixture.reasons(id).await;
    assert!(reasons[0].contains("is in ALARM state"), "{reasons:?}");
    assert_eq!(fixture.releases_on_record().await, before);
}

/// Returns a fleet of two environments whose stacks have an alarm, and a rollout whose first wave bakes.
async fn baking() -> (Fixture, RolloutId) {
    let config = format!("{CONFIG}\n{ALARM_RIGHTS}");
    let fixture = Fixture::in_aws(Settings::default(), &config, 2, &with_alarm(content(60))).await;
    let id = fixture.create_waves(&[json!({ "select": { "percent": 50 }, "bake_seconds": 600 }), json!({})]).await;
    let worker = fixture.worker.clone();
    fixture.run_until_state(&worker, id, RolloutState::Baking).await;
    (fixture, id)
}

#[tokio::test]
async fn an_alarm_in_the_bake_halts_the_rollout() {
    let (fixture, id) = baking().await;
    let stacks = fixture.stacks();
    let updated = stacks.iter().find(|stack| stack.updates == 1).expect("an updated stack");
    let set =
        |state| fixture.freehold.world.set_alarm_state(&updated.account, "eu-central-1", "freehold-errors", state);
    assert!(set(AlarmState::Alarm));
    let since = fixture.now();
    fixture.run(&fixture.worker).await;
    let rollout = fixture.rollout(id).await;
    assert_eq!((rollout.state, fixture.counts(id).await.as_str()), (RolloutState::Halted, "waiting 1, failed 1"));
    let reason = "1 environment has failed after its update in the wave w0, which tolerates 0";
    assert_eq!(rollout.reason.as_deref(), Some(reason));
    assert!(rollout.since - since <= TimeDelta::seconds(90), "{}", rollout.since - since);
    let reasons = fixture.reasons(id).await;
    assert!(reasons[0].starts_with("failed: the alarm arn:aws:cloudwatch:eu-central-1:"), "{reasons:?}");
    assert!(reasons[0].contains(":alarm:freehold-errors fires: "), "{reasons:?}");
    // The environment is updated again once the alarm is over.
    assert!(set(AlarmState::Ok));
    fixture.change(id, RolloutRequest::RetryFailed).await;
    fixture.run(&fixture.worker).await;
    assert_eq!((fixture.state(id).await, fixture.counts(id).await.as_str()), (RolloutState::Succeeded, "succeeded 2"));
}

#[tokio::test]
async fn an_alarm_of_a_suspended_tenant_does_not_halt_the_rollout() {
    let (fixture, id) = baking().await;
    let tenant = fixture.tenant_of(id, 0).await;
    let suspension = NewSuspension { reason: SuspensionReason::NonPayment, note: None };
    let (pool, by) = (&fixture.freehold.database.api_pool, requester("operator"));
    lifecycle::suspend(pool, tenant.id, &suspension, None, &by, fixture.now()).await.expect("a suspension");
    let account = tenant.environments[0].aws_account_id.clone().expect("an account").to_string();
    assert!(fixture.freehold.world.set_alarm_state(&account, "eu-central-1", "freehold-errors", AlarmState::Alarm));
    fixture.run(&fixture.worker).await;
    assert_eq!((fixture.state(id).await, fixture.counts(id).await.as_str()), (RolloutState::Succeeded, "succeeded 2"));
}

#[tokio::test]
async fn a_bake_does_not_end_before_its_alarms_could_be_read() {
    let (fixture, id) = baking().await;
    let fault = Fault::error("AccessDenied", "the role lacks cloudwatch:DescribeAlarms");
    fixture.freehold.world.inject(Rule::on("cloudwatch", "DescribeAlarms", fault));
    let end = fixture.now() + TimeDelta::minutes(30);
    fixture.run_until(&fixture.worker, || fixture.now() > end).await;
    let rollout = fixture.rollout(id).await;
    let reason = "the alarms of 1 environment could not be read at the end of the bake and are read again; promote the \
                  rollout to go on without them";
    assert_eq!((rollout.state, rollout.reason.as_deref()), (RolloutState::Baking, Some(reason)));
    let reasons = fixture.reasons(id).await;
    assert!(reasons[0].starts_with("baking: its alarms cannot be read: "), "{reasons:?}");
    assert_eq!(reasons[1], "waiting: ");
    fixture.change(id, RolloutRequest::Promote { reason: "the metrics are fine" }).await;
    fixture.run(&fixture.worker).await;
    assert_eq!((fixture.state(id).await, fixture.counts(id).await.as_str()), (RolloutState::Succeeded, "succeeded 2"));
    let waves = rollout_waves::list(fixture.pool(), id).await.expect("the waves");
    assert_eq!(waves[0].promotion_reason.as_deref(), Some("the metrics are fine"));
}

#[tokio::test]
async fn a_bake_ends_once_its_alarms_can_be_read_again() {
    let (fixture, id) = baking().await;
    fixture.freehold.world.inject(Rule::on(
        "cloudwatch",
        "DescribeAlarms",
        Fault::error("InternalFailure", "CloudWatch is down"),
    ));
    let end = fixture.now() + TimeDelta::minutes(30);
    fixture.run_until(&fixture.worker, || fixture.now() > end).await;
    assert_eq!(fixture.state(id).await, RolloutState::Baking);
    fixture.freehold.world.clear_faults();
    fixture.run(&fixture.worker).await;
    assert_eq!((fixture.state(id).await, fixture.counts(id).await.as_str()), (RolloutState::Succeeded, "succeeded 2"));
}

#[tokio::test]
async fn a_wave_halts_at_one_failure_more_than_it_tolerates() {
    let fixture = Fixture::in_aws(Settings::default(), CONFIG, 5, &content(60)).await;
    let fault = Fault::failed("Resource handler returned message: the log group is broken");
    fixture.freehold.world.inject(Rule::on("cloudformation", "AWS::Logs::LogGroup", fault));
    let id = fixture.create_waves(&[json!({ "max_concurrent": 4, "max_failures": 2 })]).await;
    fixture.run(&fixture.worker).await;
    let rollout = fixture.rollout(id).await;
    assert_eq!(rollout.state, RolloutState::Halted);
    assert_eq!(rollout.reason.as_deref(), Some("3 updates have failed in the wave w0, which tolerates 2"));
    assert_eq!((fixture.counts(id).await.as_str(), fixture.updates_of(id).await.len()), ("waiting 2, failed 3", 3));
    // The failed environments serve the release before.
    let tenants = fixture.freehold.tenants().await;
    assert!(tenants.iter().all(|tenant| tenant.environments[0].state == EnvironmentState::Ready));
    assert_eq!(fixture.releases_on_record().await, [Some(fixture.old); 5]);
    fixture.freehold.world.clear_faults();
    fixture.change(id, RolloutRequest::RetryFailed).await;
    fixture.run(&fixture.worker).await;
    assert_eq!((fixture.state(id).await, fixture.counts(id).await.as_str()), (RolloutState::Succeeded, "succeeded 5"));
}

#[tokio::test]
async fn updates_in_progress_finish_in_a_pause_without_their_worker() {
    let fixture = Fixture::in_aws(Settings::default(), CONFIG, 4, &content(60)).await;
    let id = fixture.create_waves(&[json!({ "max_concurrent": 2, "max_failures": 1 })]).await;
    // The first worker never works again.
    fixture.run_until(&fixture.worker, || fixture.has_stack("UPDATE_IN_PROGRESS")).await;
    let second = fixture.freehold.worker("second");
    let pause = fixture.try_change(id, RolloutRequest::Pause { reason: Some("incident") }).await;
    assert_eq!(pause, lifecycle::RolloutChangeResult::Changed);
    fixture.run(&second).await;
    assert_eq!(
        (fixture.state(id).await, fixture.counts(id).await.as_str()),
        (RolloutState::Paused, "waiting 2, succeeded 2")
    );
    assert_eq!(fixture.try_change(id, RolloutRequest::Resume).await, lifecycle::RolloutChangeResult::Changed);
    fixture.run(&second).await;
    assert_eq!((fixture.state(id).await, fixture.counts(id).await.as_str()), (RolloutState::Succeeded, "succeeded 4"));
    assert!(fixture.stacks().iter().all(|stack| stack.updates == 1), "{:#?}", fixture.stacks());
}

#[tokio::test]
async fn environments_that_leave_a_rollout_are_skipped_with_the_reason() {
    let fixture = Fixture::in_aws(Settings::default(), CONFIG, 5, &content(60)).await;
    let id = fixture.create_waves(&[json!({})]).await;
    fixture.run_until(&fixture.worker, || fixture.has_stack("UPDATE_IN_PROGRESS")).await;
    let (pool, by) = (&fixture.freehold.database.api_pool, requester("operator"));
    let suspension = NewSuspension { reason: SuspensionReason::NonPayment, note: None };
    // The first environment is suspended during its update, and the others before.
    for number in [0, 1] {
        let tenant = fixture.tenant_of(id, number).await;
        let result = lifecycle::suspend(pool, tenant.id, &suspension, None, &by, fixture.now()).await;
        assert!(matches!(result.expect("a result").result, lifecycle::LifecycleResult::Started(_)));
    }
    let offboarded = fixture.tenant_of(id, 2).await;
    let result = lifecycle::offboard(pool, offboarded.id, None, false, &by, Initiator::Operator, fixture.now()).await;
    assert!(matches!(result.expect("a result"), lifecycle::LifecycleResult::Started(_)));
    let pinned = fixture.tenant_of(id, 3).await;
    let pin =
        EnvironmentPin { reason: "audit".to_owned(), until: None, pinned_by: by.clone(), pinned_at: fixture.now() };
    environment_pins::pin(pool, pinned.id, pinned.environments[0].id, &pin).await.expect("a pin");
    fixture.run_until(&fixture.worker, || false).await;
    assert_eq!(fixture.state(id).await, RolloutState::Succeeded);
    let reasons = fixture.reasons(id).await;
    assert_eq!(reasons[0], "skipped: its update was canceled");
    assert_eq!(reasons[1], "skipped: is suspended");
    assert_eq!(reasons[2..], ["skipped: is offboarding", "skipped: pinned to its release: audit", "succeeded: "]);
    let updates = fixture.updates_of(id).await;
    let states: Vec<_> = updates.iter().map(|(_, update)| update.state).collect();
    assert_eq!(states, [OperationState::Canceled, OperationState::Succeeded]);
}
