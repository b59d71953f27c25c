//! Tests of every AWS call that the steps make, with the real SDK and the simulated AWS.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use chrono::DateTime;
use freehold_sandbox::faults::{Fault, FaultyClient, Rule, WireEffect, WireRule};
use freehold_sandbox::{Settings, World, http};
use freehold_tenancy::config::Capability;
use freehold_tenancy::{Clock, Config, EnvironmentId, InstallationId, Region, TenantId};
use freehold_tests::fixture::{CONFIG, control_policy, install_policies};
use freehold_worker::aws::{AccessKey, Aws, Connection};
use freehold_worker::bootstrap;
use freehold_worker::cloud::{
    AssignmentState, CheckRequest, CloudErrorKind, CreationState, Grant, NewAccount, NewStack, Person, RegionStatus,
    Role, StackStatus, Tags, Target,
};

/// Simulated organisation after `freehold bootstrap`, and an AWS client for this organisation.
struct CloudFixture {
    world: World,
    clock: Clock,
    config: Arc<Config>,
    aws: Aws,
}

impl CloudFixture {
    async fn new() -> Self {
        Self::with_http_client(|world, _| http::client(world)).await
    }

    /// Creates the fixture with a custom HTTP client, which Freehold's AWS client uses.
    async fn with_http_client(wire: impl FnOnce(&World, &Clock) -> SharedHttpClient) -> Self {
        let clock = Clock::manual(DateTime::UNIX_EPOCH + Duration::from_hours(500_000));
        let world =
            World::new(Settings { control_policy: Some(control_policy()), ..Settings::instant() }, clock.clone());
        let config = Arc::new(Config::parse(CONFIG).unwrap());
        let key = AccessKey { id: &world.settings().freehold_access_key, secret: "secret" };
        let connection = Connection::in_process(key, "eu-central-1", wire(&world, &clock));
        let aws = Aws::connect(Arc::clone(&config), clock.clone(), None, connection);
        let plan = bootstrap::plan(&aws, &config).await.unwrap();
        bootstrap::apply(&aws, plan, |_| {}).await.unwrap();
        install_policies(&world, &aws, &config).await;
        clock.advance(Duration::from_mins(2));
        Self { world, clock, config, aws }
    }

    fn account(&self, environment: EnvironmentId) -> NewAccount {
        NewAccount {
            name: format!("{environment}"),
            email: self.config.organization.account_email.address(environment),
            tags: [
                ("freehold:environment", environment.to_string()),
                ("freehold:installation", InstallationId::new(self.clock.now()).to_string()),
                ("freehold:tenant", TenantId::new(self.clock.now()).to_string()),
            ]
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
        }
    }

    /// Creates an account and moves it to the OU of its residency, as the step `place-account` does.
    async fn account_in_ou(&self) -> Target {
        let environment = EnvironmentId::new(self.clock.now());
        let creation = self.aws.create_account(&self.account(environment)).await.unwrap();
        let CreationState::Succeeded(id) = self.aws.creation_status(&creation.request_id).await.unwrap().state else {
            panic!("the creation is not instant");
        };
        let target = Target::new(id, environment, &self.config.organization).unwrap();
        let root = self.aws.parent_of(&target).await.unwrap();
        let ou = self.aws.residency_ou(&self.config.residencies[0]).await.unwrap().unwrap();
        assert!(ou.guarded);
        self.aws.move_account(&target, &root, &ou.ou_id).await.unwrap();
        target
    }

    /// Creates an account with Freehold's two roles, as the step `install-baseline` does.
    async fn with_roles(&self) -> Target {
        let target = self.account_in_ou().await;
        let stack = NewStack {
            name: "freehold-baseline".to_owned(),
            template: include_str!("../../../stacks/baseline.yaml").to_owned(),
            template_url: None,
            capabilities: vec![Capability::NamedIam],
            parameters: BTreeMap::from([
                ("ControlRoleArn".to_owned(), self.config.organization.control_role_arn.clone()),
                ("ExternalId".to_owned(), target.environment().to_string()),
            ]),
            tags: Tags::new(),
            token: "baseline-1".to_owned(),
        };
        self.aws.create_stack(&target, Role::Organization, home(), &stack).await.unwrap();
        self.clock.advance(Duration::from_mins(2));
        target
    }

