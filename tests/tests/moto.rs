//! Tests of onboarding with moto instead of AWS. Each onboarding runs until it needs a feature that moto lacks.
//!
//! The tests create an organisation and a group in moto; in AWS, both exist before Freehold is installed. All other
//! objects are created by `freehold bootstrap` and a worker. Constants list the features that moto lacks. A test fails
//! if a newer moto has the feature, or if Freehold handles the missing feature differently.

use std::path::Path;
use std::sync::Arc;

use aws_sdk_cloudformation::types::StackStatus;
use aws_sdk_organizations::types::PolicyType;
use freehold_tenancy::clock::Scale;
use freehold_tenancy::config::CheckKind;
use freehold_tenancy::db::installation::{self, InstallationKind};
use freehold_tenancy::db::{operations, tenants};
use freehold_tenancy::operation::{Operation, OperationState};
use freehold_tenancy::step::StepState;
use freehold_tenancy::tenant::Tenant;
use freehold_tenancy::{Clock, Config};
use freehold_tests::database::{Database, current_mappings};
use freehold_tests::{fixture, signup};
use freehold_worker::aws::{AccessKey, Aws, Connection};
use freehold_worker::limits::AwsRateLimiter;
use freehold_worker::{Worker, bootstrap};
use serde_json::Value;

use crate::conformance::cloud::{Cloud, HOME_REGION};
use crate::conformance::identity_center::instance;
use crate::conformance::identity_store::group;
use crate::conformance::target::Target;

/// Feature that moto lacks, and the step at which an operation stops because the feature is missing.
#[derive(Debug, PartialEq)]
struct MissingFeature {
    step: &'static str,
    code: &'static str,
    error: &'static str,
}

/// moto 5.2 has no `AWS::Lambda::Url`. If an output of a template refers to such a resource, moto returns an empty
/// response with status 500, which Freehold treats as a failure of AWS and retries.
const NO_FUNCTION_URLS: MissingFeature = MissingFeature {
    step: "deploy-stack",
    code: "step_keeps_failing",
    error: "The last error: cloudformation:CreateStack answered HTTP 500",
};

/// moto stores and attaches service control policies but does not apply them.
const NO_GUARDRAILS: MissingFeature = MissingFeature {
    step: "verify",
    code: "deadline_passed",
    error: "Still waiting for the region guardrail to deny a read in ap-northeast-1 after",
};

/// moto supports only the alternate contacts of the Account Management API; all other calls return HTML with status
/// 404.
const NO_OPT_IN_REGIONS: MissingFeature = MissingFeature {
    step: "enable-regions",
    code: "aws_refused",
    error: "AWS rejected the request permanently. Fix the cause, then retry. account:GetRegionOptStatus answered HTTP \
            404",
};

#[tokio::test]
async fn moto_onboards_a_tenant_until_a_function_url_is_needed() {
    let onboarding = Onboarding::run(HOME_REGION, None).await;
    onboarding.assert_stopped_at(&NO_FUNCTION_URLS, &["verify"]);
    onboarding.assert_account_created_and_mapped().await;
    onboarding.assert_account_in_ou("freehold-eu").await;
    onboarding.assert_baseline_installed("eu-central-1").await;
    onboarding.assert_access_granted(&["support", "tenant-admin"]).await;
}

#[tokio::test]
async fn moto_deploys_a_stack_until_the_guardrail_is_verified() {
    // Without a Function URL, Freehold invokes the function.
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/tenant-without-url.yaml");
    let onboarding = Onboarding::run(HOME_REGION, Some(&template)).await;
    onboarding.assert_stopped_at(&NO_GUARDRAILS, &[]);
    onboarding.assert_account_in_ou("freehold-eu").await;
    let account = onboarding.account();
    let outputs = onboarding.outputs("freehold-tenant", "eu-central-1").await;
    let function = format!("arn:aws:lambda:eu-central-1:{account}:function:freehold-tenant");
    let name = ("FunctionName".to_owned(), "freehold-tenant".to_owned());
    assert_eq!(outputs, [("FunctionArn".to_owned(), function.clone()), name]);
    assert_eq!(onboarding.fact("deploy-stack", "output_FunctionArn"), function.as_str());
}

#[tokio::test]
async fn moto_onboards_a_tenant_until_a_region_must_be_enabled() {
    let onboarding = Onboarding::run("eu-central-2", None).await;
    onboarding.assert_stopped_at(&NO_OPT_IN_REGIONS, &["deploy-stack", "verify"]);
    onboarding.assert_account_in_ou("freehold-ch").await;
    // No region of this residency is enabled by default.
    onboarding.assert_baseline_installed("us-east-1").await;
    onboarding.assert_access_granted(&["support", "tenant-admin"]).await;
}

/// Onboarding in moto that stopped at a missing feature.
struct Onboarding {
    moto: Cloud,
    database: Database,
    tenant: Tenant,
    operation: Operation,
    _server: Target,
}

