//! Calls of a tenant's administrator, who has AdministratorAccess in the account: the guardrail denies those that could
//! change Freehold's resources or block the offboarding, and the offboarding succeeds after the calls that it allows.

use chrono::TimeDelta;
use freehold_sandbox::account::AlternateContact;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_sandbox::policy::{AccessRequest, ConditionKeys, Decision, Document, Principal, evaluate};
use freehold_tenancy::Config;
use freehold_tenancy::db::lifecycle::{self, LifecycleResult};
use freehold_tenancy::operation::{Initiator, Requester};
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::fixture::{Freehold, config_with_edge};
use freehold_worker::cloud::{NewStack, Role};
use freehold_worker::guardrail;

use crate::scenarios::target;
use crate::steps::offboarding::offboard;
use crate::steps::reconcile::administrator::Administrator;

const REGION: &str = "eu-central-1";
const MAX_SIMULATED_TIME: TimeDelta = TimeDelta::days(10);

/// Resources, in which `{account}` stands for the id of the account.
const BASELINE: &str = "arn:aws:cloudformation:eu-central-1:{account}:stack/freehold-baseline/1";
const STACK: &str = "arn:aws:cloudformation:eu-central-1:{account}:stack/freehold-tenant/1";
const NEW_STACK: &str = "arn:aws:cloudformation:eu-west-1:{account}:stack/freehold-tenant/*";
const HOOK: &str = "arn:aws:cloudformation:eu-central-1:{account}:type/hook/Example-Block-Deletion";
const FUNCTION: &str = "arn:aws:lambda:eu-central-1:{account}:function:freehold-tenant";
const LOGS: &str = "arn:aws:logs:eu-central-1:{account}:log-group:/aws/lambda/freehold-tenant";
const NEW_LOGS: &str = "arn:aws:logs:eu-central-1:{account}:log-group:/aws/lambda/freehold-tenant-next";
const ACCESS: &str = "arn:aws:iam::{account}:role/freehold-access";
const HANDLER: &str = "arn:aws:iam::{account}:role/freehold-tenant-handler";
const VENDOR: &str = "arn:aws:iam::{account}:role/OrganizationAccountAccessRole";
const ACCESS_CONTROL: &str = "arn:aws:cloudfront::{account}:origin-access-control/E1EXAMPLE";
const DISTRIBUTION: &str = "arn:aws:cloudfront::{account}:distribution/E2EXAMPLE";
const ACCOUNT: &str = "arn:aws:account::{account}:account";

/// Calls that must be denied: action and resource.
const DENIED: &[(&str, &str)] = &[
    ("cloudformation:UpdateTerminationProtection", BASELINE),
    ("cloudformation:UpdateTerminationProtection", STACK),
    ("cloudformation:UpdateStack", BASELINE),
    ("cloudformation:DeleteStack", BASELINE),
    ("cloudformation:DeleteStack", STACK),
    ("cloudformation:CreateStack", NEW_STACK),
    ("cloudformation:CreateChangeSet", STACK),
    ("cloudformation:ExecuteChangeSet", STACK),
    ("cloudformation:SetStackPolicy", STACK),
    ("cloudformation:CancelUpdateStack", BASELINE),
    ("cloudformation:RollbackStack", BASELINE),
    ("cloudformation:TagResource", STACK),
    ("cloudformation:ExecuteStackRefactor", "*"),
    ("cloudformation:SetTypeConfiguration", HOOK),
    ("cloudformation:SetTypeConfiguration", "*"),
    ("cloudformation:ActivateType", "*"),
    ("cloudformation:RegisterType", "*"),
    ("cloudformation:PublishType", "*"),
    ("cloudformation:SetTypeDefaultVersion", "*"),
    ("lambda:DeleteFunction", FUNCTION),
    ("lambda:UpdateFunctionCode", FUNCTION),
    ("lambda:UpdateFunctionConfiguration", FUNCTION),
    ("lambda:PutFunctionConcurrency", FUNCTION),
    ("lambda:AddPermission", FUNCTION),
    ("lambda:DeleteFunctionUrlConfig", FUNCTION),
    ("logs:DeleteLogGroup", LOGS),
    ("logs:AssociateKmsKey", LOGS),
    ("logs:PutLogGroupDeletionProtection", LOGS),
    ("logs:PutRetentionPolicy", LOGS),
    ("logs:PutDeletionProtection", LOGS),
    ("logs:PutLogEvents", LOGS),
    ("logs:PutSubscriptionFilter", LOGS),
    ("logs:CreateLogGroup", NEW_LOGS),
    ("iam:UpdateAssumeRolePolicy", ACCESS),
    ("iam:AttachRolePolicy", ACCESS),
    ("iam:PutRolePermissionsBoundary", ACCESS),
    ("iam:DeleteRole", "arn:aws:iam::{account}:role/freehold-verify"),
    ("iam:CreateRole", "arn:aws:iam::{account}:role/freehold-tenant-extra"),
    ("iam:PassRole", HANDLER),
    ("iam:TagRole", HANDLER),
    ("iam:UpdateAssumeRolePolicy", VENDOR),
    ("iam:DeleteRole", VENDOR),
    ("iam:CreateInstanceProfile", "arn:aws:iam::{account}:instance-profile/freehold-profile"),
    ("iam:CreatePolicyVersion", "arn:aws:iam::{account}:policy/freehold-tenant-policy"),
    ("sts:AssumeRole", ACCESS),
    ("sts:AssumeRole", VENDOR),
    ("account:CloseAccount", ACCOUNT),
    ("account:PutAlternateContact", ACCOUNT),
    ("account:DeleteAlternateContact", ACCOUNT),
    ("account:PutContactInformation", ACCOUNT),
    ("account:PutAccountName", ACCOUNT),
    ("account:EnableRegion", ACCOUNT),
    ("account:DisableRegion", ACCOUNT),
    ("organizations:LeaveOrganization", "*"),
    ("cloudfront:CreateDistribution", "*"),
    ("globalaccelerator:CreateAccelerator", "*"),
    ("cloudfront:UpdateOriginAccessControl", ACCESS_CONTROL),
    ("cloudfront:DeleteOriginAccessControl", ACCESS_CONTROL),
];

