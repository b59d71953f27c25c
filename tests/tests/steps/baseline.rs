//! Tests of the permissions in `access_role.statements`: a template that needs them, and the upgrade of the baseline of
//! existing accounts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tenancy::Config;
use freehold_tenancy::baseline::{BASELINE_STACK, BASELINE_TAG, BaselineVersion};
use freehold_tenancy::config::AccessRole;
use freehold_tenancy::db::lifecycle::{self, UpgradeResult};
use freehold_tenancy::db::{events, operations};
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::feed::FeedType;
use freehold_tenancy::operation::{Operation, OperationKind, OperationState, Requester};
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::cloud::{CheckRequest, NewStack, Role, StackState, Tags, Target};
use freehold_worker::reconcile::RepairMode;
use freehold_worker::template::check;

use super::reconcile::compare;

/// Permissions for the queue of [`template`].
const STATEMENT: &str = r#"
[[access_role.statements]]
Sid = "Queues"
Effect = "Allow"
Action = "sqs:*"
Resource = "arn:${AWS::Partition}:sqs:*:${AWS::AccountId}:freehold-*"
"#;

/// Returns the sample template with an SQS queue in addition.
fn template() -> String {
    let sample = include_str!("../../../stacks/tenant.yaml");
    let queue = "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n    Properties:\n      QueueName: freehold-tenant\n";
    sample.replacen("Resources:\n", queue, 1)
}

/// Writes the template with the queue and returns the configuration that deploys it.
fn config_with_queue(directory: &Path, statement: &str) -> String {
    let path = directory.join("saas.yaml");
    std::fs::write(&path, template()).expect("a template");
    let accepted = "accepted_resource_types = [\"AWS::Lambda::Url\"]";
    format!("{CONFIG}\n[stack]\ntemplate = {:?}\n{accepted}\n{statement}", path.display().to_string())
}

/// Returns the default configuration with the statement.
pub(super) fn with_statement() -> String {
    format!("{CONFIG}\n{STATEMENT}")
}

fn version(config: &str) -> BaselineVersion {
    BaselineVersion::current(&Config::parse(config).expect("a configuration").access_role)
}

/// Onboards a standard tenant in eu-central-1 with the default configuration.
pub(super) async fn onboard(freehold: &Freehold) -> Tenant {
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
    let tenant = freehold.reload_tenant(&tenant).await;
    assert_eq!(tenant.state(), TenantState::Ready, "{:#?}", freehold.operation_of(&tenant).await);
    tenant
}

/// Requests an upgrade of the tenant's baseline to the version of the current configuration.
pub(super) async fn request(freehold: &Freehold, tenant: &Tenant) -> UpgradeResult {
    let by = Requester { issuer: "https://issuer.example.com".to_owned(), subject: "ann".to_owned() };
    let target = BaselineVersion::current(&freehold.config.access_role);
    let name = &tenant.environments[0].name;
    let now = freehold.clock.now();
    lifecycle::open_baseline_upgrade(freehold.pool(), tenant.id, name, &target, &by, now).await.expect("an answer")
}

/// Upgrades the tenant's baseline and returns the finished operation.
async fn upgrade(freehold: &Freehold, tenant: &Tenant) -> Operation {
    let UpgradeResult::Started { operation, .. } = request(freehold, tenant).await else { panic!("not started") };
    freehold.run_until_idle(&freehold.worker("worker-2"), TimeDelta::days(1)).await;
    operations::get(freehold.pool(), operation).await.expect("an answer").expect("the operation")
}

fn target(freehold: &Freehold, tenant: &Tenant) -> Target {
    let environment = &tenant.environments[0];
    let account = environment.aws_account_id.clone().expect("an account");
    Target::new(account, environment.id, &freehold.config.organization).expect("a target")
}

async fn stack(freehold: &Freehold, tenant: &Tenant, role: Role, name: &str) -> StackState {
    let home = tenant.environments[0].home_region;
    let found = freehold.aws(None).stack(&target(freehold, tenant), role, home, name).await;
    found.expect("an answer").expect("the stack")
}