    fn tenant_stack(&self, target: &Target) -> NewStack {
        let parameters = [
            ("TenantId", TenantId::new(self.clock.now()).to_string()),
            ("EnvironmentId", target.environment().to_string()),
            ("VerifyRoleArn", format!("arn:aws:iam::{}:role/freehold-verify", target.id())),
        ];
        NewStack {
            name: "freehold-tenant".to_owned(),
            template: include_str!("../../../stacks/tenant.yaml").to_owned(),
            template_url: None,
            capabilities: vec![Capability::NamedIam],
            parameters: parameters.map(|(name, value)| (name.to_owned(), value)).into(),
            tags: Tags::from([("freehold:environment".to_owned(), target.environment().to_string())]),
            token: "tenant-1".to_owned(),
        }
    }
}

fn home() -> Region {
    "eu-central-1".parse().unwrap()
}

#[tokio::test]
async fn an_account_is_created_found_and_moved() {
    let prepared = CloudFixture::new().await;
    let CloudFixture { aws, clock, config, .. } = &prepared;
    let environment = EnvironmentId::new(clock.now());
    let account = prepared.account(environment);
    let before = clock.now();
    assert_eq!(aws.find_account(&account.email).await.unwrap(), None);
    assert_eq!(aws.find_creation(&account.name, before).await.unwrap(), None);

    let creation = aws.create_account(&account).await.unwrap();
    assert_eq!(aws.find_creation(&account.name, before).await.unwrap().unwrap().request_id, creation.request_id);
    let found = aws.find_account(&account.email.to_uppercase()).await.unwrap().unwrap();
    assert_eq!(found.state, "ACTIVE");
    assert_eq!(aws.account_tags(&found.id).await.unwrap(), account.tags);

    let target = Target::new(found.id, environment, &config.organization).unwrap();
    let root = aws.parent_of(&target).await.unwrap();
    let quarantine = aws.quarantine_ou().await.unwrap().unwrap();
    aws.move_account(&target, &root, &quarantine).await.unwrap();
    assert_eq!(aws.parent_of(&target).await.unwrap(), quarantine);
    aws.move_account(&target, &root, &quarantine).await.expect("success for an account that was moved already");
    let elsewhere = aws.residency_ou(&config.residencies[0]).await.unwrap().unwrap().ou_id;
    let refused = aws.move_account(&target, &elsewhere, &root).await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_str()), (CloudErrorKind::NotYet, "SourceParentNotFoundException"));
}

#[tokio::test]
async fn a_lost_response_is_an_unknown_effect_and_the_sdk_does_not_retry() {
    let mut wire = None;
    let prepared = CloudFixture::with_http_client(|world, clock| {
        wire.insert(FaultyClient::new(http::client(world), clock.clone())).shared()
    });
    let prepared = prepared.await;
    let wire = wire.unwrap();
    wire.inject(WireRule::on("organizations", "CreateAccount", WireEffect::ResetAfterCall).times(1));
    let account = prepared.account(EnvironmentId::new(prepared.clock.now()));
    let lost = prepared.aws.create_account(&account).await.unwrap_err();
    assert_eq!(lost.kind, CloudErrorKind::Unknown, "{lost}");
    assert!(!lost.had_no_effect());
    assert_eq!(prepared.world.calls().of("organizations:CreateAccount").calls, 1, "the SDK retried by itself");
    assert!(prepared.aws.find_account(&account.email).await.unwrap().is_some());
}

#[tokio::test]
async fn a_throttled_call_is_reported_as_throttled() {
    let prepared = CloudFixture::new().await;
    prepared.world.inject(Rule::on("organizations", "ListAccounts", Fault::Throttle).times(1));
    let throttled = prepared.aws.find_account("unknown@example.com").await.unwrap_err();
    assert_eq!(
        (throttled.kind, throttled.code.as_str()),
        (CloudErrorKind::Throttled { until: None }, "TooManyRequestsException")
    );
    assert_eq!(prepared.world.calls().of("organizations:ListAccounts").throttled, 1, "the SDK retried by itself");
}

