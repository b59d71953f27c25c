//! Tests of `freehold bootstrap` with a simulated organisation: first run, repeated runs, repairs and plans.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use chrono::DateTime;
use freehold_sandbox::{Settings, World, http};
use freehold_tenancy::{Clock, Config, EnvironmentId};
use freehold_tests::fixture::{CONFIG, control_policy};
use freehold_worker::aws::{AccessKey, Aws, Connection};
use freehold_worker::bootstrap::{BootstrapError, Plan, apply, plan};
use freehold_worker::cloud::{Grant, NewAccount, Tags, Target};

/// Operator who runs `freehold bootstrap` in a simulated organisation.
struct Operator {
    world: World,
    clock: Clock,
}

impl Operator {
    fn of(settings: Settings) -> Self {
        let clock = Clock::manual(DateTime::UNIX_EPOCH + Duration::from_hours(500_000));
        Self { world: World::new(settings, clock.clone()), clock }
    }

    fn instant() -> Self {
        Self::of(Settings::instant())
    }

    /// Returns an AWS client with the credentials of an administrator of the management account.
    fn aws(&self, config: &Config) -> Aws {
        self.aws_with(config, &self.world.settings().management_access_key)
    }

    fn aws_with(&self, config: &Config, key: &str) -> Aws {
        let key = AccessKey { id: key, secret: "secret" };
        let connection = Connection::in_process(key, "eu-central-1", http::client(&self.world));
        Aws::connect(Arc::new(config.clone()), self.clock.clone(), None, connection)
    }

    async fn plan(&self, text: &str) -> Result<Plan, BootstrapError> {
        let config = Config::parse(text).unwrap();
        self.run_while_clock_advances(plan(&self.aws(&config), &config)).await
    }

    /// Creates a plan and applies it. Returns the lines of the plan.
    async fn bootstrap(&self, text: &str) -> Vec<String> {
        let config = Config::parse(text).unwrap();
        let aws = self.aws(&config);
        self.run_while_clock_advances(async {
            let planned = plan(&aws, &config).await.unwrap();
            let expected = lines(&planned);
            let mut done = Vec::new();
            apply(&aws, planned, |action| done.push(action.to_string())).await.unwrap();
            assert_eq!(done, expected);
            done
        })
        .await
    }

    async fn run_while_clock_advances<T>(&self, work: impl Future<Output = T>) -> T {
        let time = async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                self.clock.advance(Duration::from_secs(1));
            }
        };
        tokio::select! {
            done = work => done,
            () = time => unreachable!("time does not end"),
        }
    }

    /// Detaches a policy from a target directly in AWS.
    async fn detach(&self, policy: &str, target: &str) {
        let key = Credentials::new(&self.world.settings().management_access_key, "secret", None, None, "by hand");
        let config = aws_sdk_organizations::Config::builder()
            .behavior_version(aws_sdk_organizations::config::BehaviorVersion::latest())
            .region(aws_sdk_organizations::config::Region::new("us-east-1"))
            .credentials_provider(key)
            .http_client(http::client(&self.world))
            .build();
        let client = aws_sdk_organizations::Client::from_conf(config);
        client.detach_policy().policy_id(policy).target_id(target).send().await.unwrap();
    }

    fn policy(&self, name: &str) -> freehold_sandbox::world::PolicyView {
        self.world.policies().into_iter().find(|policy| policy.name == name).unwrap()
    }
}

