//! Updates of single environments to a release.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::cloudwatch::AlarmState;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tenancy::db::lifecycle::UpdateResult;
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::release::{ReleaseContent, ReleaseSource, ReleaseState};
use freehold_tests::fixture::{CONFIG, Freehold};

use super::{
    ALARM_RIGHTS, content, create_approved, create_ready_tenant, environment, find, person, register, releases_of,
    request, update, with_alarm,
};

#[tokio::test]
async fn an_environment_gets_the_release_in_each_region() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &["eu-west-1"]).await;
    let before = releases_of(&environment(&freehold, &tenant).await);
    let first = before[0].1.expect("the release of the configuration");
    assert_eq!(find(&freehold, first).await.source, ReleaseSource::Configuration);
    assert_eq!(before[1].1, Some(first));

    let release = create_approved(&freehold, &worker, &content(60)).await;
    let operation = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    let after = environment(&freehold, &tenant).await;
    assert_eq!(after.state, EnvironmentState::Ready);
    let expected = ["eu-central-1", "eu-west-1"].map(|region| (region.to_owned(), Some(release)));
    assert_eq!(releases_of(&after), expected);
    assert_eq!(request(&freehold, &tenant, release).await, UpdateResult::Current);
}

#[tokio::test]
async fn a_failed_update_leaves_the_release_before_serving() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let before = environment(&freehold, &tenant).await;
    let mut broken = content(60);
    // The role of freehold-access has no rights for queues.
    let queue = "\nResources:\n  Queue:\n    Type: AWS::SQS::Queue\n";
    broken.template = broken.template.map(|text| text.replace("\nResources:\n", queue));
    let release = register(&freehold, &broken).await;
    worker.check_releases().await.expect("a check");
    let refused = find(&freehold, release).await;
    assert_eq!(refused.state, ReleaseState::Refused, "a missing right is found before");
    assert!(refused.problems[0].contains("AWS::SQS::Queue"), "{:?}", refused.problems);
    assert_eq!(request(&freehold, &tenant, release).await, UpdateResult::ReleaseNotReady(ReleaseState::Refused));

    let release = create_approved(&freehold, &worker, &content(60)).await;
    let fault = Fault::failed("Resource handler returned message: Rate exceeded");
    freehold.world.inject(Rule::on("cloudformation", "AWS::Logs::LogGroup", fault).times(1));
    let operation = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(operation.state, OperationState::Failed, "{operation:#?}");
    let failure = operation.failure.expect("a failure");
    assert!(failure.message.contains("Logs: Resource handler returned"), "{}", failure.message);
    let after = environment(&freehold, &tenant).await;
    assert_eq!(after.state, EnvironmentState::Ready);
    assert_eq!(releases_of(&after), releases_of(&before));

    let retried = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(retried.state, OperationState::Succeeded, "{retried:#?}");
}

#[tokio::test]
async fn a_release_needs_another_person_than_its_registrant() {
    use freehold_tenancy::db::releases::{ApproveResult, approve};
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let release = register(&freehold, &content(60)).await;
    let checking = UpdateResult::ReleaseNotReady(ReleaseState::Checking);
    assert_eq!(request(&freehold, &tenant, release).await, checking);
    worker.check_releases().await.expect("a check");
    assert_eq!(request(&freehold, &tenant, release).await, UpdateResult::ReleaseNotApproved);
    let hash = find(&freehold, release).await.sha256;
    let now = freehold.clock.now();
    let by = |subject: &str| person(subject);
    let same = approve(freehold.pool(), release, &hash, &by("ann"), now).await.expect("an answer");
    assert_eq!(same, ApproveResult::SamePerson);
    let other = approve(freehold.pool(), release, &"0".repeat(64), &by("bob"), now).await.expect("an answer");
    assert_eq!(other, ApproveResult::HashMismatch);
    let approved = approve(freehold.pool(), release, &hash, &by("bob"), now).await.expect("an answer");
    assert_eq!(approved, ApproveResult::Approved);
    assert!(matches!(request(&freehold, &tenant, release).await, UpdateResult::Started(_)));
    assert!(matches!(request(&freehold, &tenant, release).await, UpdateResult::AlreadyOpen(_)));
}

#[tokio::test]
async fn a_release_is_refused_with_all_its_problems() {
    let freehold = Freehold::instant().await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, TimeDelta::minutes(5)).await;
    let mut wrong = content(60);
    wrong.region_templates.clear();
    wrong.parameters = [("TenantId".to_owned(), "x".to_owned()), ("Unknown".to_owned(), "y".to_owned())].into();
    let id = register(&freehold, &wrong).await;
    let alias =
        "Resources: {Logs: &logs {Type: 'AWS::Logs::LogGroup'}, Copy: *logs}\nOutputs: {FunctionUrl: {Value: x}}";
    let aliased = ReleaseContent { template: Some(alias.to_owned()), ..ReleaseContent::default() };
    let aliased = register(&freehold, &aliased).await;
    worker.check_releases().await.expect("a check");
    let problems = find(&freehold, id).await.problems.join("\n");
    for expected in ["parameters.TenantId", "parameters.Unknown", "eu-central-2"] {
        assert!(problems.contains(expected), "{problems}");
    }
    let problems = find(&freehold, aliased).await.problems.join("\n");
    assert!(problems.contains("must have no YAML aliases"), "{problems}");
}

#[tokio::test]
async fn an_alarm_of_the_stack_rolls_an_update_back() {
    let freehold = Freehold::with(Settings::default(), &format!("{CONFIG}\n{ALARM_RIGHTS}")).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    // The stack has no alarm yet that could guard the first update.
    let first = create_approved(&freehold, &worker, &with_alarm(content(60))).await;
    let operation = update(&freehold, &worker, &tenant, first).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");

    let second = create_approved(&freehold, &worker, &with_alarm(content(90))).await;
    let account = environment(&freehold, &tenant).await.aws_account_id.expect("an account");
    let set =
        |state| assert!(freehold.world.set_alarm_state(&account.to_string(), "eu-central-1", "freehold-errors", state));
    set(AlarmState::Alarm);
    let operation = update(&freehold, &worker, &tenant, second).await;
    assert_eq!(operation.state, OperationState::Failed, "{operation:#?}");
    assert_eq!(releases_of(&environment(&freehold, &tenant).await)[0].1, Some(first));

    set(AlarmState::Ok);
    let operation = update(&freehold, &worker, &tenant, second).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    assert_eq!(releases_of(&environment(&freehold, &tenant).await)[0].1, Some(second));
}