#[tokio::test]
async fn an_empty_page_does_not_end_a_search() {
    let prepared = CloudFixture::new().await;
    let target = prepared.account_in_ou().await;
    let email = prepared.config.organization.account_email.address(target.environment());
    prepared.world.inject(Rule::on("organizations", "*", Fault::EmptyPage).times(1));
    assert_eq!(prepared.aws.find_account(&email).await.unwrap().unwrap().id, *target.id());
    prepared.world.inject(Rule::on("organizations", "*", Fault::EmptyPage).times(1));
    let since = prepared.clock.now() - chrono::TimeDelta::hours(1);
    let found = prepared.aws.find_creation(&target.environment().to_string(), since).await.unwrap();
    assert!(found.is_some());
}

#[tokio::test]
async fn a_rate_limited_search_continues_at_the_same_page() {
    let prepared = CloudFixture::new().await;
    let mut sought = None;
    for _ in 0..45 {
        let account = prepared.account(EnvironmentId::new(prepared.clock.now()));
        prepared.aws.create_account(&account).await.unwrap();
        sought = Some(account);
    }
    // Two accounts exist already, so the last one is on the third page of 20 accounts.
    let (sought, calls) = (sought.unwrap(), || prepared.world.calls().of("organizations:ListAccounts").calls);
    let before = calls();
    prepared.world.inject(Rule::on("organizations", "ListAccounts", Fault::Throttle).nth(2));
    let throttled = prepared.aws.find_account(&sought.email).await.unwrap_err();
    assert_eq!(throttled.kind, CloudErrorKind::Throttled { until: None });
    assert!(prepared.aws.find_account(&sought.email).await.unwrap().is_some());
    assert_eq!(calls() - before, 4, "the first page was read twice");
}

#[tokio::test]
async fn an_account_creation_with_a_used_email_fails_with_a_reason() {
    let prepared = CloudFixture::new().await;
    let account = prepared.account(EnvironmentId::new(prepared.clock.now()));
    prepared.world.reserve_email(&account.email);
    let creation = prepared.aws.create_account(&account).await.unwrap();
    let state = prepared.aws.creation_status(&creation.request_id).await.unwrap().state;
    assert_eq!(state, CreationState::Failed("EMAIL_ALREADY_EXISTS".to_owned()));
}