/// Calls that a tenant needs and the guardrail must not deny.
const ALLOWED: &[(&str, &str)] = &[
    ("cloudformation:CreateStack", "arn:aws:cloudformation:eu-central-1:{account}:stack/shop/*"),
    ("cloudformation:UpdateTerminationProtection", "arn:aws:cloudformation:eu-central-1:{account}:stack/shop/1"),
    ("cloudformation:DescribeStacks", STACK),
    ("cloudformation:GetTemplate", BASELINE),
    ("lambda:InvokeFunction", FUNCTION),
    ("lambda:GetFunction", FUNCTION),
    ("lambda:CreateFunction", "arn:aws:lambda:eu-central-1:{account}:function:shop"),
    ("logs:FilterLogEvents", LOGS),
    ("logs:DescribeLogStreams", LOGS),
    ("logs:GetLogEvents", LOGS),
    ("logs:StartQuery", LOGS),
    ("cloudformation:DescribeType", HOOK),
    ("logs:DeleteLogGroup", "arn:aws:logs:eu-central-1:{account}:log-group:/aws/lambda/shop"),
    ("iam:GetRole", ACCESS),
    ("iam:CreateRole", "arn:aws:iam::{account}:role/shop"),
    ("sts:AssumeRole", "arn:aws:iam::{account}:role/shop"),
    ("s3:CreateBucket", "arn:aws:s3:::shop"),
    ("account:GetAlternateContact", ACCOUNT),
    ("cloudfront:GetDistribution", DISTRIBUTION),
];

/// Onboards a tenant whose administrators have AdministratorAccess. Returns the tenant and the id of its account.
async fn onboard(freehold: &Freehold) -> (Tenant, String) {
    let tenant = freehold.sign_up("Example", REGION, "enterprise").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::minutes(30)).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);
    let account = target(freehold, &tenant).id().to_string();
    (tenant, account)
}

