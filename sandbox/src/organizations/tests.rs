//! Tests of the simulated AWS Organizations through its API.

use std::time::Duration;

use serde_json::{Value, json};

use crate::faults::{Fault, Rule};
use crate::settings::Settings;
use crate::world::testing::{Credentials, TestResponse, access_role, account, assume_role, call, world, world_with};
use crate::world::{Service, World};

fn call_api(world: &World, operation: &str, input: Value) -> TestResponse {
    call(world, &Credentials::management(world), Service::Organizations, operation, input)
}

fn create(world: &World, email: &str) -> TestResponse {
    call_api(world, "CreateAccount", json!({ "Email": email, "AccountName": format!("Account of {email}") }))
}

fn status(world: &World, created: &TestResponse) -> Value {
    let id = &created.body["CreateAccountStatus"]["Id"];
    let described = call_api(world, "DescribeCreateAccountStatus", json!({ "CreateAccountRequestId": id })).ok();
    described.body["CreateAccountStatus"].clone()
}

fn root(world: &World) -> String {
    call_api(world, "ListRoots", json!({})).body["Roots"][0]["Id"].as_str().unwrap().to_owned()
}

fn unit(world: &World, name: &str) -> String {
    let input = json!({ "ParentId": root(world), "Name": name });
    let created = call_api(world, "CreateOrganizationalUnit", input).ok();
    created.body["OrganizationalUnit"]["Id"].as_str().unwrap().to_owned()
}

#[test]
fn a_new_account_is_listed_in_the_root_once_its_creation_completes() {
    let world = world();
    let tags = json!([{ "Key": "freehold:environment", "Value": "env_1" }]);
    let input = json!({ "Email": "a@example.com", "AccountName": "Example", "Tags": tags });
    let created = call_api(&world, "CreateAccount", input).ok();
    assert_eq!(created.body["CreateAccountStatus"]["State"], "IN_PROGRESS");
    assert_eq!(created.body["CreateAccountStatus"].get("AccountId"), None);
    assert_eq!(call_api(&world, "ListAccounts", json!({})).body["Accounts"].as_array().unwrap().len(), 2);

    world.clock().advance(Duration::from_mins(10));
    let status = status(&world, &created);
    assert_eq!(status["State"], "SUCCEEDED");
    let id = &status["AccountId"];
    assert_eq!(
        call_api(&world, "ListParents", json!({ "ChildId": id })).body["Parents"][0]["Id"],
        root(&world).as_str()
    );
    assert_eq!(call_api(&world, "ListTagsForResource", json!({ "ResourceId": id })).body["Tags"], tags);
    let described = call_api(&world, "DescribeAccount", json!({ "AccountId": id })).ok().body;
    assert_eq!((&described["Account"]["State"], &described["Account"]["Status"]), (&json!("ACTIVE"), &json!("ACTIVE")));
}

#[test]
fn creating_an_account_with_a_used_email_fails() {
    let world = world();
    account(&world, "a@example.com");
    world.reserve_email("foreign@example.com");
    for email in ["A@example.com", "foreign@example.com"] {
        let created = create(&world, email).ok();
        world.clock().advance(Duration::from_mins(1));
        let status = status(&world, &created);
        assert_eq!((&status["State"], &status["FailureReason"]), (&json!("FAILED"), &json!("EMAIL_ALREADY_EXISTS")));
    }
    assert_eq!(world.accounts().len(), 3);
}

#[test]
fn concurrent_identical_requests_create_one_account() {
    let world = world();
    let first = create(&world, "a@example.com").ok();
    let second = create(&world, "a@example.com").ok();
    world.clock().advance(Duration::from_mins(10));
    assert_eq!(status(&world, &first)["State"], "SUCCEEDED");
    assert_eq!(status(&world, &second)["FailureReason"], "CONCURRENT_ACCOUNT_MODIFICATION");
}

#[test]
fn at_most_five_creations_are_in_progress_within_the_account_quota() {
    let world = world_with(Settings { throttling: false, account_quota: 8, ..Settings::default() });
    for n in 0..5 {
        create(&world, &format!("a{n}@example.com")).ok();
    }
    let sixth = create(&world, "a5@example.com");
    assert_eq!(sixth.code().as_deref(), Some("ConstraintViolationException"));
    assert_eq!(sixth.reason(), "ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED");

    world.clock().advance(Duration::from_mins(10));
    create(&world, "a5@example.com").ok();
    assert_eq!(create(&world, "a6@example.com").reason(), "ACCOUNT_NUMBER_LIMIT_EXCEEDED");
}