/// Deploys a stack with a queue, with the role that deploys tenant stacks. Returns the final status of the stack.
async fn deploy_queue(freehold: &Freehold, tenant: &Tenant, name: &str) -> String {
    let queue = "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n    Properties:\n      QueueName: ";
    let (parameters, token) = (BTreeMap::new(), name.to_owned());
    let template = format!("{queue}{name}\n");
    let (template_url, capabilities, tags) = (None, Vec::new(), Tags::new());
    let new = NewStack { name: name.to_owned(), template, template_url, capabilities, parameters, tags, token };
    let home = tenant.environments[0].home_region;
    freehold.aws(None).create_stack(&target(freehold, tenant), Role::Access, home, &new).await.expect("a request");
    freehold.clock.advance(Duration::from_hours(1));
    stack(freehold, tenant, Role::Access, name).await.status_text
}

#[tokio::test]
async fn a_template_with_a_queue_is_deployed_only_with_its_statement() {
    let directory = tempfile::tempdir().expect("a directory");
    let refused = check::check(&Config::parse(&config_with_queue(directory.path(), "")).expect("a configuration"));
    let expected = "stack.template: the Type AWS::SQS::Queue of the resource Queue needs permissions that the role \
                    freehold-access lacks, such as sqs:CreateQueue; add { Effect = \"Allow\", Action = \"sqs:*\"";
    assert!(refused.problems.iter().any(|problem| problem.starts_with(expected)), "{:#?}", refused.problems);

    let config = config_with_queue(directory.path(), STATEMENT);
    assert_eq!(check::check(&Config::parse(&config).expect("a configuration")).problems, [""; 0]);
    let freehold = Freehold::with(Settings::default(), &config).await;
    let tenant = onboard(&freehold).await;
    assert_eq!(tenant.environments[0].baseline_version, Some(version(&config)));
    let baseline = stack(&freehold, &tenant, Role::Organization, BASELINE_STACK).await;
    assert_eq!(baseline.tags[BASELINE_TAG], version(&config).to_string());
}

#[tokio::test]
async fn an_existing_tenant_gets_new_permissions_by_an_upgrade() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let tenant = onboard(&freehold).await;
    assert_eq!(tenant.environments[0].baseline_version, Some(BaselineVersion::current(&AccessRole::default())));
    assert_eq!(deploy_queue(&freehold, &tenant, "freehold-before").await, "ROLLBACK_COMPLETE");

    let freehold = freehold.with_config(&with_statement());
    freehold.clock.advance(Duration::from_hours(1));
    let found = compare(&freehold, RepairMode::All).await.findings;
    let found: Vec<_> = found.iter().map(|one| (one.finding.kind.as_str(), one.finding.operation_id)).collect();
    assert_eq!(found, [("baseline_outdated", None)]);

    assert!(matches!(request(&freehold, &tenant).await, UpgradeResult::Started { .. }));
    let worker = freehold.worker("worker-2");
    while freehold.run_due_and_advance(&worker).await.is_some() {
        assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready, "the environment serves");
    }
    let tenant = freehold.reload_tenant(&tenant).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!((operation.kind, operation.state), (OperationKind::UpgradeBaseline, OperationState::Succeeded));
    assert_eq!(tenant.environments[0].baseline_version, Some(version(&with_statement())));
    let baseline = stack(&freehold, &tenant, Role::Organization, BASELINE_STACK).await;
    assert_eq!(baseline.tags[BASELINE_TAG], version(&with_statement()).to_string());
    assert_eq!(deploy_queue(&freehold, &tenant, "freehold-after").await, "CREATE_COMPLETE");

    assert!(matches!(request(&freehold, &tenant).await, UpgradeResult::Current(_)));
    freehold.clock.advance(Duration::from_hours(1));
    assert!(compare(&freehold, RepairMode::All).await.is_clean(), "the upgrade is no change from outside");
}

