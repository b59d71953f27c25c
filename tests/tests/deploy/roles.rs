//! Calls of an attacker with the credentials of the control role or of the people role: denied by the shipped policies,
//! or refused by the worker.

use std::collections::BTreeSet;

use aws_credential_types::Credentials;
use aws_sdk_identitystore::types::{MemberId, Name};
use aws_sdk_organizations::types::Tag;
use aws_sdk_ssoadmin::types::{PrincipalType, TargetType};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use freehold_sandbox::policy::Document;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::Freehold;
use freehold_worker::cloud::{CloudError, Grant, Role, Target};
use freehold_worker::iam_policies::{self, PolicyRole};
use futures::future::{BoxFuture, FutureExt};

use super::read;
use crate::conformance::cloud::{ACCESS_ROLE, Cloud};
use crate::scenarios::{create_external_account, freehold_tags, target};
use crate::steps::offboarding::{MAX_SIMULATED_TIME, create_ready_tenant, offboard};
use crate::steps::reconcile::administrator::Administrator;

const MANAGEMENT: &str = "111122223333";
const OWN: &str = "444455556666";

/// Organisation with one tenant and with objects that Freehold has not created.
struct Scene {
    freehold: Freehold,
    tenant: Tenant,
    /// Account of the tenant.
    account: String,
    /// Account in the root without tags.
    foreign: String,
    /// Account in the root with the tag for the adoption by another environment.
    offered: String,
    /// OU that is not Freehold's.
    foreign_ou: String,
    /// ARN of a permission set that bootstrap has not created.
    foreign_set: String,
    /// Ids of a group that `[[access]]` names, of a group that the configuration does not name, and of a user.
    staff_group: String,
    other_group: String,
    user: String,
    /// Id of the membership of the user in the group of staff.
    staff_membership: String,
}

impl Scene {
    async fn new() -> Self {
        let freehold = Freehold::instant().await;
        let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
        freehold.run_until_idle(&freehold.worker("worker-1"), chrono::TimeDelta::minutes(30)).await;
        let account = target(&freehold, &tenant).id().to_string();
        let foreign = create_external_account(&freehold, "foreign").await.to_string();
        let offered = create_external_account(&freehold, "offered").await.to_string();
        let admin = Administrator::of(&freehold);
        admin.tag_account(&offered, "freehold:adopt", "env_01hzzzzzzzzzzzzzzzzzzzzzzz").await;
        admin.create_group("administrators").await;
        let cloud = cloud(&freehold, &freehold.world.settings().management_access_key);
        let root = cloud.root().await.expect("a root");
        let unit = cloud.organizations().create_organizational_unit().parent_id(&root).name("production");
        let foreign_ou =
            unit.send().await.expect("a unit").organizational_unit.and_then(|unit| unit.id).expect("an id");
        let (instance, store) = instance(&freehold);
        let set = cloud.sso().create_permission_set().instance_arn(&instance).name("org-admin").send().await;
        let foreign_set = set.expect("a set").permission_set.and_then(|set| set.permission_set_arn).expect("an ARN");
        let user = cloud.identity_store().create_user().identity_store_id(&store).user_name("grace@example.com");
        let name = Name::builder().given_name("Grace").family_name("Example").build();
        let user = user.display_name("Grace").name(name).send().await.expect("a user").user_id;
        let group = |name: &str| {
            let state = freehold.world.state();
            let group = state.identity_store.groups.values().find(|group| group.display_name == name);
            group.expect("the group").id.clone()
        };
        let (staff_group, other_group) = (group("support"), group("administrators"));
        let member = cloud.identity_store().create_group_membership().identity_store_id(store).group_id(&staff_group);
        let member = member.member_id(MemberId::UserId(user.clone())).send().await;
        let staff_membership = member.expect("a membership").membership_id;
        // Without the permissions of `freehold bootstrap`.
        let administrator = freehold.administrator().await;
        let ids = iam_policies::read_ids(&administrator, &freehold.config).await.expect("the ids");
        for (name, role) in [("freehold-control", PolicyRole::Control), ("freehold-people", PolicyRole::People)] {
            let policy = Document::from_value(iam_policies::policy(role, &ids)).expect("a policy");
            freehold.world.replace_role_policy(name, policy);
        }
        Self {
            freehold,
            tenant,
            account,
            foreign,
            offered,
            foreign_ou,
            foreign_set,
            staff_group,
            other_group,
            user,
            staff_membership,
        }
    }

