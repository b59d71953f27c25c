//! Tests of the comparison of stacks with their releases on record.

use std::time::Duration;

use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::reconcile::{RepairMode, Report};

use super::administrator::Administrator;
use super::{account, compare, summary};
use crate::releases::{content, create_approved, create_ready_tenant, environment, releases_of, update};

const HOME: &str = "eu-central-1";
const STACK: &str = "freehold-tenant";

fn template_reads(freehold: &Freehold) -> u64 {
    freehold.world.calls().of("cloudformation:GetTemplate").calls
}

/// Asserts that the only finding is a mismatch about the tenant's stack. Returns its message.
#[track_caller]
fn assert_mismatch(report: &Report, tenant: &Tenant) -> String {
    let subject = format!("{}/{STACK}", account(tenant));
    assert_eq!(summary(report), [("release_mismatch", "warning", subject)]);
    report.findings[0].finding.message.clone()
}

#[tokio::test]
async fn a_template_that_was_replaced_by_hand_is_found_and_deployed_again() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold, &["eu-west-1"]).await;
    let on_record = releases_of(&environment(&freehold, &tenant).await)[0].1.expect("a release");
    let other = create_approved(&freehold, &worker, &content(60)).await;
    freehold.clock.advance(Duration::from_hours(1));
    assert!(compare(&freehold, RepairMode::All).await.is_clean());
    assert_eq!(template_reads(&freehold), 0, "nothing has changed");

    let text = content(60).template.expect("a template");
    let admin = Administrator::of(&freehold);
    admin.replace_template(&account(&tenant), HOME, STACK, &text).await;
    freehold.clock.advance(Duration::from_hours(1));
    let message = assert_mismatch(&compare(&freehold, RepairMode::All).await, &tenant);
    assert!(message.contains(&format!("it has the template of the release {other}")), "{message}");
    assert!(message.contains(&format!("freehold releases deploy {on_record} {}", tenant.id)), "{message}");
    assert_eq!(template_reads(&freehold), 1, "one stack has changed");

    // The update to the release on record, of which the message speaks.
    let operation = update(&freehold, &worker, &tenant, on_record).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    freehold.clock.advance(Duration::from_hours(1));
    let report = compare(&freehold, RepairMode::All).await;
    assert!(report.is_clean(), "{:#?}", report.findings);
    assert_eq!((report.resolved, template_reads(&freehold)), (1, 1));

    admin.replace_template(&account(&tenant), HOME, STACK, &format!("{text}# by hand\n")).await;
    freehold.clock.advance(Duration::from_hours(1));
    let message = assert_mismatch(&compare(&freehold, RepairMode::All).await, &tenant);
    assert!(message.contains("it has a template that is not of any release"), "{message}");
}

#[tokio::test]
async fn an_update_that_ends_after_its_deadline_is_found() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let release = create_approved(&freehold, &worker, &content(60)).await;
    freehold.world.inject(Rule::on("cloudformation", "AWS::Logs::LogGroup", Fault::Stuck).nth(1));
    let operation = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(operation.state, OperationState::Failed, "{operation:#?}");
    freehold.world.complete_stuck_work();
    freehold.clock.advance(Duration::from_hours(1));
    let message = assert_mismatch(&compare(&freehold, RepairMode::All).await, &tenant);
    assert!(message.contains(&format!("it has the template of the release {release}")), "{message}");
    let operation = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    freehold.clock.advance(Duration::from_hours(1));
    assert!(compare(&freehold, RepairMode::All).await.is_clean());
}

#[tokio::test]
async fn an_update_that_was_rolled_back_is_no_finding() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let release = create_approved(&freehold, &worker, &content(60)).await;
    let fault = Fault::failed("Resource handler returned message: Rate exceeded");
    freehold.world.inject(Rule::on("cloudformation", "AWS::Logs::LogGroup", fault).times(1));
    let operation = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(operation.state, OperationState::Failed, "{operation:#?}");
    freehold.clock.advance(Duration::from_hours(1));
    let report = compare(&freehold, RepairMode::All).await;
    assert!(report.is_clean(), "{:#?}", report.findings);
}