impl Onboarding {
    /// Bootstraps an organisation, signs up an enterprise tenant, and runs a worker until no work is scheduled.
    async fn run(home_region: &str, template: Option<&Path>) -> Self {
        let server = Target::moto().await;
        let moto = server.new_organisation().await.expect("an organisation");
        let store = instance(&moto).await.expect("Identity Center").identity_store;
        group(&moto, &store, "support").await.expect("a group");

        let config = Arc::new(config(template));
        let start = Clock::real().now();
        // moto uses real time; the manual clock of the test starts at the real time and is then advanced.
        let clock = Clock::manual(start);
        let database = Database::new().await;
        prepare(&aws(&moto, &config, &clock, None), &config).await;

        let pool = &database.pool;
        let scale = Scale { anchored_at: start, origin: start, speed: 1.0 };
        let (kind, management) = (InstallationKind::Sandbox, &config.organization.management_account_id);
        let installation =
            installation::ensure(pool, kind, management, Some(scale), start).await.expect("an installation");
        let limits = Arc::new(AwsRateLimiter::new(database.worker_pool.clone(), clock.clone(), config.quotas.clone()));
        let cloud = Arc::new(aws(&moto, &config, &clock, Some(limits)));
        let (worker_pool, worker_config) = (database.worker_pool.clone(), Arc::clone(&config));
        let worker = Worker::new("worker-1", worker_pool, worker_config, clock.clone(), &installation, cloud);
        let worker = Arc::new(worker.expect("a worker"));

        let tenant = signup::new_tenant(&config, start, 1, "Example", home_region, "enterprise");
        signup::accept_signup(pool, &config, &tenant).await;
        loop {
            worker.drain().await.expect("finished work");
            let Some(next) = operations::next_wake(pool).await.expect("an answer") else { break };
            // An operation that is late keeps retrying, so stop here.
            if next > start + chrono::TimeDelta::hours(6) {
                break;
            }
            clock.advance_to(next);
        }
        let operation = operations::get(pool, tenant.environments[0].operation_id).await.expect("an answer");
        let tenant = tenants::get(pool, tenant.id).await.expect("an answer").expect("the tenant");
        Self { moto, database, tenant, operation: operation.expect("the operation"), _server: server }
    }

    /// Asserts that the operation stopped at the missing feature, that the steps in `pending` have not started, and
    /// that all other steps are done or skipped.
    fn assert_stopped_at(&self, gap: &MissingFeature, pending: &[&str]) {
        let operation = &self.operation;
        assert_eq!(operation.state, OperationState::NeedsAttention, "{operation:#?}");
        let attention = operation.attention.as_ref().expect("attention");
        assert_eq!(attention.code, gap.code);
        assert!(attention.message.contains(gap.error), "{}", attention.message);
        for step in &operation.steps {
            let expected = match step.name.as_str() {
                name if name == gap.step && attention.code == "aws_refused" => StepState::Parked,
                // The operation is late and keeps retrying.
                name if name == gap.step => StepState::Waiting,
                name if pending.contains(&name) => StepState::Pending,
                // moto creates accounts at once, so the first step finds the account.
                "await-account" => StepState::Skipped,
                "enable-regions" if !self.tenant.environments[0].home_region.is_opt_in() => StepState::Skipped,
                _ => StepState::Done,
            };
            assert_eq!(step.state, expected, "{step:#?}");
        }
    }

    fn fact(&self, step: &str, fact: &str) -> &Value {
        let entry = self.operation.steps.iter().find(|entry| entry.name == step).expect("the step");
        entry.facts.get(fact).unwrap_or_else(|| panic!("{entry:#?} has no fact {fact}"))
    }

    fn account(&self) -> &str {
        self.fact("await-account", "account_id").as_str().expect("an account id")
    }

    /// Asserts that moto contains one member account, that the account has the name, e-mail address and tags of this
    /// environment, and that the account is mapped to the environment.
    async fn assert_account_created_and_mapped(&self) {
        let (account, environment) = (self.account(), &self.tenant.environments[0]);
        let organizations = self.moto.organizations();
        let listed = organizations.list_accounts().send().await.expect("accounts").accounts.unwrap_or_default();
        let member_accounts: Vec<_> = listed.iter().filter(|one| one.email() != Some("master@example.com")).collect();
        let [created] = member_accounts[..] else { panic!("expected one account: {member_accounts:?}") };
        assert_eq!(created.id(), Some(account));
        assert_eq!(created.name(), Some(format!("Example {}", environment.id).as_str()));
        assert_eq!(created.email(), Some(format!("aws+{}@example.com", environment.id).as_str()));

        let tags = organizations.list_tags_for_resource().resource_id(account).send().await.expect("tags");
        let tags: Vec<_> = tags.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect();
        assert!(tags.contains(&("freehold:environment".to_owned(), environment.id.to_string())), "{tags:?}");
        assert!(tags.contains(&("freehold:tenant".to_owned(), self.tenant.id.to_string())), "{tags:?}");

        assert_eq!(environment.aws_account_id.as_ref().map(ToString::to_string).as_deref(), Some(account));
        let mapped = current_mappings(&self.database.pool).await;
        assert_eq!(mapped.len(), 1);
    }

