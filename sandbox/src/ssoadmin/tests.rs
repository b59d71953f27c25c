use serde_json::{Value, json};

use crate::World;
use crate::faults::{Fault, Rule};
use crate::settings::{Durations, Settings, Spread};
use crate::testing::{TestClient, instant_world, wait};
use crate::world::Service;
use crate::world::testing::{TestResponse, account, world, world_with};

const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// An administrator, an account, a permission set and the two groups that the sandbox begins with.
struct Scene {
    person: TestClient,
    instance: String,
    account: String,
    set: String,
    groups: Vec<String>,
}

impl Scene {
    fn new(world: &World) -> Self {
        let person = TestClient::administrator(world);
        let instance = ask(&person, "ListInstances", json!({})).body["Instances"][0].clone();
        let account = account(world, "aws+one@example.com");
        let groups = world.state().identity_store.groups.keys().cloned().collect();
        let instance = text(&instance["InstanceArn"]);
        let created = ask(&person, "CreatePermissionSet", json!({ "InstanceArn": instance, "Name": "support" })).ok();
        let set = text(&created.body["PermissionSet"]["PermissionSetArn"]);
        Self { person, instance, account, set, groups }
    }

    /// Calls with the instance, and the set unless the input names another.
    fn ask(&self, operation: &str, mut input: Value) -> TestResponse {
        input["InstanceArn"] = json!(self.instance);
        if input.get("PermissionSetArn").is_none() {
            input["PermissionSetArn"] = json!(self.set);
        }
        ask(&self.person, operation, input)
    }

    fn assignment(&self, account: &str, group: usize) -> Value {
        json!({
            "TargetId": account,
            "TargetType": "AWS_ACCOUNT",
            "PrincipalType": "GROUP",
            "PrincipalId": self.groups[group],
        })
    }

    fn grant(&self, group: usize) -> TestResponse {
        self.ask("CreateAccountAssignment", self.assignment(&self.account, group))
    }

    fn status(&self, asked: &TestResponse) -> Value {
        let id = &asked.body["AccountAssignmentCreationStatus"]["RequestId"];
        let input = json!({ "AccountAssignmentCreationRequestId": id });
        self.ask("DescribeAccountAssignmentCreationStatus", input).ok().body["AccountAssignmentCreationStatus"].clone()
    }

    fn assigned(&self) -> usize {
        let listed = self.ask("ListAccountAssignments", json!({ "AccountId": self.account })).ok();
        listed.body["AccountAssignments"].as_array().unwrap().len()
    }

    /// The roles that Identity Center has made in the account.
    fn roles(&self) -> Vec<String> {
        let state = self.person.world.state();
        let names = state.accounts[&self.account].roles.keys().filter(|name| name.starts_with("AWSReservedSSO_"));
        names.cloned().collect()
    }
}