    /// Returns clients with the credentials of a role in the management account.
    fn stolen(&self, role: &str) -> Cloud {
        cloud(&self.freehold, &self.freehold.world.open_session(MANAGEMENT, role).expect("the role"))
    }
}

fn cloud(freehold: &Freehold, key: &str) -> Cloud {
    Cloud {
        endpoint: freehold.world.base_url().expect("a served world"),
        http: aws_smithy_http_client::Builder::new().build_http(),
        management: Credentials::new(key, "secret", None, None, "tests"),
        simulator: None,
    }
}

/// Returns the ARN of the Identity Center instance and the id of the Identity Store.
fn instance(freehold: &Freehold) -> (String, String) {
    let state = freehold.world.state();
    (state.identity_center.instance_arn.clone(), state.identity_store.id.clone())
}

/// Returns the error code of a call, or an empty text if it succeeded.
fn code<T, E: ProvideErrorMetadata>(result: Result<T, E>) -> String {
    result.err().map(|error| error.code().unwrap_or("no code").to_owned()).unwrap_or_default()
}

fn tags(pairs: &[(&str, &str)]) -> Vec<Tag> {
    pairs.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build().expect("a tag")).collect()
}

type Attempt<'a> = (&'static str, BoxFuture<'a, String>);

fn assume(cloud: &Cloud, arn: String) -> BoxFuture<'_, String> {
    async move { code(cloud.sts().assume_role().role_arn(arn).role_session_name("attacker").send().await) }.boxed()
}

/// Returns the calls of AWS Organizations and STS that must be denied.
fn attempts_on_accounts<'a>(scene: &'a Scene, cloud: &'a Cloud) -> Vec<Attempt<'a>> {
    let organizations = cloud.organizations();
    let access_role = |account: &str| format!("arn:aws:iam::{account}:role/{ACCESS_ROLE}");
    let own_tags: Vec<(String, String)> = freehold_tags(&scene.freehold, &scene.tenant).into_iter().collect();
    let own_tags: Vec<(&str, &str)> = own_tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let other: Vec<(&str, &str)> = own_tags
        .iter()
        .map(|(key, value)| if *key == "freehold:environment" { (*key, "env_other") } else { (*key, *value) })
        .collect();
    let (own_tags, other) = (tags(&own_tags), tags(&other));
    let tag = |id: &str, tags: &[Tag]| {
        let call = organizations.tag_resource().resource_id(id).set_tags(Some(tags.to_vec()));
        async move { code(call.send().await) }.boxed()
    };
    let create = |number: u8, tags: Option<Vec<Tag>>| {
        let email = format!("attacker-{number}@example.com");
        let call = organizations.create_account().account_name("Attacker").email(email).set_tags(tags);
        async move { code(call.send().await) }.boxed()
    };
    let close = |id: &str| {
        let call = organizations.close_account().account_id(id);
        async move { code(call.send().await) }.boxed()
    };
    let state = scene.freehold.world.state();
    let (root, eu) = (state.organization.root.clone(), state.organization.units.iter());
    let eu = eu.clone().find(|(_, unit)| unit.name == "freehold-eu").expect("the unit").0.clone();
    drop(state);
    let go = |id: &str, from: &str, to: &str| {
        let call = organizations.move_account().account_id(id).source_parent_id(from).destination_parent_id(to);
        async move { code(call.send().await) }.boxed()
    };
    let region = |id: &str| {
        let call = cloud.account_as(&cloud.management).enable_region().account_id(id).region_name("ap-east-1");
        async move { code(call.send().await) }.boxed()
    };
    let mut with_another_key = own_tags.clone();
    with_another_key.extend(tags(&[("team", "red")]));
    vec![
        ("AssumeRole: access role of a foreign account", assume(cloud, access_role(&scene.foreign))),
        ("AssumeRole: access role of an offered account", assume(cloud, access_role(&scene.offered))),
        ("AssumeRole: access role of Freehold's account", assume(cloud, access_role(OWN))),
        ("AssumeRole: people role", assume(cloud, format!("arn:aws:iam::{MANAGEMENT}:role/freehold-people"))),
        (
            "AssumeRole: freehold-access without the external id",
            assume(cloud, format!("arn:aws:iam::{}:role/freehold-access", scene.account)),
        ),
        ("TagResource: foreign account as the environment's", tag(&scene.foreign, &own_tags)),
        ("TagResource: offer a foreign account", tag(&scene.foreign, &tags(&[("freehold:adopt", "env_x")]))),
        ("TagResource: account offered to another environment", tag(&scene.offered, &own_tags)),
        ("TagResource: own account for another environment", tag(&scene.account, &other)),
        ("TagResource: OU", tag(&scene.foreign_ou, &own_tags)),
        ("TagResource: root", tag(&root, &own_tags)),
        ("TagResource: Freehold's account", tag(OWN, &own_tags)),
        ("MoveAccount: foreign account", go(&scene.foreign, &root, &eu)),
        ("MoveAccount: own account to a foreign OU", go(&scene.account, &eu, &scene.foreign_ou)),
        ("MoveAccount: Freehold's account", go(OWN, &root, &eu)),
        ("MoveAccount: management account", go(MANAGEMENT, &root, &eu)),
        ("CloseAccount: foreign account", close(&scene.foreign)),
        ("CloseAccount: offered account", close(&scene.offered)),
        ("CloseAccount: Freehold's account", close(OWN)),
        ("EnableRegion: foreign account", region(&scene.foreign)),
        ("EnableRegion: Freehold's account", region(OWN)),
        ("CreateAccount: no tags", create(1, None)),
        ("CreateAccount: some of the tags", create(2, Some(own_tags[..1].to_vec()))),
        ("CreateAccount: another key", create(3, Some(with_another_key))),
    ]
}