#[test]
fn only_the_management_account_may_call_organizations() {
    let world = world();
    let id = account(&world, "a@example.com");
    let member = assume_role(&world, &Credentials::management(&world), &access_role(&id), &[]).unwrap();
    let call_api = |operation, input| call(&world, &member, Service::Organizations, operation, input);
    let denied = call_api("CreateAccount", json!({ "Email": "b@example.com", "AccountName": "x" }));
    assert_eq!(denied.code().as_deref(), Some("AccessDeniedException"));
    call_api("DescribeOrganization", json!({})).ok();
}

#[test]
fn lists_have_pages_of_twenty_and_an_empty_page_can_have_a_token() {
    let world = world_with(Settings::instant());
    for n in 0..23 {
        create(&world, &format!("a{n}@example.com")).ok();
    }
    let first = call_api(&world, "ListAccounts", json!({})).ok().body;
    assert_eq!(first["Accounts"].as_array().unwrap().len(), 20);
    world.inject(Rule::on("organizations", "ListAccounts", Fault::EmptyPage).times(1));
    let empty = call_api(&world, "ListAccounts", json!({ "NextToken": first["NextToken"] })).ok().body;
    assert_eq!(empty["Accounts"], json!([]));
    let second = call_api(&world, "ListAccounts", json!({ "NextToken": empty["NextToken"] })).ok().body;
    assert_eq!(second["Accounts"].as_array().unwrap().len(), 5);
    assert_eq!(second.get("NextToken"), None);

    let wrong = call_api(&world, "ListAccounts", json!({ "NextToken": "nonsense" }));
    assert_eq!(wrong.reason(), "INVALID_NEXT_TOKEN");
    let other = call_api(&world, "ListCreateAccountStatus", json!({ "NextToken": first["NextToken"] }));
    assert_eq!(other.reason(), "INVALID_NEXT_TOKEN");
}

#[test]
fn a_move_needs_the_current_parent_and_an_existing_destination() {
    let world = world();
    let id = account(&world, "a@example.com");
    let (root, unit) = (root(&world), unit(&world, "eu"));
    let move_account = |from: &str, to: &str| {
        let input = json!({ "AccountId": id, "SourceParentId": from, "DestinationParentId": to });
        call_api(&world, "MoveAccount", input).code()
    };
    assert_eq!(move_account(&unit, &root).as_deref(), Some("DuplicateAccountException"));
    assert_eq!(move_account(&root, "ou-none-12345678").as_deref(), Some("DestinationParentNotFoundException"));
    assert_eq!(move_account("ou-none-12345678", &unit).as_deref(), Some("SourceParentNotFoundException"));
    assert_eq!(move_account(&root, &unit), None);
    assert_eq!(move_account(&root, &unit).as_deref(), Some("DuplicateAccountException"));
    assert_eq!(world.account_by_email("a@example.com").unwrap().parent_name, "eu");
}

fn policy(world: &World, name: &str, content: &str) -> TestResponse {
    let input = json!({ "Name": name, "Description": "", "Type": "SERVICE_CONTROL_POLICY", "Content": content });
    call_api(world, "CreatePolicy", input)
}

const DENY_OTHER_REGIONS: &str = r#"{"Version": "2012-10-17", "Statement": {
    "Effect": "Deny", "NotAction": ["sts:*"], "Resource": "*",
    "Condition": {"StringNotEquals": {"aws:RequestedRegion": "eu-central-1"}}}}"#;

#[test]
fn an_ou_has_one_to_ten_policies_if_the_policy_type_is_enabled() {
    let world = world();
    let unit = unit(&world, "eu");
    let id = |n: usize| {
        let created = policy(&world, &format!("p{n}"), DENY_OTHER_REGIONS).ok();
        created.body["Policy"]["PolicySummary"]["Id"].as_str().unwrap().to_owned()
    };
    let ids: Vec<String> = (0..10).map(id).collect();
    assert_eq!(policy(&world, "p0", DENY_OTHER_REGIONS).code().as_deref(), Some("DuplicatePolicyException"));
    let attach = |id: &str| call_api(&world, "AttachPolicy", json!({ "PolicyId": id, "TargetId": unit }));
    assert_eq!(attach(&ids[0]).code().as_deref(), Some("PolicyTypeNotEnabledException"));

    let root = root(&world);
    call_api(&world, "EnablePolicyType", json!({ "RootId": root, "PolicyType": "SERVICE_CONTROL_POLICY" })).ok();
    let detach = |id: &str| call_api(&world, "DetachPolicy", json!({ "PolicyId": id, "TargetId": unit }));
    assert_eq!(detach("p-FullAWSAccess").reason(), "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED");
    for id in &ids[..9] {
        attach(id).ok();
    }
    assert_eq!(attach(&ids[0]).code().as_deref(), Some("DuplicatePolicyAttachmentException"));
    assert_eq!(attach(&ids[9]).reason(), "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED");
    detach(&ids[0]).ok();
    assert_eq!(detach(&ids[0]).code().as_deref(), Some("PolicyNotAttachedException"));
}