/// Offboards the tenant with its account, and asserts that nothing of Freehold remains.
async fn assert_offboarded(freehold: &Freehold, tenant: &Tenant) {
    let ann = Requester { issuer: "https://issuer.example.com".to_owned(), subject: "ann".to_owned() };
    let now = freehold.clock.now();
    let started = lifecycle::offboard(freehold.pool(), tenant.id, None, false, &ann, Initiator::Operator, now).await;
    assert!(matches!(started.expect("an answer"), LifecycleResult::Started(_)));
    freehold.run_until_idle(&freehold.worker("worker-2"), MAX_SIMULATED_TIME).await;
    let operation = freehold.operation_of(&freehold.reload_tenant(tenant).await).await;
    assert_eq!(freehold.reload_tenant(tenant).await.state(), TenantState::Offboarded, "{:?}", operation.attention);
    let stacks = freehold.world.stacks();
    let left: Vec<_> = stacks.iter().filter(|stack| stack.status != "DELETE_COMPLETE").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn administrators_of_a_tenant_cannot_block_its_offboarding() {
    let freehold = Freehold::instant().await;
    let (tenant, account) = onboard(&freehold).await;
    let key = freehold.world.open_session(&account, "AWSReservedSSO_tenant-admin_").expect("the administrator's role");
    let mut wrong = Vec::new();
    let call = |action: &str, resource: &str| {
        let region = resource.split(':').nth(3).filter(|region| !region.is_empty()).unwrap_or(REGION);
        freehold.world.authorize(&key, region, action, &resource.replace("{account}", &account))
    };
    for (action, resource) in DENIED {
        match call(action, resource) {
            Err(reason) if reason.contains("explicit deny in a service control policy") => {}
            result => wrong.push(format!("{action} on {resource}: {result:?}")),
        }
    }
    for (action, resource) in ALLOWED {
        wrong.extend(call(action, resource).err().map(|reason| format!("{action} on {resource}: {reason}")));
    }
    assert_eq!(wrong, [""; 0]);
    assert_eq!(DENIED.len(), 58, "denied calls");
    // The function of the stack writes its log, and resources of a template may change functions of the stack.
    let function = freehold.world.open_session(&account, "freehold-tenant-").expect("the role of the function");
    for (action, resource) in [("logs:PutLogEvents", LOGS), ("lambda:UpdateFunctionCode", FUNCTION)] {
        let result = freehold.world.authorize(&function, REGION, action, &resource.replace("{account}", &account));
        let reason = result.err().unwrap_or_default();
        assert!(!reason.contains("service control policy"), "{action}: {reason}");
    }
    assert_offboarded(&freehold, &tenant).await;
}

/// A residency that allows edge locations lets a tenant create distributions, but not change that of Freehold. The
/// guardrail knows it by its tag; the simulator does not evaluate a missing tag of a distribution.
#[test]
fn a_tenant_cannot_change_the_front_door() {
    let config = Config::parse(&config_with_edge()).expect("a configuration");
    let guardrail = guardrail::residency_guardrail(&config.residencies[0], &config.organization).expect("a policy");
    let guardrail = Document::from_value(serde_json::from_str(&guardrail).expect("JSON")).expect("a policy");
    let is_denied = |role: &str, action: &str| {
        let arn = format!("arn:aws:iam::444455556666:role/{role}");
        let keys = ConditionKeys::default().with("aws:PrincipalArn", &arn).with("aws:RequestedRegion", "us-east-1");
        let keys = keys.with("aws:ResourceTag/freehold:environment", "env_01k2m8v3x9e7rt4s5q6w7y8z9a");
        let resource = DISTRIBUTION.replace("{account}", "444455556666");
        let principal = Principal::Aws { account: "444455556666", arn: &arn, role_arn: &arn };
        evaluate([&guardrail], &AccessRequest { action, resource: &resource, principal, keys: &keys })
            == Decision::ExplicitDeny
    };
    for action in ["cloudfront:UpdateDistribution", "cloudfront:DeleteDistribution", "cloudfront:TagResource"] {
        assert!(is_denied("tenant-admin", action), "{action}");
        assert!(!is_denied("freehold-access", action), "{action} by Freehold");
    }
    assert!(!is_denied("tenant-admin", "cloudfront:CreateDistribution"));
}

#[tokio::test]
async fn stacks_with_termination_protection_are_deleted() {
    let freehold = Freehold::instant().await;
    let (tenant, account) = onboard(&freehold).await;
    for stack in ["freehold-baseline", "freehold-tenant"] {
        Administrator::of(&freehold).protect_stack(&account, stack, true).await;
    }
    assert_offboarded(&freehold, &tenant).await;
}

/// A baseline of an earlier revision does not allow `freehold-access` to remove the protection.
#[tokio::test]
async fn a_protected_stack_is_deleted_with_an_earlier_baseline() {
    let freehold = Freehold::instant().await;
    let (tenant, account) = onboard(&freehold).await;
    let region = REGION.parse().expect("a region");
    let earlier = baseline(&freehold, &tenant, |template| {
        template.replace("                  - cloudformation:UpdateTerminationProtection\n", "")
    });
    let target = target(&freehold, &tenant);
    let updated = freehold.aws(None).update_stack(&target, Role::Organization, region, &earlier).await;
    assert!(updated.expect("a request"));
    Administrator::of(&freehold).protect_stack(&account, "freehold-tenant", true).await;
    assert_offboarded(&freehold, &tenant).await;
}

#[tokio::test]
async fn a_baseline_whose_rollback_failed_does_not_block_the_offboarding() {
    let freehold = Freehold::instant().await;
    let (tenant, account) = onboard(&freehold).await;
    for action in ["AWS::IAM::Role", "Restore AWS::IAM::Role"] {
        freehold.world.inject(Rule::on("cloudformation", action, Fault::failed("Internal Failure")));
    }
    let changed =
        baseline(&freehold, &tenant, |template| template.replace("Deploys the environment's stack.", "Changed."));
    let (target, region) = (target(&freehold, &tenant), REGION.parse().expect("a region"));
    let updated = freehold.aws(None).update_stack(&target, Role::Organization, region, &changed).await;
    assert!(updated.expect("a request"));
    let status = |name: &str| freehold.world.stacks().into_iter().find(|stack| stack.name == name).expect("it").status;
    assert_eq!(status("freehold-baseline"), "UPDATE_ROLLBACK_FAILED");
    freehold.world.clear_faults();
    // The role that deletes the tenant stack is damaged too.
    freehold.world.state().accounts.get_mut(&account).expect("the account").roles.remove("freehold-access");
    assert_offboarded(&freehold, &tenant).await;
}

#[tokio::test]
async fn changed_contacts_do_not_block_the_offboarding() {
    let freehold = Freehold::instant().await;
    let (tenant, account) = onboard(&freehold).await;
    let contact = AlternateContact {
        email: "tenant@example.com".into(),
        name: "Tenant".into(),
        phone: "+49 30 000000".into(),
        title: "Owner".into(),
    };
    freehold.world.state().accounts.get_mut(&account).expect("the account").alternate_contacts =
        ["BILLING", "OPERATIONS", "SECURITY"].map(|kind| (kind.to_owned(), contact.clone())).into();
    assert_offboarded(&freehold, &tenant).await;
}

/// CloudFormation cancels the deletion of a stack with an export that another stack imports.
#[tokio::test]
async fn a_cancelled_deletion_of_a_stack_needs_attention_and_a_retry() {
    let freehold = Freehold::instant().await;
    let (tenant, _) = onboard(&freehold).await;
    let reason = "Delete canceled. Cannot delete export shared-url as it is in use by shop";
    freehold.world.inject(Rule::on("cloudformation", "DeleteStack", Fault::failed(reason)).times(1));
    assert!(matches!(offboard(&freehold, &tenant, false).await, LifecycleResult::Started(_)));
    freehold.run_until_idle(&freehold.worker("worker-2"), MAX_SIMULATED_TIME).await;
    let operation = freehold.operation_of(&freehold.reload_tenant(&tenant).await).await;
    let attention = operation.attention.expect("attention");
    assert_eq!(attention.code, "stack_not_deleted");
    assert!(attention.message.contains(reason), "{}", attention.message);
    lifecycle::retry(freehold.pool(), operation.id, "ann", freehold.clock.now()).await.expect("an answer");
    freehold.run_until_idle(&freehold.worker("worker-3"), MAX_SIMULATED_TIME).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Offboarded);
}

/// Returns a changed baseline stack of the tenant's account.
fn baseline(freehold: &Freehold, tenant: &Tenant, change: impl FnOnce(&str) -> String) -> NewStack {
    let parameters = [
        ("ControlRoleArn", freehold.config.organization.control_role_arn.clone()),
        ("ExternalId", tenant.environments[0].id.to_string()),
    ];
    let template = include_str!("../../../stacks/baseline.yaml");
    let changed = change(template);
    assert_ne!(changed, template);
    NewStack {
        name: "freehold-baseline".to_owned(),
        template: changed,
        template_url: None,
        capabilities: vec![freehold_tenancy::config::Capability::NamedIam],
        parameters: parameters.map(|(name, value)| (name.to_owned(), value)).into(),
        tags: crate::scenarios::freehold_tags(freehold, tenant),
        token: "changed".to_owned(),
    }
}
