use serde_json::{Value, json};

use crate::World;
use crate::faults::{Fault, Rule};
use crate::settings::{DurationDistribution, Durations, Settings};
use crate::testing::{TestClient, advance_clock, instant_world};
use crate::world::Service;
use crate::world::testing::{TestResponse, account, world, world_with};

const ADMINISTRATOR_POLICY_ARN: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// Test fixture with an administrator, an account, a permission set and the two initial groups of the sandbox.
struct Fixture {
    administrator: TestClient,
    instance: String,
    account: String,
    set: String,
    groups: Vec<String>,
}

impl Fixture {
    fn new(world: &World) -> Self {
        let administrator = TestClient::administrator(world);
        let instance = call_api(&administrator, "ListInstances", json!({})).body["Instances"][0].clone();
        let account = account(world, "aws+one@example.com");
        let groups = world.state().identity_store.groups.keys().cloned().collect();
        let instance = text(&instance["InstanceArn"]);
        let created =
            call_api(&administrator, "CreatePermissionSet", json!({ "InstanceArn": instance, "Name": "support" })).ok();
        let set = text(&created.body["PermissionSet"]["PermissionSetArn"]);
        Self { administrator, instance, account, set, groups }
    }

    /// Calls an operation. Adds the instance ARN to the input, and the ARN of the permission set unless the input
    /// contains one.
    fn call_api(&self, operation: &str, mut input: Value) -> TestResponse {
        input["InstanceArn"] = json!(self.instance);
        if input.get("PermissionSetArn").is_none() {
            input["PermissionSetArn"] = json!(self.set);
        }
        call_api(&self.administrator, operation, input)
    }

    fn assignment(&self, account: &str, group: usize) -> Value {
        json!({
            "TargetId": account,
            "TargetType": "AWS_ACCOUNT",
            "PrincipalType": "GROUP",
            "PrincipalId": self.groups[group],
        })
    }

    fn create_assignment(&self, group: usize) -> TestResponse {
        self.call_api("CreateAccountAssignment", self.assignment(&self.account, group))
    }

    fn status(&self, created: &TestResponse) -> Value {
        let id = &created.body["AccountAssignmentCreationStatus"]["RequestId"];
        let input = json!({ "AccountAssignmentCreationRequestId": id });
        self.call_api("DescribeAccountAssignmentCreationStatus", input).ok().body["AccountAssignmentCreationStatus"]
            .clone()
    }

    fn count_assignments(&self) -> usize {
        let listed = self.call_api("ListAccountAssignments", json!({ "AccountId": self.account })).ok();
        listed.body["AccountAssignments"].as_array().unwrap().len()
    }

    /// Returns the names of the roles that Identity Center created in the account.
    fn roles(&self) -> Vec<String> {
        let state = self.administrator.world.state();
        let names = state.accounts[&self.account].roles.keys().filter(|name| name.starts_with("AWSReservedSSO_"));
        names.cloned().collect()
    }
}

fn call_api(administrator: &TestClient, operation: &str, input: Value) -> TestResponse {
    administrator.call(Service::SsoAdmin, operation, input)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string")).to_owned()
}

#[test]
fn the_instance_is_visible_in_its_home_region_only() {
    let world = instant_world();
    let administrator = TestClient::administrator(&world);
    let other_region = administrator.in_region("eu-west-1");
    assert_eq!(call_api(&other_region, "ListInstances", json!({})).ok().body["Instances"], json!([]));
    let all_regions = call_api(&other_region, "ListInstances", json!({ "RegionScope": "ALL_REGIONS" })).ok();
    assert_eq!(all_regions.body["Instances"].as_array().unwrap().len(), 1);
    let home = call_api(&administrator, "ListInstances", json!({})).ok();
    let instance = &home.body["Instances"][0];
    assert_eq!(instance["IdentityStoreId"], json!(world.state().identity_store.id));
    let not_found = call_api(&other_region, "ListPermissionSets", json!({ "InstanceArn": instance["InstanceArn"] }));
    assert_eq!(not_found.code().as_deref(), Some("ResourceNotFoundException"));
}

