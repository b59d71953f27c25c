//! Tests of the alarms that guard an update to a release: scenarios 65 and 67.

use std::sync::Arc;

use freehold_sandbox::Settings;
use freehold_sandbox::cloudwatch::AlarmState;
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::Worker;

use crate::releases::{
    ALARM_RIGHTS, content, create_approved, create_ready_tenant, environment, releases_of, update, with_alarm,
};
use crate::steps::reconcile::account;

const HOME: &str = "eu-central-1";
const ALARM: &str = "freehold-errors";

/// Creates an environment whose stack has an alarm.
async fn create_guarded_tenant() -> (Freehold, Tenant, Arc<Worker>) {
    let freehold = Freehold::with(Settings::default(), &format!("{CONFIG}\n{ALARM_RIGHTS}")).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let first = create_approved(&freehold, &worker, &with_alarm(content(60))).await;
    let operation = update(&freehold, &worker, &tenant, first).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    (freehold, tenant, worker)
}

#[tokio::test]
async fn a_missing_alarm_fails_the_update_and_is_named() {
    let (freehold, tenant, worker) = create_guarded_tenant().await;
    let before = releases_of(&environment(&freehold, &tenant).await);
    assert!(freehold.world.delete_alarm(&account(&tenant), HOME, ALARM));
    let release = create_approved(&freehold, &worker, &with_alarm(content(90))).await;
    let operation = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(operation.state, OperationState::Failed, "{operation:#?}");
    let message = operation.failure.expect("a failure").message;
    assert!(message.contains(":alarm:freehold-errors does not exist"), "{message}");
    let after = environment(&freehold, &tenant).await;
    assert_eq!((after.state, releases_of(&after)), (EnvironmentState::Ready, before));
}

#[tokio::test]
async fn an_alarm_without_data_does_not_stop_an_update() {
    let (freehold, tenant, worker) = create_guarded_tenant().await;
    assert!(freehold.world.set_alarm_state(&account(&tenant), HOME, ALARM, AlarmState::InsufficientData));
    let release = create_approved(&freehold, &worker, &with_alarm(content(90))).await;
    let operation = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    assert_eq!(releases_of(&environment(&freehold, &tenant).await)[0].1, Some(release));
}