#[tokio::test]
async fn closing_a_closed_account_is_not_an_error() {
    let prepared = CloudFixture::new().await;
    let target = prepared.account_in_ou().await;
    let state = async || prepared.aws.account(target.id()).await.unwrap().map(|account| account.state);
    assert_eq!(state().await.as_deref(), Some("ACTIVE"));
    prepared.aws.close_account(&target).await.unwrap();
    assert_eq!(state().await.as_deref(), Some("CLOSED"));
    prepared.aws.close_account(&target).await.expect("success for a closed account");
    assert_eq!(prepared.aws.account(&"999988887777".parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn an_opt_in_region_is_enabled() {
    let prepared = CloudFixture::new().await;
    let target = prepared.account_in_ou().await;
    let zurich = "eu-central-2".parse().unwrap();
    assert_eq!(prepared.aws.region_status(&target, home()).await.unwrap(), RegionStatus::Enabled);
    assert_eq!(prepared.aws.region_status(&target, zurich).await.unwrap(), RegionStatus::Disabled);
    prepared.aws.enable_region(&target, zurich).await.unwrap();
    assert_eq!(prepared.aws.region_status(&target, zurich).await.unwrap(), RegionStatus::Enabled);
}

#[tokio::test]
async fn a_role_can_be_assumed_only_in_its_account() {
    let prepared = CloudFixture::new().await;
    let target = prepared.account_in_ou().await;
    prepared.aws.check_role(&target, Role::Organization).await.unwrap();
    let refused = prepared.aws.check_role(&target, Role::Access).await.unwrap_err();
    assert_eq!(refused.kind, CloudErrorKind::Denied { explicit_deny: false });

    let target = prepared.with_roles().await;
    prepared.aws.check_role(&target, Role::Access).await.unwrap();
    prepared.aws.check_role(&target, Role::Verify).await.unwrap();
    let other = EnvironmentId::new(prepared.clock.now());
    let wrong_environment = Target::new(target.id().clone(), other, &prepared.config.organization).unwrap();
    let refused = prepared.aws.check_role(&wrong_environment, Role::Access).await.unwrap_err();
    assert_eq!(
        refused.kind,
        CloudErrorKind::Denied { explicit_deny: false },
        "the external id names another environment"
    );
}

#[tokio::test]
async fn a_stack_is_deployed_and_its_url_responds() {
    let prepared = CloudFixture::new().await;
    let target = prepared.with_roles().await;
    let (aws, stack) = (&prepared.aws, prepared.tenant_stack(&target));
    assert_eq!(aws.stack(&target, Role::Access, home(), &stack.name).await.unwrap(), None);
    let id = aws.create_stack(&target, Role::Access, home(), &stack).await.unwrap();
    let state = aws.stack(&target, Role::Access, home(), &stack.name).await.unwrap().unwrap();
    assert_eq!((state.status, &state.id, &state.tags), (StackStatus::Complete, &id, &stack.tags), "{state:?}");
    assert_eq!(aws.stack_failure(&target, Role::Access, home(), &id).await.unwrap(), None);

    let answer = aws.call_function_url(&target, home(), &state.outputs["FunctionUrl"], &CheckRequest::get("/")).await;
    let answer: serde_json::Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
    assert_eq!(answer["environment_id"], target.environment().to_string());
    assert_eq!(answer["region"], "eu-central-1");

    aws.delete_stack(&target, Role::Access, home(), &stack.name).await.unwrap();
    assert_eq!(aws.stack(&target, Role::Access, home(), &stack.name).await.unwrap(), None);
    let deleted = aws.stack(&target, Role::Access, home(), &id).await.unwrap().unwrap();
    assert_eq!(deleted.status, StackStatus::Deleted);
    aws.delete_stack(&target, Role::Access, home(), &stack.name).await.unwrap();
}

#[tokio::test]
async fn the_error_of_a_failed_stack_contains_resource_and_reason() {
    let prepared = CloudFixture::new().await;
    let target = prepared.with_roles().await;
    prepared.world.inject(Rule::on(
        "cloudformation",
        "CreateStack",
        Fault::failed("the function could not be created"),
    ));
    let stack = prepared.tenant_stack(&target);
    let id = prepared.aws.create_stack(&target, Role::Access, home(), &stack).await.unwrap();
    let state = prepared.aws.stack(&target, Role::Access, home(), &id).await.unwrap().unwrap();
    assert_eq!(state.status, StackStatus::RolledBack, "{state:?}");
    let failure = prepared.aws.stack_failure(&target, Role::Access, home(), &id).await.unwrap().unwrap();
    assert!(failure.reason.contains("could not be created"), "{failure:?}");
}

#[tokio::test]
async fn the_verifier_role_can_read_only_in_the_home_region() {
    let prepared = CloudFixture::new().await;
    let target = prepared.with_roles().await;
    prepared.aws.read_in_region(&target, home()).await.unwrap();
    let refused = prepared.aws.read_in_region(&target, "us-east-1".parse().unwrap()).await.unwrap_err();
    assert_eq!(refused.kind, CloudErrorKind::Denied { explicit_deny: true }, "{refused}");
    assert!(refused.request_id.is_some());
}

#[tokio::test]
async fn a_permission_set_is_assigned_and_unassigned() {
    let prepared = CloudFixture::new().await;
    let target = prepared.account_in_ou().await;
    let aws = &prepared.aws;
    let tenant = TenantId::new(prepared.clock.now());
    let group = aws.ensure_own_group(tenant).await.unwrap();
    assert_eq!(aws.ensure_own_group(tenant).await.unwrap(), group);
    assert_eq!(aws.own_group(tenant).await.unwrap(), Some(group.clone()));
    assert_eq!(aws.group("missing").await.unwrap(), None);
    let ada = Person { email: "ada@example.com", display_name: "Ada Lovelace" };
    let user = aws.ensure_user(&ada).await.unwrap();
    assert_eq!(aws.ensure_user(&ada).await.unwrap(), user);
    aws.ensure_member(&group, &user).await.unwrap();
    aws.ensure_member(&group, &user).await.unwrap();

    let arn = aws.permission_set("support").await.unwrap().unwrap();
    assert_eq!(aws.permission_set("unknown").await.unwrap(), None);
    let grant = Grant { permission_set_arn: arn.clone(), group_id: group.id().to_owned() };
    let assigned = aws.assign(&target, &grant).await.unwrap();
    assert_eq!(aws.assignment_status(&assigned.request_id).await.unwrap(), AssignmentState::Succeeded);
    assert_eq!(aws.assigned_groups(&target, &arn).await.unwrap(), [group.id()]);
    let unassigned = aws.unassign(&target, &grant).await.unwrap();
    assert_eq!(aws.unassignment_status(&unassigned.request_id).await.unwrap(), AssignmentState::Succeeded);
    assert_eq!(aws.assigned_groups(&target, &arn).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_user_removed_from_a_group_still_exists() {
    let CloudFixture { aws, clock, .. } = CloudFixture::new().await;
    let ada = aws.ensure_user(&Person { email: "ada@example.com", display_name: "Ada Lovelace" }).await.unwrap();
    let group = aws.ensure_own_group(TenantId::new(clock.now())).await.unwrap();
    aws.ensure_member(&group, &ada).await.unwrap();
    let members = aws.members(group.id()).await.unwrap();
    assert_eq!(members.iter().map(|member| &member.user_id).collect::<Vec<_>>(), [&ada]);
    aws.remove_member(&group, &ada).await.unwrap();
    assert_eq!(aws.members(group.id()).await.unwrap(), []);
    assert_eq!(aws.user(&ada).await.unwrap().unwrap().groups, 0);
}

#[tokio::test]
async fn the_accounts_of_an_ou_are_listed() {
    let prepared = CloudFixture::new().await;
    let target = prepared.account_in_ou().await;
    let [home, other] = [0, 1].map(|number| &prepared.config.residencies[number]);
    for (residency, expected) in [(home, vec![target.id().clone()]), (other, vec![])] {
        let ou = prepared.aws.residency_ou(residency).await.unwrap().unwrap();
        assert_eq!(prepared.aws.accounts_in(&ou.ou_id, None).await.unwrap().items, expected);
    }
}

#[tokio::test]
async fn a_thousand_reads_of_one_residency_need_few_calls() {
    let prepared = CloudFixture::new().await;
    let before: u64 = prepared.world.calls().by_operation().values().map(|count| count.calls).sum();
    let residency = &prepared.config.residencies[0];
    let answers = futures::future::join_all((0..1_000).map(|_| prepared.aws.residency_ou(residency))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().unwrap().guarded));
    let after: u64 = prepared.world.calls().by_operation().values().map(|count| count.calls).sum();
    assert!(after - before <= 5, "{} calls", after - before);
}

#[tokio::test]
async fn sessions_are_renewed_hourly_and_after_aws_has_expired_one() {
    let prepared = CloudFixture::new().await;
    let target = prepared.account_in_ou().await;
    let opened = || prepared.world.calls().of("sts:AssumeRole").calls;
    prepared.aws.check_role(&target, Role::Organization).await.unwrap();
    let opened_first = opened();
    prepared.clock.advance(Duration::from_mins(50));
    prepared.aws.check_role(&target, Role::Organization).await.unwrap();
    prepared.aws.parent_of(&target).await.unwrap();
    assert!(opened() <= opened_first + 1, "only the control role's session may be renewed");
    prepared.clock.advance(Duration::from_mins(10));
    prepared.aws.check_role(&target, Role::Organization).await.unwrap();
    assert!(opened() > opened_first);

    let expired = Fault::error("ExpiredToken", "The security token included in the request is expired");
    prepared.world.inject(Rule::on("sts", "GetCallerIdentity", expired).nth(1));
    prepared.clock.advance(Duration::from_hours(1));
    let refused = prepared.aws.check_role(&target, Role::Organization).await.unwrap_err();
    assert_eq!(refused.kind, CloudErrorKind::NotYet);
    let before = opened();
    prepared.aws.check_role(&target, Role::Organization).await.unwrap();
    assert_eq!(opened(), before + 1);
}