#[test]
fn an_assignment_completes_later_and_creates_a_role_in_the_account() {
    let fixture = Fixture::new(&world());
    fixture
        .call_api("AttachManagedPolicyToPermissionSet", json!({ "ManagedPolicyArn": ADMINISTRATOR_POLICY_ARN }))
        .ok();
    let response = fixture.create_assignment(0).ok();
    assert_eq!(fixture.status(&response)["Status"], "IN_PROGRESS");
    assert_eq!((fixture.count_assignments(), fixture.roles().len()), (0, 0));
    advance_clock(&fixture.administrator.world, 600);
    assert_eq!(fixture.status(&response)["Status"], "SUCCEEDED");
    assert_eq!((fixture.count_assignments(), fixture.roles().len()), (1, 1));
    assert!(fixture.roles()[0].starts_with("AWSReservedSSO_support_"));
    assert_eq!(fixture.administrator.world.busy().iter().filter(|busy| busy.activity == "assignment").count(), 1);

    let deleted = fixture.call_api("DeleteAccountAssignment", fixture.assignment(&fixture.account, 0)).ok();
    advance_clock(&fixture.administrator.world, 600);
    let id = &deleted.body["AccountAssignmentDeletionStatus"]["RequestId"];
    let input = json!({ "AccountAssignmentDeletionRequestId": id });
    let status = fixture.call_api("DescribeAccountAssignmentDeletionStatus", input).ok();
    assert_eq!(status.body["AccountAssignmentDeletionStatus"]["Status"], "SUCCEEDED");
    assert_eq!((fixture.count_assignments(), fixture.roles().len()), (0, 0));
}

#[test]
fn creating_an_assignment_twice_leaves_one_assignment() {
    let fixture = Fixture::new(&instant_world());
    fixture.create_assignment(0).ok();
    let again = fixture.create_assignment(0).ok();
    assert_eq!(fixture.status(&again)["Status"], "SUCCEEDED");
    assert_eq!(fixture.count_assignments(), 1);
}

#[test]
fn concurrent_writes_to_the_same_set_and_account_conflict() {
    let fixture = Fixture::new(&world());
    fixture.create_assignment(0).ok();
    assert_eq!(fixture.create_assignment(1).code().as_deref(), Some("ConflictException"));
    advance_clock(&fixture.administrator.world, 600);
    fixture.create_assignment(1).ok();
    advance_clock(&fixture.administrator.world, 600);
    assert_eq!(fixture.count_assignments(), 2);
}

#[test]
fn at_most_fifteen_creations_are_in_progress() {
    let settings = Settings {
        throttling: false,
        durations: Durations { assignment: DurationDistribution::constant(60.0), ..Durations::instant() },
        ..Settings::default()
    };
    let world = world_with(settings);
    let fixture = Fixture::new(&world);
    let accounts: Vec<String> = (0..16).map(|n| account(&world, &format!("aws+n{n}@example.com"))).collect();
    for account in &accounts[..15] {
        fixture.call_api("CreateAccountAssignment", fixture.assignment(account, 0)).ok();
    }
    let one_more = || fixture.call_api("CreateAccountAssignment", fixture.assignment(&accounts[15], 0));
    assert_eq!(one_more().code().as_deref(), Some("ThrottlingException"));
    advance_clock(&world, 61);
    one_more().ok();
}

#[test]
fn assignments_to_new_or_unknown_accounts_fail() {
    let world = world();
    let fixture = Fixture::new(&world);
    let new_account = {
        let input = json!({ "Email": "aws+fresh@example.com", "AccountName": "Fresh" });
        fixture.administrator.call(Service::Organizations, "CreateAccount", input).ok();
        advance_clock(&world, 600);
        let id = world.account_by_email("aws+fresh@example.com").unwrap().id;
        world.state().accounts.get_mut(&id).unwrap().settled_at = world.clock().now() + chrono::TimeDelta::hours(1);
        id
    };
    let response = fixture.call_api("CreateAccountAssignment", fixture.assignment(&new_account, 0)).ok();
    advance_clock(&world, 600);
    let status = fixture.status(&response);
    assert_eq!(status["Status"], "FAILED");
    assert!(text(&status["FailureReason"]).starts_with("Received a 403 status error: Access denied by IAM"));

    let unknown = fixture.call_api("CreateAccountAssignment", fixture.assignment("999999999999", 0));
    assert_eq!(unknown.code().as_deref(), Some("ResourceNotFoundException"));
}