/// Returns the calls of IAM Identity Center that must be denied to both roles.
fn attempts_on_access<'a>(scene: &'a Scene, cloud: &'a Cloud) -> Vec<Attempt<'a>> {
    let (instance, store) = instance(&scene.freehold);
    let (sso, people) = (cloud.sso(), cloud.identity_store());
    let assign = |account: &str, set: &str| {
        let call = sso.create_account_assignment().instance_arn(&instance).target_id(account);
        let call = call.target_type(TargetType::AwsAccount).permission_set_arn(set);
        let call = call.principal_type(PrincipalType::Group).principal_id(&scene.staff_group);
        async move { code(call.send().await) }.boxed()
    };
    let unassign = {
        let call = sso.delete_account_assignment().instance_arn(&instance).target_id(&scene.account);
        let call = call.target_type(TargetType::AwsAccount).permission_set_arn(&scene.foreign_set);
        call.principal_type(PrincipalType::Group).principal_id(&scene.staff_group)
    };
    let set = sso.create_permission_set().instance_arn(&instance).name("attacker");
    let tag = aws_sdk_ssoadmin::types::Tag::builder().key("freehold:permission-set").value("x").build().expect("a tag");
    let tag = sso.tag_resource().instance_arn(&instance).resource_arn(&scene.foreign_set).tags(tag);
    let member = people.create_group_membership().identity_store_id(&store).group_id(&scene.staff_group);
    let member = member.member_id(MemberId::UserId(scene.user.clone()));
    let delete = people.delete_group().identity_store_id(&store).group_id(&scene.staff_group);
    let leave = people.delete_group_membership().identity_store_id(&store).membership_id(&scene.staff_membership);
    let own_set = own_set(&scene.freehold);
    vec![
        ("CreateAccountAssignment: foreign set, foreign account", assign(&scene.foreign, &scene.foreign_set)),
        ("CreateAccountAssignment: foreign set, own account", assign(&scene.account, &scene.foreign_set)),
        ("CreateAccountAssignment: management account", assign(MANAGEMENT, &own_set)),
        ("CreateAccountAssignment: Freehold's account", assign(OWN, &own_set)),
        ("DeleteAccountAssignment: foreign set", async move { code(unassign.send().await) }.boxed()),
        ("CreatePermissionSet", async move { code(set.send().await) }.boxed()),
        ("TagResource: foreign set", async move { code(tag.send().await) }.boxed()),
        ("CreateGroupMembership: group of staff", async move { code(member.send().await) }.boxed()),
        ("DeleteGroup: group of staff", async move { code(delete.send().await) }.boxed()),
        ("DeleteGroupMembership: group of staff", async move { code(leave.send().await) }.boxed()),
    ]
}