    /// Asserts that the account is in the OU with this name, and that the OU has a region guardrail.
    async fn assert_account_in_ou(&self, ou: &str) {
        let organizations = self.moto.organizations();
        let parents = organizations.list_parents().child_id(self.account()).send().await.expect("parents");
        let parent = parents.parents()[0].id().expect("an id");
        assert_eq!(self.fact("place-account", "ou_id"), parent);
        let unit = organizations.describe_organizational_unit().organizational_unit_id(parent).send().await;
        assert_eq!(unit.expect("an OU").organizational_unit().and_then(|unit| unit.name()), Some(ou));
        let policies = organizations.list_policies_for_target().target_id(parent);
        let policies = policies.filter(PolicyType::ServiceControlPolicy).send().await.expect("policies");
        let names: Vec<_> = policies.policies().iter().filter_map(|policy| policy.name()).collect();
        assert!(names.contains(&ou.replace("freehold-", "freehold-region-").as_str()), "{names:?}");
    }

    /// Asserts that the baseline stack exists in this region of the tenant's account, and that its outputs are the ARNs
    /// of Freehold's two roles.
    async fn assert_baseline_installed(&self, region: &'static str) {
        let role = |name| format!("arn:aws:iam::{}:role/{name}", self.account());
        let outputs = self.outputs("freehold-baseline", region).await;
        let roles = [
            ("AccessRoleArn".to_owned(), role("freehold-access")),
            ("VerifyRoleArn".to_owned(), role("freehold-verify")),
        ];
        assert_eq!(outputs, roles);
        assert_eq!(self.fact("install-baseline", "region"), region);
        for (output, role) in roles {
            assert_eq!(self.fact("install-baseline", &format!("output_{output}")), role.as_str());
        }
    }

    /// Returns the outputs of a stack in the tenant's account, after asserting that the stack is complete.
    async fn outputs(&self, name: &str, region: &'static str) -> Vec<(String, String)> {
        let inside = self.moto.assume_access_role(self.account()).await.expect("access to the account");
        let stacks = self.moto.cloudformation_in(&inside, region).describe_stacks().stack_name(name).send().await;
        let stack = stacks.expect("an answer").stacks.and_then(|stacks| stacks.into_iter().next()).expect("the stack");
        assert_eq!(stack.stack_status(), Some(&StackStatus::CreateComplete));
        let outputs = stack.outputs.unwrap_or_default().into_iter();
        let mut outputs: Vec<_> = outputs.filter_map(|output| output.output_key.zip(output.output_value)).collect();
        outputs.sort();
        outputs
    }

    /// Asserts that each permission set in `sets` is assigned exactly once in the account, and that no other permission
    /// set is assigned.
    async fn assert_access_granted(&self, sets: &[&str]) {
        let sso = self.moto.sso();
        let arn = instance(&self.moto).await.expect("Identity Center").arn;
        let permission_sets = sso.list_permission_sets().instance_arn(&arn).send().await.expect("permission sets");
        let mut assigned = Vec::new();
        for set in permission_sets.permission_sets() {
            let facts = sso.describe_permission_set().instance_arn(&arn).permission_set_arn(set).send().await;
            let name = facts.expect("facts").permission_set.and_then(|set| set.name).expect("a name");
            let list = sso.list_account_assignments().instance_arn(&arn).permission_set_arn(set);
            let list = list.account_id(self.account()).send().await.expect("assignments");
            assigned.extend(list.account_assignments().iter().map(|_| name.clone()));
        }
        assigned.sort();
        assert_eq!(assigned, sets);
        let grants = self.fact("grant-access", "grants").as_object().expect("grants");
        assert!(grants.len() == sets.len() && grants.values().all(|grant| grant["done"] == true), "{grants:?}");
    }
}

/// Returns the configuration for moto's organisation.
fn config(template: Option<&Path>) -> Config {
    let text = fixture::CONFIG.replace("111122223333", "123456789012");
    let mut config = Config::parse(&text).expect("a configuration");
    if let Some(template) = template {
        config.stack.template = Some(template.to_owned());
        config.stack.check.kind = CheckKind::Invoke;
    }
    config
}

fn aws(moto: &Cloud, config: &Arc<Config>, clock: &Clock, limits: Option<Arc<AwsRateLimiter>>) -> Aws {
    let key = AccessKey { id: moto.management.access_key_id(), secret: moto.management.secret_access_key() };
    let connection = Connection::loopback(key, HOME_REGION, &moto.endpoint).expect("an address on loopback");
    Aws::connect(Arc::clone(config), clock.clone(), limits, connection)
}

/// Bootstraps the organisation like `freehold bootstrap`. A second plan would read the tags of the permission sets,
/// which moto does not have.
async fn prepare(aws: &Aws, config: &Config) {
    let plan = bootstrap::plan(aws, config).await.expect("a plan");
    bootstrap::apply(aws, plan, |_| {}).await.expect("a bootstrapped organisation");
}