fn ask(person: &TestClient, operation: &str, input: Value) -> TestResponse {
    person.call(Service::SsoAdmin, operation, input)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

#[test]
fn the_instance_is_seen_in_its_own_region_only() {
    let world = instant_world();
    let administrator = TestClient::administrator(&world);
    let elsewhere = administrator.in_region("eu-west-1");
    assert_eq!(ask(&elsewhere, "ListInstances", json!({})).ok().body["Instances"], json!([]));
    let everywhere = ask(&elsewhere, "ListInstances", json!({ "RegionScope": "ALL_REGIONS" })).ok();
    assert_eq!(everywhere.body["Instances"].as_array().unwrap().len(), 1);
    let here = ask(&administrator, "ListInstances", json!({})).ok();
    let instance = &here.body["Instances"][0];
    assert_eq!(instance["IdentityStoreId"], json!(world.state().identity_store.id));
    let lost = ask(&elsewhere, "ListPermissionSets", json!({ "InstanceArn": instance["InstanceArn"] }));
    assert_eq!(lost.code().as_deref(), Some("ResourceNotFoundException"));
}

#[test]
fn an_assignment_takes_its_time_and_brings_a_role_into_the_account() {
    let scene = Scene::new(&world());
    scene.ask("AttachManagedPolicyToPermissionSet", json!({ "ManagedPolicyArn": ADMINISTRATOR })).ok();
    let asked = scene.grant(0).ok();
    assert_eq!(scene.status(&asked)["Status"], "IN_PROGRESS");
    assert_eq!((scene.assigned(), scene.roles().len()), (0, 0));
    wait(&scene.person.world, 600);
    assert_eq!(scene.status(&asked)["Status"], "SUCCEEDED");
    assert_eq!((scene.assigned(), scene.roles().len()), (1, 1));
    assert!(scene.roles()[0].starts_with("AWSReservedSSO_support_"));
    assert_eq!(scene.person.world.busy().iter().filter(|busy| busy.activity == "assignment").count(), 1);

    let ended = scene.ask("DeleteAccountAssignment", scene.assignment(&scene.account, 0)).ok();
    wait(&scene.person.world, 600);
    let id = &ended.body["AccountAssignmentDeletionStatus"]["RequestId"];
    let input = json!({ "AccountAssignmentDeletionRequestId": id });
    let status = scene.ask("DescribeAccountAssignmentDeletionStatus", input).ok();
    assert_eq!(status.body["AccountAssignmentDeletionStatus"]["Status"], "SUCCEEDED");
    assert_eq!((scene.assigned(), scene.roles().len()), (0, 0));
}

#[test]
fn granting_twice_leaves_one_assignment() {
    let scene = Scene::new(&instant_world());
    scene.grant(0).ok();
    let again = scene.grant(0).ok();
    assert_eq!(scene.status(&again)["Status"], "SUCCEEDED");
    assert_eq!(scene.assigned(), 1);
}

#[test]
fn a_write_waits_for_the_one_before_it_on_the_same_set_and_account() {
    let scene = Scene::new(&world());
    scene.grant(0).ok();
    assert_eq!(scene.grant(1).code().as_deref(), Some("ConflictException"));
    wait(&scene.person.world, 600);
    scene.grant(1).ok();
    wait(&scene.person.world, 600);
    assert_eq!(scene.assigned(), 2);
}

#[test]
fn fifteen_creations_may_be_outstanding() {
    let settings = Settings {
        throttling: false,
        durations: Durations { assignment: Spread::exactly(60.0), ..Durations::instant() },
        ..Settings::default()
    };
    let world = world_with(settings);
    let scene = Scene::new(&world);
    let accounts: Vec<String> = (0..16).map(|n| account(&world, &format!("aws+n{n}@example.com"))).collect();
    for account in &accounts[..15] {
        scene.ask("CreateAccountAssignment", scene.assignment(account, 0)).ok();
    }
    let one_more = || scene.ask("CreateAccountAssignment", scene.assignment(&accounts[15], 0));
    assert_eq!(one_more().code().as_deref(), Some("ThrottlingException"));
    wait(&world, 61);
    one_more().ok();
}

#[test]
fn a_fresh_account_refuses_the_role_and_a_stranger_is_no_target() {
    let world = world();
    let scene = Scene::new(&world);
    let fresh = {
        let input = json!({ "Email": "aws+fresh@example.com", "AccountName": "Fresh" });
        scene.person.call(Service::Organizations, "CreateAccount", input).ok();
        wait(&world, 600);
        let id = world.account_by_email("aws+fresh@example.com").unwrap().id;
        world.state().accounts.get_mut(&id).unwrap().settled_at = world.clock().now() + chrono::TimeDelta::hours(1);
        id
    };
    let asked = scene.ask("CreateAccountAssignment", scene.assignment(&fresh, 0)).ok();
    wait(&world, 600);
    let status = scene.status(&asked);
    assert_eq!(status["Status"], "FAILED");
    assert!(text(&status["FailureReason"]).starts_with("Received a 403 status error: Access denied by IAM"));

    let stranger = scene.ask("CreateAccountAssignment", scene.assignment("999999999999", 0));
    assert_eq!(stranger.code().as_deref(), Some("ResourceNotFoundException"));
}

#[test]
fn a_changed_set_reaches_its_accounts_when_it_is_provisioned() {
    let scene = Scene::new(&instant_world());
    scene.grant(0).ok();
    let stale = || {
        let input =
            json!({ "AccountId": scene.account, "ProvisioningStatus": "LATEST_PERMISSION_SET_NOT_PROVISIONED" });
        scene.ask("ListPermissionSetsProvisionedToAccount", input).ok().body["PermissionSets"].clone()
    };
    assert_eq!(stale(), json!([]));
    let inline = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}"#;
    scene.ask("PutInlinePolicyToPermissionSet", json!({ "InlinePolicy": inline })).ok();
    assert_eq!(stale(), json!([scene.set]));
    let asked = scene.ask("ProvisionPermissionSet", json!({ "TargetType": "ALL_PROVISIONED_ACCOUNTS" })).ok();
    let id = &asked.body["PermissionSetProvisioningStatus"]["RequestId"];
    let input = json!({ "ProvisionPermissionSetRequestId": id });
    let status = scene.ask("DescribePermissionSetProvisioningStatus", input).ok();
    assert_eq!(status.body["PermissionSetProvisioningStatus"]["Status"], "SUCCEEDED");
    assert_eq!(stale(), json!([]));
    let state = scene.person.world.state();
    let account = &state.accounts[&scene.account];
    let role = account.roles.values().find(|role| role.name.starts_with("AWSReservedSSO_support_")).unwrap();
    assert_eq!(role.inline.len(), 1);
}