fn lines(plan: &Plan) -> Vec<String> {
    plan.actions.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_new_organisation_is_bootstrapped_and_the_second_plan_is_empty() {
    let operator = Operator::instant();
    let done = operator.bootstrap(CONFIG).await;
    assert!(done.contains(&"enable trusted access for account.amazonaws.com".to_owned()), "{done:#?}");

    let units: BTreeSet<_> = operator.world.units().into_iter().map(|unit| unit.name).collect();
    let expected = ["freehold-ch", "freehold-eu", "freehold-quarantine", "freehold-us"];
    assert!(units.is_superset(&expected.map(str::to_owned).into()), "{units:?}");
    for (policy, unit) in [("freehold-region-eu", "freehold-eu"), ("freehold-quarantine", "freehold-quarantine")] {
        let unit = operator.world.units().into_iter().find(|known| known.name == unit).unwrap();
        assert_eq!(operator.policy(policy).targets, [unit.id], "{policy} is attached to other targets");
    }

    assert_eq!(lines(&operator.plan(CONFIG).await.unwrap()), Vec::<String>::new());
}

#[tokio::test]
async fn creating_a_bootstrap_plan_changes_nothing() {
    let operator = Operator::instant();
    let planned = operator.plan(CONFIG).await.unwrap();
    assert!(!planned.actions.is_empty());
    let calls = operator.world.calls();
    for operation in calls.by_operation().keys() {
        let verb = operation.split_once(':').unwrap().1;
        assert!(["List", "Describe", "Get"].iter().any(|read| verb.starts_with(read)), "{operation} was called");
    }
    assert_eq!(lines(&operator.plan(CONFIG).await.unwrap()), lines(&planned));
}

#[tokio::test]
async fn the_control_role_can_bootstrap_the_organisation() {
    let operator = Operator::of(Settings { control_policy: Some(control_policy()), ..Settings::instant() });
    let config = Config::parse(CONFIG).unwrap();
    let aws = operator.aws_with(&config, &operator.world.settings().freehold_access_key);
    let planned = plan(&aws, &config).await.unwrap();
    assert!(planned.caller_arn.contains("assumed-role/freehold-control"), "{}", planned.caller_arn);
    apply(&aws, planned, |_| {}).await.unwrap();
    assert_eq!(lines(&plan(&aws, &config).await.unwrap()), Vec::<String>::new());
}

#[tokio::test]
async fn a_changed_guardrail_is_repaired() {
    let operator = Operator::instant();
    operator.bootstrap(CONFIG).await;
    let before = operator.policy("freehold-region-eu");
    let weakened = CONFIG.replace(r#"["eu-central-1", "eu-west-1"]"#, r#"["eu-central-1", "eu-west-1", "eu-north-1"]"#);
    operator.bootstrap(&weakened).await;
    assert_ne!(operator.policy("freehold-region-eu").content, before.content);

    let done = operator.bootstrap(CONFIG).await;
    assert_eq!(done.len(), 1, "{done:#?}");
    assert!(done[0].starts_with("update service control policy freehold-region-eu"), "{}", done[0]);
    assert_eq!(operator.policy("freehold-region-eu"), before);
}

#[tokio::test]
async fn a_permission_set_follows_the_configuration() {
    let operator = Operator::instant();
    operator.bootstrap(CONFIG).await;
    let narrower = CONFIG.replace("ReadOnlyAccess", "job-function/ViewOnlyAccess");
    let done = operator.bootstrap(&narrower).await;
    assert_eq!(
        done,
        [
            "attach arn:aws:iam::aws:policy/job-function/ViewOnlyAccess to permission set support",
            "detach arn:aws:iam::aws:policy/ReadOnlyAccess from permission set support",
        ]
    );
    assert_eq!(lines(&operator.plan(&narrower).await.unwrap()), Vec::<String>::new());
}

#[tokio::test]
async fn an_inline_policy_follows_the_configuration() {
    let operator = Operator::instant();
    operator.bootstrap(CONFIG).await;
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "logs:*", "Resource": "*"}]}"#;
    let managed = "managed_policies = [\"arn:aws:iam::aws:policy/ReadOnlyAccess\"]";
    let narrower = CONFIG.replace(managed, &format!("{managed}\n    inline_policy = '{policy}'"));
    assert_ne!(operator.bootstrap(&narrower).await, Vec::<String>::new());
    assert_eq!(lines(&operator.plan(&narrower).await.unwrap()), Vec::<String>::new());
    assert_ne!(operator.bootstrap(CONFIG).await, Vec::<String>::new());
    assert_eq!(lines(&operator.plan(CONFIG).await.unwrap()), Vec::<String>::new());
}