#[tokio::test]
async fn a_failed_upgrade_reports_its_cause_and_the_environment_serves() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let tenant = onboard(&freehold).await;
    let freehold = freehold.with_config(&with_statement());
    let reason = "Resource handler returned message: \"Maximum policy size exceeded\"";
    freehold.world.inject(Rule::on("cloudformation", "AWS::IAM::Role", Fault::failed(reason)));

    let failed = upgrade(&freehold, &tenant).await;
    assert_eq!((failed.state, failed.attention.clone()), (OperationState::Failed, None), "{failed:#?}");
    let failure = failed.failure.expect("a cause");
    assert_eq!(failure.code, "stack_failed");
    let expected = format!("which works as before. Access failed with: {reason}");
    assert!(failure.message.contains(&expected), "{}", failure.message);
    let events = events::after(freehold.pool(), failed.id, 0, 1000).await.expect("events");
    let last = events.last().expect("an event");
    assert_eq!(FeedType::of(failed.kind, last.event_type), Some(FeedType::BaselineUpgradeFailed));

    let tenant = freehold.reload_tenant(&tenant).await;
    assert_eq!(tenant.environments[0].state, EnvironmentState::Ready);
    assert_eq!(tenant.environments[0].baseline_version, Some(BaselineVersion::current(&AccessRole::default())));
    let home = tenant.environments[0].home_region;
    let outputs = stack(&freehold, &tenant, Role::Access, "freehold-tenant").await.outputs;
    let aws = freehold.aws(None);
    let target = target(&freehold, &tenant);
    let request = CheckRequest::get("/");
    aws.call_function_url(&target, home, &outputs["FunctionUrl"], &request).await.expect("a response");
    freehold.clock.advance(Duration::from_hours(1));
    let found = compare(&freehold, RepairMode::Off).await.findings;
    let found: Vec<_> = found.iter().map(|one| one.finding.kind.as_str()).collect();
    assert_eq!(found, ["baseline_outdated"]);

    freehold.world.clear_faults();
    let again = upgrade(&freehold, &tenant).await;
    assert_eq!(again.state, OperationState::Succeeded, "an earlier rollback is no failure: {again:#?}");
}

#[tokio::test]
async fn an_update_that_cannot_be_rolled_back_needs_attention() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let tenant = onboard(&freehold).await;
    let freehold = freehold.with_config(&with_statement());
    for work in ["AWS::IAM::Role", "Restore AWS::IAM::Role"] {
        freehold.world.inject(Rule::on("cloudformation", work, Fault::failed("Internal failure")));
    }
    let stuck = upgrade(&freehold, &tenant).await;
    let attention = stuck.attention.clone().expect("attention");
    assert_eq!((stuck.state, attention.code.as_str()), (OperationState::NeedsAttention, "stack_update_stuck"));
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);

    freehold.world.clear_faults();
    lifecycle::retry(freehold.pool(), stuck.id, "ann", freehold.clock.now()).await.expect("a retry");
    freehold.run_until_idle(&freehold.worker("worker-3"), TimeDelta::days(1)).await;
    let ended = operations::get(freehold.pool(), stuck.id).await.expect("an answer").expect("the operation");
    assert_eq!(ended.state, OperationState::Failed, "the retry has only rolled back: {ended:#?}");
    assert_eq!(upgrade(&freehold, &tenant).await.state, OperationState::Succeeded);
}

#[tokio::test]
async fn an_upgrade_is_refused_while_another_operation_is_open() {
    let freehold = Freehold::instant().await.with_config(&with_statement());
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let (operation, kind) = (tenant.environments[0].operation_id, OperationKind::Onboard);
    assert_eq!(request(&freehold, &tenant).await, UpgradeResult::Busy { operation, kind });

    let freehold = freehold.with_config(CONFIG);
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
    let freehold = freehold.with_config(&with_statement());
    let UpgradeResult::Started { operation, from } = request(&freehold, &tenant).await else { panic!("not started") };
    assert_eq!(request(&freehold, &tenant).await, UpgradeResult::AlreadyOpen { operation, from });
}

#[tokio::test]
async fn a_retried_deployment_gets_permissions_that_were_configured_since() {
    let directory = tempfile::tempdir().expect("a directory");
    let statement = STATEMENT.replace("\"sqs:*\"", "\"sqs:CreateQueue\"");
    let freehold = Freehold::with(Settings::default(), &config_with_queue(directory.path(), &statement)).await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
    let operation = freehold.operation_of(&tenant).await;
    let attention = operation.attention.expect("attention");
    assert_eq!(attention.code, "stack_failed");
    assert!(attention.message.contains("sqs:GetQueueAttributes"), "{}", attention.message);

    let freehold = freehold.with_config(&config_with_queue(directory.path(), STATEMENT));
    lifecycle::retry(freehold.pool(), operation.id, "ann", freehold.clock.now()).await.expect("a retry");
    freehold.run_until_idle(&freehold.worker("worker-2"), TimeDelta::days(1)).await;
    let tenant = freehold.reload_tenant(&tenant).await;
    assert_eq!(tenant.state(), TenantState::Ready, "{:#?}", freehold.operation_of(&tenant).await);
    assert_eq!(tenant.environments[0].baseline_version, Some(version(&with_statement())));
}
