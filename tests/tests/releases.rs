//! Tests of releases: they are checked, approved, previewed and deployed, and an environment keeps its release.

mod update;
mod walks;

use chrono::TimeDelta;
use freehold_tenancy::ReleaseId;
use freehold_tenancy::db::lifecycle::{self, UpdateRequest, UpdateResult};
use freehold_tenancy::db::releases::{self, ApproveResult, NewRelease};
use freehold_tenancy::environment::{Environment, EnvironmentState};
use freehold_tenancy::operation::{Operation, Requester};
use freehold_tenancy::release::{Release, ReleaseContent, ReleaseSource, ReleaseState};
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::Freehold;
use freehold_worker::Worker;

/// Built-in template of the tenant stack.
pub(crate) const TEMPLATE: &str = include_str!("../../stacks/tenant.yaml");

/// Built-in template of regions without Function URLs.
pub(crate) const TEMPLATE_WITHOUT_URL: &str = include_str!("../../stacks/tenant-without-url.yaml");

pub(crate) const AN_HOUR: TimeDelta = TimeDelta::hours(1);

pub(crate) fn person(subject: &str) -> Requester {
    Requester { issuer: "https://id.example.com".to_owned(), subject: subject.to_owned() }
}

/// Returns the built-in templates, in which the log group keeps its events for `days`.
pub(crate) fn content(days: u32) -> ReleaseContent {
    let change = |template: &str| {
        assert!(template.contains("RetentionInDays: 30"), "{template}");
        template.replace("RetentionInDays: 30", &format!("RetentionInDays: {days}"))
    };
    ReleaseContent {
        template: Some(change(TEMPLATE)),
        region_templates: [("eu-central-2".parse().expect("a region"), change(TEMPLATE_WITHOUT_URL))].into(),
        ..ReleaseContent::default()
    }
}

/// Rights of the deploying role for the alarm of [`with_alarm`].
pub(crate) const ALARM_RIGHTS: &str = r#"
    [[access_role.statements]]
    Effect = "Allow"
    Action = ["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"]
    Resource = "arn:${AWS::Partition}:cloudwatch:*:${AWS::AccountId}:alarm:freehold-*"
"#;

/// Adds an alarm of the function's errors, and its output.
pub(crate) fn with_alarm(mut content: ReleaseContent) -> ReleaseContent {
    let alarm = "\nResources:\n  Errors:\n    Type: AWS::CloudWatch::Alarm\n    Properties:\n      \
                 AlarmName: freehold-errors\n      Namespace: AWS/Lambda\n      MetricName: Errors\n      \
                 Statistic: Sum\n      Period: 60\n      EvaluationPeriods: 1\n      Threshold: 1\n      \
                 ComparisonOperator: GreaterThanOrEqualToThreshold\n      TreatMissingData: notBreaching\n";
    let output = "\nOutputs:\n  ErrorsAlarmArn:\n    Value: !GetAtt Errors.Arn\n";
    content.template =
        content.template.map(|text| text.replace("\nResources:\n", alarm).replace("\nOutputs:\n", output));
    content
}

pub(crate) async fn register(freehold: &Freehold, content: &ReleaseContent) -> ReleaseId {
    let by = person("ann");
    let new = NewRelease { source: ReleaseSource::Api, content, notes: None, registered_by: &by };
    releases::register(freehold.pool(), &new, freehold.clock.now()).await.expect("a release")
}

pub(crate) async fn find(freehold: &Freehold, id: ReleaseId) -> Release {
    releases::find(freehold.pool(), id).await.expect("the releases").expect("the release")
}

/// Registers a release, has a worker check it, and approves it.
pub(crate) async fn create_approved(freehold: &Freehold, worker: &Worker, content: &ReleaseContent) -> ReleaseId {
    let id = register(freehold, content).await;
    worker.check_releases().await.expect("a check");
    let release = find(freehold, id).await;
    assert_eq!((release.state, &release.problems), (ReleaseState::Ready, &vec![]));
    let approved = releases::approve(freehold.pool(), id, &release.sha256, &person("bob"), freehold.clock.now()).await;
    assert_eq!(approved.expect("an answer"), ApproveResult::Approved);
    id
}

/// Requests an update of the tenant's first environment.
pub(crate) async fn request(freehold: &Freehold, tenant: &Tenant, release: ReleaseId) -> UpdateResult {
    let by = person("ann");
    let request = UpdateRequest {
        release,
        rollout: None,
        parameters: None,
        allows_unapproved: false,
        ignores_window: false,
        reason: None,
        by: &by,
    };
    let name = &tenant.environments[0].name;
    lifecycle::open_update(freehold.pool(), tenant.id, name, &request, freehold.clock.now()).await.expect("an answer")
}

/// Updates the tenant's first environment and returns the operation once nothing is left to do.
pub(crate) async fn update(
    freehold: &Freehold,
    worker: &std::sync::Arc<Worker>,
    tenant: &Tenant,
    release: ReleaseId,
) -> Operation {
    let result = request(freehold, tenant, release).await;
    assert!(matches!(result, UpdateResult::Started(_)), "{result:?}");
    freehold.run_until_idle(worker, TimeDelta::hours(6)).await;
    freehold.operation_of(&freehold.reload_tenant(tenant).await).await
}

pub(crate) async fn environment(freehold: &Freehold, tenant: &Tenant) -> Environment {
    freehold.reload_tenant(tenant).await.environments.remove(0)
}

/// Creates a tenant that is ready in eu-central-1.
pub(crate) async fn create_ready_tenant(freehold: &Freehold, replicas: &[&str]) -> (Tenant, std::sync::Arc<Worker>) {
    let tenant = freehold.sign_up_with_replicas("Example", "eu-central-1", replicas).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, AN_HOUR).await;
    assert_eq!(environment(freehold, &tenant).await.state, EnvironmentState::Ready);
    (freehold.reload_tenant(&tenant).await, worker)
}

/// Returns the release of each region.
pub(crate) fn releases_of(environment: &Environment) -> Vec<(String, Option<ReleaseId>)> {
    environment.regions("FunctionUrl").iter().map(|one| (one.region.to_string(), one.release)).collect()
}