/// Returns the calls that only the people role may make.
fn attempts_on_people<'a>(scene: &'a Scene, cloud: &'a Cloud) -> Vec<Attempt<'a>> {
    let (_, store) = instance(&scene.freehold);
    let people = cloud.identity_store();
    let user = people.create_user().identity_store_id(&store).user_name("attacker@example.com").display_name("A");
    let user = user.name(Name::builder().given_name("A").family_name("Example").build());
    let group = people.create_group().identity_store_id(&store).display_name("attackers");
    let member = people.create_group_membership().identity_store_id(&store).group_id(&scene.other_group);
    let member = member.member_id(MemberId::UserId(scene.user.clone()));
    let membership = {
        let state = scene.freehold.world.state();
        let mut memberships = state.identity_store.memberships.iter();
        let other = memberships.find(|(_, membership)| membership.group != scene.staff_group);
        other.expect("a membership").0.clone()
    };
    let leave = people.delete_group_membership().identity_store_id(&store).membership_id(membership);
    let delete_group = people.delete_group().identity_store_id(&store).group_id(&scene.other_group);
    let delete_user = people.delete_user().identity_store_id(&store).user_id(&scene.user);
    vec![
        ("identitystore:CreateUser", async move { code(user.send().await) }.boxed()),
        ("identitystore:CreateGroup", async move { code(group.send().await) }.boxed()),
        ("identitystore:CreateGroupMembership", async move { code(member.send().await) }.boxed()),
        ("identitystore:DeleteGroupMembership", async move { code(leave.send().await) }.boxed()),
        ("identitystore:DeleteGroup", async move { code(delete_group.send().await) }.boxed()),
        ("identitystore:DeleteUser", async move { code(delete_user.send().await) }.boxed()),
    ]
}

fn own_set(freehold: &Freehold) -> String {
    let state = freehold.world.state();
    let set = state.identity_center.permission_sets.values().find(|set| set.name == "tenant-admin");
    set.expect("the permission set").arn.clone()
}

async fn assert_denied(role: &str, attempts: Vec<Attempt<'_>>) -> usize {
    let (count, mut allowed) = (attempts.len(), Vec::new());
    for (name, attempt) in attempts {
        let code = attempt.await;
        if !["AccessDeniedException", "AccessDenied"].contains(&code.as_str()) {
            allowed.push(format!("{role}: {name}: {code}"));
        }
    }
    assert_eq!(allowed, [""; 0]);
    count
}

#[tokio::test]
async fn stolen_roles_cannot_change_what_freehold_has_not_created() {
    let scene = Scene::new().await;
    let mut count = 0;
    let control = scene.stolen("freehold-control");
    count += assert_denied("control role", attempts_on_accounts(&scene, &control)).await;
    count += assert_denied("control role", attempts_on_access(&scene, &control)).await;
    count += assert_denied("control role", attempts_on_people(&scene, &control)).await;
    let people = scene.stolen("freehold-people");
    count += assert_denied("people role", attempts_on_accounts(&scene, &people)).await;
    count += assert_denied("people role", attempts_on_access(&scene, &people)).await;
    assert_eq!(count, 74, "denied calls");
}