#[tokio::test]
async fn a_changed_permission_set_is_provisioned_to_its_accounts() {
    let operator = Operator::instant();
    operator.bootstrap(CONFIG).await;
    let config = Config::parse(CONFIG).unwrap();
    let aws = operator.aws(&config).as_administrator().await.unwrap();
    let environment = EnvironmentId::new(operator.clock.now());
    let account = NewAccount {
        name: environment.to_string(),
        email: config.organization.account_email.address(environment),
        tags: Tags::new(),
    };
    aws.create_account(&account).await.unwrap();
    let account = aws.find_account(&account.email).await.unwrap().unwrap().id;
    let target = Target::new(account, environment, &config.organization).unwrap();
    let permission_set_arn = aws.permission_set("support").await.unwrap().unwrap();
    let group_id = aws.group("support").await.unwrap().unwrap();
    aws.assign(&target, &Grant { permission_set_arn, group_id }).await.unwrap();

    let longer = CONFIG.replace("Reads, to help", "Reads, and helps");
    let done = operator.bootstrap(&longer).await;
    assert_eq!(done.last().unwrap(), "provision permission set support in the accounts that have it");
    assert_eq!(lines(&operator.plan(&longer).await.unwrap()), Vec::<String>::new());
}

#[tokio::test]
async fn a_detached_guardrail_is_attached_again() {
    let operator = Operator::instant();
    operator.bootstrap(CONFIG).await;
    let config = Config::parse(CONFIG).unwrap();
    let aws = operator.aws(&config).as_administrator().await.unwrap();
    assert!(aws.residency_ou(&config.residencies[0]).await.unwrap().unwrap().guarded);
    let policy = operator.policy("freehold-region-eu");
    operator.detach(&policy.id, &policy.targets[0]).await;
    operator.clock.advance(Duration::from_mins(2));
    assert!(!aws.residency_ou(&config.residencies[0]).await.unwrap().unwrap().guarded);

    let done = operator.bootstrap(CONFIG).await;
    assert_eq!(done, ["attach service control policy freehold-region-eu to OU freehold-eu"]);
    assert!(aws.residency_ou(&config.residencies[0]).await.unwrap().unwrap().guarded);
}

#[tokio::test]
async fn manual_tasks_are_shown_as_warnings() {
    let operator = Operator::of(Settings { groups: vec![], ..Settings::instant() });
    let warnings = operator.plan(CONFIG).await.unwrap().warnings;
    for about in ["no group `support`", "accounts in the organisation: 2", "no security contact"] {
        assert!(warnings.iter().any(|warning| warning.contains(about)), "no warning about {about}: {warnings:#?}");
    }
}

#[tokio::test]
async fn an_organisation_other_than_the_configured_one_is_not_changed() {
    let operator = Operator::of(Settings { management_account: "999988887777".to_owned(), ..Settings::instant() });
    let config = Config::parse(CONFIG).unwrap();
    let refused = plan(&operator.aws(&config), &config).await.unwrap_err();
    assert!(!operator.world.calls().by_operation().keys().any(|operation| operation.contains("Create")));
    assert!(refused.to_string().contains("111122223333"), "{refused}");
}

#[tokio::test]
async fn unknown_credentials_are_reported_immediately() {
    let operator = Operator::instant();
    let config = Config::parse(CONFIG).unwrap();
    let aws = operator.aws_with(&config, "AKIAUNKNOWN");
    let refused = plan(&aws, &config).await.unwrap_err();
    assert!(refused.to_string().contains("sts:GetCallerIdentity"), "{refused}");
}

#[tokio::test]
async fn throttling_and_slow_propagation_are_retried() {
    let operator = Operator::of(Settings::default());
    operator.bootstrap(CONFIG).await;
    assert_eq!(lines(&operator.plan(CONFIG).await.unwrap()), Vec::<String>::new());
}