#[test]
fn a_changed_permission_set_takes_effect_when_provisioned() {
    let fixture = Fixture::new(&instant_world());
    fixture.create_assignment(0).ok();
    let stale = || {
        let input =
            json!({ "AccountId": fixture.account, "ProvisioningStatus": "LATEST_PERMISSION_SET_NOT_PROVISIONED" });
        fixture.call_api("ListPermissionSetsProvisionedToAccount", input).ok().body["PermissionSets"].clone()
    };
    assert_eq!(stale(), json!([]));
    let inline = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}"#;
    fixture.call_api("PutInlinePolicyToPermissionSet", json!({ "InlinePolicy": inline })).ok();
    assert_eq!(stale(), json!([fixture.set]));
    let response = fixture.call_api("ProvisionPermissionSet", json!({ "TargetType": "ALL_PROVISIONED_ACCOUNTS" })).ok();
    let id = &response.body["PermissionSetProvisioningStatus"]["RequestId"];
    let input = json!({ "ProvisionPermissionSetRequestId": id });
    let status = fixture.call_api("DescribePermissionSetProvisioningStatus", input).ok();
    assert_eq!(status.body["PermissionSetProvisioningStatus"]["Status"], "SUCCEEDED");
    assert_eq!(stale(), json!([]));
    let state = fixture.administrator.world.state();
    let account = &state.accounts[&fixture.account];
    let role = account.roles.values().find(|role| role.name.starts_with("AWSReservedSSO_support_")).unwrap();
    assert_eq!(role.inline.len(), 1);
}

#[test]
fn permission_set_names_and_attached_policies_are_unique() {
    let fixture = Fixture::new(&instant_world());
    let code = |operation: &str, input: Value| fixture.call_api(operation, input).code().unwrap_or_default();
    assert_eq!(code("CreatePermissionSet", json!({ "Name": "support" })), "ConflictException");
    assert_eq!(code("CreatePermissionSet", json!({ "Name": "x".repeat(33) })), "ValidationException");
    assert_eq!(code("CreatePermissionSet", json!({ "Name": "a", "SessionDuration": "PT13H" })), "ValidationException");
    assert_eq!(code("AttachManagedPolicyToPermissionSet", json!({ "ManagedPolicyArn": ADMINISTRATOR_POLICY_ARN })), "");
    assert_eq!(
        code("AttachManagedPolicyToPermissionSet", json!({ "ManagedPolicyArn": ADMINISTRATOR_POLICY_ARN })),
        "ConflictException"
    );
    let long = format!(r#"{{"Statement":[],"Version":"{}"}}"#, "x".repeat(10_240));
    assert_eq!(
        code("PutInlinePolicyToPermissionSet", json!({ "InlinePolicy": long })),
        "ServiceQuotaExceededException"
    );
    assert_eq!(code("TagResource", json!({ "ResourceArn": fixture.set, "Tags": [{ "Key": "k", "Value": "v" }] })), "");
    let tags = fixture.call_api("ListTagsForResource", json!({ "ResourceArn": fixture.set })).ok();
    assert_eq!(tags.body["Tags"], json!([{ "Key": "k", "Value": "v" }]));
    fixture.create_assignment(0).ok();
    assert_eq!(code("DeletePermissionSet", json!({})), "ConflictException");
}

#[test]
fn only_the_management_account_may_call_identity_center() {
    let world = instant_world();
    let fixture = Fixture::new(&world);
    let member = TestClient::member(&instant_world());
    let response = call_api(&member, "ListPermissionSets", json!({ "InstanceArn": fixture.instance }));
    assert_eq!(response.code().as_deref(), Some("AccessDeniedException"));
}

#[test]
fn lists_have_pages_of_twenty() {
    let fixture = Fixture::new(&instant_world());
    for n in 0..24 {
        fixture.call_api("CreatePermissionSet", json!({ "Name": format!("set-{n}") })).ok();
    }
    let first = fixture.call_api("ListPermissionSets", json!({})).ok();
    assert_eq!(first.body["PermissionSets"].as_array().unwrap().len(), 20);
    let second = fixture.call_api("ListPermissionSets", json!({ "NextToken": first.body["NextToken"] })).ok();
    assert_eq!(second.body["PermissionSets"].as_array().unwrap().len(), 5);
    assert!(second.body.get("NextToken").is_none());
}

#[test]
fn a_failed_assignment_has_a_reason_and_a_stuck_one_stays_in_progress() {
    let fixture = Fixture::new(&instant_world());
    let rule = |fault| Rule::on("ssoadmin", "CreateAccountAssignment", fault).times(1);
    fixture.administrator.world.inject(rule(Fault::failed("Received a 404 status error")));
    let failed = fixture.create_assignment(0).ok();
    assert_eq!(fixture.status(&failed)["FailureReason"], "Received a 404 status error");
    fixture.administrator.world.inject(rule(Fault::Stuck));
    let stuck = fixture.create_assignment(0).ok();
    advance_clock(&fixture.administrator.world, 86_400);
    assert_eq!(fixture.status(&stuck)["Status"], "IN_PROGRESS");
    assert_eq!(fixture.count_assignments(), 0);
}