#[test]
fn a_permission_set_has_one_name_and_a_policy_once() {
    let scene = Scene::new(&instant_world());
    let code = |operation: &str, input: Value| scene.ask(operation, input).code().unwrap_or_default();
    assert_eq!(code("CreatePermissionSet", json!({ "Name": "support" })), "ConflictException");
    assert_eq!(code("CreatePermissionSet", json!({ "Name": "x".repeat(33) })), "ValidationException");
    assert_eq!(code("CreatePermissionSet", json!({ "Name": "a", "SessionDuration": "PT13H" })), "ValidationException");
    assert_eq!(code("AttachManagedPolicyToPermissionSet", json!({ "ManagedPolicyArn": ADMINISTRATOR })), "");
    assert_eq!(
        code("AttachManagedPolicyToPermissionSet", json!({ "ManagedPolicyArn": ADMINISTRATOR })),
        "ConflictException"
    );
    let long = format!(r#"{{"Statement":[],"Version":"{}"}}"#, "x".repeat(10_240));
    assert_eq!(
        code("PutInlinePolicyToPermissionSet", json!({ "InlinePolicy": long })),
        "ServiceQuotaExceededException"
    );
    assert_eq!(code("TagResource", json!({ "ResourceArn": scene.set, "Tags": [{ "Key": "k", "Value": "v" }] })), "");
    let tags = scene.ask("ListTagsForResource", json!({ "ResourceArn": scene.set })).ok();
    assert_eq!(tags.body["Tags"], json!([{ "Key": "k", "Value": "v" }]));
    scene.grant(0).ok();
    assert_eq!(code("DeletePermissionSet", json!({})), "ConflictException");
}

#[test]
fn only_the_management_account_has_a_say() {
    let world = instant_world();
    let scene = Scene::new(&world);
    let member = TestClient::member(&instant_world());
    let asked = ask(&member, "ListPermissionSets", json!({ "InstanceArn": scene.instance }));
    assert_eq!(asked.code().as_deref(), Some("AccessDeniedException"));
}

#[test]
fn lists_come_in_pages_of_twenty() {
    let scene = Scene::new(&instant_world());
    for n in 0..24 {
        scene.ask("CreatePermissionSet", json!({ "Name": format!("set-{n}") })).ok();
    }
    let first = scene.ask("ListPermissionSets", json!({})).ok();
    assert_eq!(first.body["PermissionSets"].as_array().unwrap().len(), 20);
    let second = scene.ask("ListPermissionSets", json!({ "NextToken": first.body["NextToken"] })).ok();
    assert_eq!(second.body["PermissionSets"].as_array().unwrap().len(), 5);
    assert!(second.body.get("NextToken").is_none());
}

#[test]
fn an_assignment_that_is_to_fail_says_why_and_one_that_is_stuck_stays() {
    let scene = Scene::new(&instant_world());
    let rule = |fault| Rule::on("ssoadmin", "CreateAccountAssignment", fault).times(1);
    scene.person.world.inject(rule(Fault::failed("Received a 404 status error")));
    let failed = scene.grant(0).ok();
    assert_eq!(scene.status(&failed)["FailureReason"], "Received a 404 status error");
    scene.person.world.inject(rule(Fault::Stuck));
    let stuck = scene.grant(0).ok();
    wait(&scene.person.world, 86_400);
    assert_eq!(scene.status(&stuck)["Status"], "IN_PROGRESS");
    assert_eq!(scene.assigned(), 0);
}