/// The list in deploy/iam/README.md must be complete, because docs/security.md refers to it.
#[tokio::test]
async fn the_calls_that_iam_cannot_restrict_are_documented() {
    let scene = Scene::new().await;
    let readme = read("deploy/iam/README.md");
    let (_, section) = readme.split_once("## What IAM cannot express").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let (control, people) = (scene.stolen("freehold-control"), scene.stolen("freehold-people"));
    let (instance, _) = instance(&scene.freehold);
    let assign = control.sso().create_account_assignment().instance_arn(instance).target_id(&scene.foreign);
    let assign = assign.target_type(TargetType::AwsAccount).permission_set_arn(own_set(&scene.freehold));
    let assign = assign.principal_type(PrincipalType::Group).principal_id(&scene.staff_group);
    let assign = ("sso:CreateAccountAssignment", async move { code(assign.send().await) }.boxed());
    for (call, attempt) in attempts_on_people(&scene, &people).into_iter().chain([assign]) {
        let code = attempt.await;
        assert_eq!(code, "", "{call} is denied by IAM, so the README must not list it");
        assert!(section.contains(&format!("`{call}`")), "{call} is not listed");
    }
}

/// Returns the error codes of all calls that change `account`.
async fn changes(scene: &Scene, account: &Target) -> Vec<String> {
    let aws = scene.freehold.aws(None).for_installation(scene.freehold.installation.id);
    let grant = Grant { permission_set_arn: own_set(&scene.freehold), group_id: scene.staff_group.clone() };
    let (root, eu) = {
        let state = scene.freehold.world.state();
        let eu = state.organization.units.iter().find(|(_, unit)| unit.name == "freehold-eu").expect("the unit").0;
        (state.organization.root.clone(), eu.clone())
    };
    let code = |result: Result<(), CloudError>| result.err().map(|error| error.code).unwrap_or_default();
    vec![
        code(aws.move_account(account, &root, &eu).await),
        code(aws.close_account(account).await),
        code(aws.enable_region(account, "ap-east-1".parse().expect("a region")).await),
        code(aws.assign(account, &grant).await.map(drop)),
        code(aws.unassign(account, &grant).await.map(drop)),
        code(aws.check_role(account, Role::Organization).await),
    ]
}

#[tokio::test]
async fn the_worker_changes_no_account_without_the_tags_of_its_environment() {
    let scene = Scene::new().await;
    let environment = scene.tenant.environments[0].id;
    let organization = &scene.freehold.config.organization;
    let other = scene.freehold.sign_up("Other", "eu-central-1", "standard").await;
    let of = |account: &str, environment| {
        Target::new(account.parse().expect("an id"), environment, organization).expect("a target")
    };
    let calls = |name: &str| scene.freehold.world.calls().of(name).calls;
    let writes = ["organizations:MoveAccount", "organizations:CloseAccount", "account:EnableRegion"];
    let writes: Vec<&str> = writes.into_iter().chain(["ssoadmin:CreateAccountAssignment", "sts:AssumeRole"]).collect();
    // The session of the control role is opened by the first call. The tags of a new account may not be visible yet.
    assert_eq!(changes(&scene, &of(&scene.foreign, environment)).await, ["TagsNotVisible"; 6]);
    scene.freehold.clock.advance(std::time::Duration::from_mins(16));
    assert_eq!(changes(&scene, &of(&scene.foreign, environment)).await, ["AccountNotOwn"; 6]);
    let before: Vec<u64> = writes.iter().map(|name| calls(name)).collect();
    for target in [of(&scene.offered, environment), of(&scene.account, other.environments[0].id)] {
        assert_eq!(changes(&scene, &target).await, ["AccountNotOwn"; 6], "{target}");
    }
    let sessions = 2;
    let after: Vec<u64> = writes.iter().map(|name| calls(name)).collect();
    assert_eq!(after[..4], before[..4], "calls were made");
    assert_eq!(after[4] - before[4], sessions, "a role in the account was assumed");
}

#[tokio::test]
async fn only_the_people_role_changes_users_and_groups() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    offboard(&freehold, &tenant, false).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let (mut by_people, mut changes) = (BTreeSet::new(), BTreeSet::new());
    let calls = freehold.world.calls();
    for call in calls.recent() {
        let is_change =
            ["identitystore:Create", "identitystore:Delete"].iter().any(|one| call.operation.starts_with(one));
        if call.caller.contains("assumed-role/freehold-people/") {
            by_people.insert(call.operation.as_str());
        }
        if is_change {
            changes.insert(call.operation.as_str());
        }
    }
    assert_eq!(by_people, changes, "calls of the people role, and changes of users and groups");
    assert_eq!(changes.len(), 5, "{changes:?}");
}