#[test]
fn an_invalid_policy_or_one_over_10_240_characters_is_rejected() {
    let world = world();
    let long = format!("{DENY_OTHER_REGIONS}{}", " ".repeat(10_241 - DENY_OTHER_REGIONS.len()));
    assert_eq!(policy(&world, "long", &long).reason(), "POLICY_CONTENT_LIMIT_EXCEEDED");
    policy(&world, "just", &long[..10_240]).ok();
    let deny = |fields: &str| format!(r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Deny", {fields}}}}}"#);
    for content in [
        "{}",
        "no",
        r#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}"#,
        &deny(r#""Action": "*", "Principal": "*", "Resource": "*""#),
        &deny(r#""Action": "foo", "Resource": "*""#),
        &deny(r#""Action": [], "Resource": "*""#),
        &deny(r#""Action": "*", "Resource": "bucket""#),
    ] {
        let refused = policy(&world, "bad", content).code();
        assert_eq!(refused.as_deref(), Some("MalformedPolicyDocumentException"), "{content}");
    }
    let office =
        r#"{"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}, "NumericLessThan": {"aws:MultiFactorAuthAge": 60}}"#;
    policy(&world, "office", &deny(&format!(r#""Action": "*", "Resource": "*", "Condition": {office}"#))).ok();
}

#[test]
fn a_policy_applies_after_a_delay_and_never_to_the_management_account() {
    let world = world();
    let id = account(&world, "a@example.com");
    let (root, unit) = (root(&world), unit(&world, "eu"));
    call_api(&world, "EnablePolicyType", json!({ "RootId": root, "PolicyType": "SERVICE_CONTROL_POLICY" })).ok();
    let policy = policy(&world, "eu", DENY_OTHER_REGIONS).ok().body["Policy"]["PolicySummary"]["Id"].clone();
    call_api(&world, "AttachPolicy", json!({ "PolicyId": policy, "TargetId": unit })).ok();
    let input = json!({ "AccountId": id, "SourceParentId": root, "DestinationParentId": unit });
    call_api(&world, "MoveAccount", input).ok();

    let member = assume_role(&world, &Credentials::management(&world), &access_role(&id), &[]).unwrap();
    let stacks = |region| call(&world, &member.in_region(region), Service::CloudFormation, "ListStacks", json!({}));
    stacks("eu-west-1").ok();
    world.clock().advance(Duration::from_mins(1));
    let denied = stacks("eu-west-1");
    assert_eq!(denied.code().as_deref(), Some("AccessDenied"));
    let message = denied.element("Message").unwrap();
    assert!(message.ends_with("with an explicit deny in a service control policy"), "{message}");
    stacks("eu-central-1").ok();
    call(
        &world,
        &Credentials::management(&world).in_region("eu-west-1"),
        Service::CloudFormation,
        "ListStacks",
        json!({}),
    )
    .ok();
}

#[test]
fn a_call_must_be_allowed_by_a_policy_at_every_level() {
    let world = world();
    let id = account(&world, "a@example.com");
    let root = root(&world);
    call_api(&world, "EnablePolicyType", json!({ "RootId": root, "PolicyType": "SERVICE_CONTROL_POLICY" })).ok();
    let policy = policy(&world, "eu", DENY_OTHER_REGIONS).ok().body["Policy"]["PolicySummary"]["Id"].clone();
    call_api(&world, "AttachPolicy", json!({ "PolicyId": policy, "TargetId": id })).ok();
    call_api(&world, "DetachPolicy", json!({ "PolicyId": "p-FullAWSAccess", "TargetId": id })).ok();
    world.clock().advance(Duration::from_mins(1));
    let member =
        assume_role(&world, &Credentials::management(&world).in_region("eu-central-1"), &access_role(&id), &[])
            .unwrap();
    let denied = call(&world, &member, Service::CloudFormation, "ListStacks", json!({}));
    let message = denied.element("Message").unwrap();
    assert!(
        message.ends_with("because no service control policy allows the cloudformation:ListStacks action"),
        "{message}"
    );
}

#[test]
fn a_closed_account_keeps_its_email_and_rejects_all_calls() {
    let world = world();
    let id = account(&world, "a@example.com");
    let member = assume_role(&world, &Credentials::management(&world), &access_role(&id), &[]).unwrap();
    let close = || call_api(&world, "CloseAccount", json!({ "AccountId": id }));
    close().ok();
    assert_eq!(close().code().as_deref(), Some("ConflictException"));
    assert_eq!(world.account_by_email("a@example.com").unwrap().state, "PENDING_CLOSURE");
    let identity = call(&world, &member, Service::Sts, "GetCallerIdentity", json!({}));
    assert_eq!(identity.code().as_deref(), Some("InvalidClientTokenId"));

    world.clock().advance(Duration::from_mins(10));
    assert_eq!(close().code().as_deref(), Some("AccountAlreadyClosedException"));
    let described = call_api(&world, "DescribeAccount", json!({ "AccountId": id })).ok().body;
    assert_eq!(
        (&described["Account"]["State"], &described["Account"]["Status"]),
        (&json!("CLOSED"), &json!("SUSPENDED"))
    );
    assert!(assume_role(&world, &Credentials::management(&world), &access_role(&id), &[]).is_err());
    let again = create(&world, "a@example.com").ok();
    world.clock().advance(Duration::from_mins(10));
    assert_eq!(status(&world, &again)["FailureReason"], "EMAIL_ALREADY_EXISTS");
}

#[test]
fn at_most_three_closures_are_in_progress() {
    let world = world();
    let ids: Vec<String> = (0..4).map(|n| account(&world, &format!("a{n}@example.com"))).collect();
    let close = |id: &str| call_api(&world, "CloseAccount", json!({ "AccountId": id }));
    for id in &ids[..3] {
        close(id).ok();
    }
    assert_eq!(close(&ids[3]).reason(), "CLOSE_ACCOUNT_REQUESTS_LIMIT_EXCEEDED");
    let management = &world.settings().management_account;
    assert_eq!(close(management).reason(), "CANNOT_CLOSE_MANAGEMENT_ACCOUNT");
}

#[test]
fn an_account_can_be_removed_after_four_days_and_keeps_its_email() {
    let world = world();
    let id = account(&world, "a@example.com");
    let remove = |id: &str| call_api(&world, "RemoveAccountFromOrganization", json!({ "AccountId": id }));
    assert_eq!(remove(&id).reason(), "WAIT_PERIOD_ACTIVE");
    world.clock().advance(Duration::from_hours(4 * 24));
    remove(&id).ok();
    assert_eq!(remove(&id).code().as_deref(), Some("AccountNotFoundException"));
    assert_eq!(call_api(&world, "ListAccounts", json!({})).body["Accounts"].as_array().unwrap().len(), 2);
    let again = create(&world, "a@example.com").ok();
    world.clock().advance(Duration::from_mins(10));
    assert_eq!(status(&world, &again)["FailureReason"], "EMAIL_ALREADY_EXISTS");
    let management = remove(&world.settings().management_account);
    assert_eq!(management.code().as_deref(), Some("MasterCannotLeaveOrganizationException"));
}

#[test]
fn tags_are_added_replaced_and_removed() {
    let world = world();
    let unit = unit(&world, "eu");
    let tags = |tags: Value| call_api(&world, "TagResource", json!({ "ResourceId": unit, "Tags": tags }));
    tags(json!([{ "Key": "a", "Value": "1" }, { "Key": "b", "Value": "1" }])).ok();
    tags(json!([{ "Key": "a", "Value": "2" }])).ok();
    call_api(&world, "UntagResource", json!({ "ResourceId": unit, "TagKeys": ["b", "c"] })).ok();
    let listed = call_api(&world, "ListTagsForResource", json!({ "ResourceId": unit })).ok();
    assert_eq!(listed.body["Tags"], json!([{ "Key": "a", "Value": "2" }]));
    let twice = tags(json!([{ "Key": "a", "Value": "1" }, { "Key": "a", "Value": "1" }]));
    assert_eq!(twice.reason(), "DUPLICATE_TAG_KEY");
    let many: Vec<Value> = (0..50).map(|n| json!({ "Key": format!("k{n}"), "Value": "" })).collect();
    assert_eq!(tags(json!(many)).reason(), "MAX_TAG_LIMIT_EXCEEDED");
}

#[test]
fn a_stuck_request_never_completes_and_a_failed_one_has_a_reason() {
    let world = world();
    world.inject(Rule::on("organizations", "CreateAccount", Fault::Stuck).containing("stuck@").times(1));
    world.inject(Rule::on("organizations", "CreateAccount", Fault::failed("INTERNAL_FAILURE")).containing("bad@"));
    let (stuck, bad) = (create(&world, "stuck@example.com").ok(), create(&world, "bad@example.com").ok());
    world.clock().advance(Duration::from_hours(24));
    assert_eq!(status(&world, &stuck)["State"], "IN_PROGRESS");
    assert_eq!(status(&world, &bad)["FailureReason"], "INTERNAL_FAILURE");
    assert_eq!(world.fault_hits().len(), 2);
}
