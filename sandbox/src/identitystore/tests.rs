use serde_json::{Value, json};

use crate::World;
use crate::testing::{TestClient, instant_world};
use crate::world::Service;
use crate::world::testing::{TestResponse, account};

fn call_api(world: &World, operation: &str, mut input: Value) -> TestResponse {
    if input.get("IdentityStoreId").is_none() {
        input["IdentityStoreId"] = json!(world.state().identity_store.id);
    }
    TestClient::administrator(world).call(Service::IdentityStore, operation, input)
}

fn user(name: &str) -> Value {
    json!({
        "UserName": name,
        "DisplayName": "Ada",
        "Name": { "GivenName": "Ada", "FamilyName": "Example" },
        "Emails": [{ "Value": name, "Type": "work", "Primary": true }],
    })
}

fn unique_attribute(path: &str, value: &str) -> Value {
    json!({ "AlternateIdentifier": { "UniqueAttribute": { "AttributePath": path, "AttributeValue": value } } })
}

fn code(response: &TestResponse) -> String {
    response.code().unwrap_or_default()
}

#[test]
fn user_names_are_unique_ignoring_case_and_can_be_looked_up() {
    let world = instant_world();
    let created = call_api(&world, "CreateUser", user("ada@example.com")).ok();
    let id = &created.body["UserId"];
    let twice = call_api(&world, "CreateUser", user("Ada@Example.com"));
    assert_eq!((code(&twice).as_str(), twice.reason()), ("ConflictException", "UNIQUENESS_CONSTRAINT_VIOLATION"));
    assert_eq!(&call_api(&world, "GetUserId", unique_attribute("userName", "ada@example.com")).ok().body["UserId"], id);
    assert_eq!(
        &call_api(&world, "GetUserId", unique_attribute("emails.value", "ada@example.com")).ok().body["UserId"],
        id
    );
    let described = call_api(&world, "DescribeUser", json!({ "UserId": id })).ok().body;
    assert_eq!(
        (&described["UserName"], &described["Name"]["FamilyName"]),
        (&json!("ada@example.com"), &json!("Example"))
    );
    let filter = json!({ "Filters": [{ "AttributePath": "UserName", "AttributeValue": "ada@example.com" }] });
    assert_eq!(call_api(&world, "ListUsers", filter).ok().body["Users"].as_array().unwrap().len(), 1);
    assert_eq!(code(&call_api(&world, "CreateUser", json!({ "UserName": "bob" }))), "ValidationException");
    call_api(&world, "DeleteUser", json!({ "UserId": id })).ok();
    assert_eq!(
        code(&call_api(&world, "GetUserId", unique_attribute("userName", "ada@example.com"))),
        "ResourceNotFoundException"
    );
}

#[test]
fn an_e_mail_address_belongs_to_one_user_and_is_no_user_name() {
    let world = instant_world();
    let mut ada = user("ada@example.com");
    ada["UserName"] = json!("ada");
    let id = call_api(&world, "CreateUser", ada).ok().body["UserId"].clone();
    let by = |path| call_api(&world, "GetUserId", unique_attribute(path, "ada@example.com"));
    assert_eq!(by("emails.value").ok().body["UserId"], id);
    assert_eq!(code(&by("userName")), "ResourceNotFoundException");
    let again = call_api(&world, "CreateUser", user("ADA@example.com"));
    assert_eq!((code(&again).as_str(), again.reason()), ("ConflictException", "UNIQUENESS_CONSTRAINT_VIOLATION"));
}

#[test]
fn names_have_only_characters_that_aws_accepts() {
    let world = instant_world();
    let with_names = |number: u32, name: &str| {
        let mut user = user(&format!("user-{number}@example.com"));
        user["DisplayName"] = json!(name);
        user["Name"]["GivenName"] = json!(name);
        user
    };
    for (number, name) in (0..).zip(["株式会社テスト", "e\u{301}", "👩🚀", "A\u{3000}B\tC", "$+^ ©"]) {
        call_api(&world, "CreateUser", with_names(number, name)).ok();
    }
    for name in ["می\u{200c}خواهم", "👩\u{200d}🚀", "\u{feff}A", "A\u{202e}B", "A\u{2003}B", "\u{e000}", "A\u{85}"]
    {
        assert_eq!(code(&call_api(&world, "CreateUser", with_names(99, name))), "ValidationException", "{name:?}");
    }
    for name in ["ann\u{200b}@example.com", "ann @example.com", "ann\u{3000}@example.com"] {
        assert_eq!(code(&call_api(&world, "CreateUser", user(name))), "ValidationException", "{name:?}");
    }
}

#[test]
fn the_assignments_of_a_deleted_principal_remain() {
    let world = instant_world();
    let account = account(&world, "a@example.com");
    let center = |operation: &str, mut input: Value| {
        let instances = TestClient::administrator(&world).call(Service::SsoAdmin, "ListInstances", json!({})).ok().body;
        input["InstanceArn"] = instances["Instances"][0]["InstanceArn"].clone();
        TestClient::administrator(&world).call(Service::SsoAdmin, operation, input).ok().body
    };
    let set = center("CreatePermissionSet", json!({ "Name": "one" }))["PermissionSet"]["PermissionSetArn"].clone();
    let group = call_api(&world, "CreateGroup", json!({ "DisplayName": "acme" })).ok().body["GroupId"].clone();
    let user = call_api(&world, "CreateUser", user("ada@example.com")).ok().body["UserId"].clone();
    for (kind, id) in [("GROUP", &group), ("USER", &user)] {
        let target = json!({ "TargetId": account, "TargetType": "AWS_ACCOUNT", "PermissionSetArn": set,
                             "PrincipalType": kind, "PrincipalId": id });
        center("CreateAccountAssignment", target);
    }
    call_api(&world, "DeleteGroup", json!({ "GroupId": group })).ok();
    call_api(&world, "DeleteUser", json!({ "UserId": user })).ok();
    let listed = center("ListAccountAssignments", json!({ "AccountId": account, "PermissionSetArn": set }));
    assert_eq!(listed["AccountAssignments"].as_array().unwrap().len(), 2);
    let orphan = json!({ "TargetId": account, "TargetType": "AWS_ACCOUNT", "PermissionSetArn": set,
                         "PrincipalType": "GROUP", "PrincipalId": group });
    center("DeleteAccountAssignment", orphan);
    let listed = center("ListAccountAssignments", json!({ "AccountId": account, "PermissionSetArn": set }));
    assert_eq!(listed["AccountAssignments"].as_array().unwrap().len(), 1);
}

#[test]
fn groups_from_the_settings_exist_and_others_can_be_created() {
    let world = instant_world();
    call_api(&world, "GetGroupId", unique_attribute("displayName", "support")).ok();
    assert_eq!(
        code(&call_api(&world, "GetGroupId", unique_attribute("displayName", "acme"))),
        "ResourceNotFoundException"
    );
    let created = call_api(&world, "CreateGroup", json!({ "DisplayName": "acme", "Description": "Acme" })).ok();
    assert_eq!(code(&call_api(&world, "CreateGroup", json!({ "DisplayName": "ACME" }))), "ConflictException");
    let found = call_api(&world, "GetGroupId", unique_attribute("displayName", "acme")).ok();
    assert_eq!(found.body["GroupId"], created.body["GroupId"]);
}

#[test]
fn a_user_can_be_added_to_a_group_once() {
    let world = instant_world();
    let group = call_api(&world, "GetGroupId", unique_attribute("displayName", "support")).ok().body["GroupId"].clone();
    let id = call_api(&world, "CreateUser", user("ada@example.com")).ok().body["UserId"].clone();
    let pair = json!({ "GroupId": group, "MemberId": { "UserId": id } });
    assert_eq!(code(&call_api(&world, "GetGroupMembershipId", pair.clone())), "ResourceNotFoundException");
    let created = call_api(&world, "CreateGroupMembership", pair.clone()).ok().body["MembershipId"].clone();
    assert_eq!(code(&call_api(&world, "CreateGroupMembership", pair.clone())), "ConflictException");
    assert_eq!(call_api(&world, "GetGroupMembershipId", pair).ok().body["MembershipId"], created);
    let query = json!({ "MemberId": { "UserId": id }, "GroupIds": [group] });
    let is_member = |query: &Value| {
        call_api(&world, "IsMemberInGroups", query.clone()).ok().body["Results"][0]["MembershipExists"].clone()
    };
    assert_eq!(is_member(&query), json!(true));
    call_api(&world, "DeleteGroupMembership", json!({ "MembershipId": created })).ok();
    assert_eq!(is_member(&query), json!(false));
    let unknown_user = json!({ "GroupId": group, "MemberId": { "UserId": "00000000-0000-4000-8000-000000000000" } });
    assert_eq!(code(&call_api(&world, "CreateGroupMembership", unknown_user)), "ResourceNotFoundException");
}

#[test]
fn an_unknown_store_is_rejected_and_lists_are_paginated() {
    let world = instant_world();
    let other = call_api(&world, "ListGroups", json!({ "IdentityStoreId": "d-0000000000" }));
    assert_eq!(code(&other), "ResourceNotFoundException");
    for n in 0..24 {
        call_api(&world, "CreateGroup", json!({ "DisplayName": format!("g{n}") })).ok();
    }
    let first = call_api(&world, "ListGroups", json!({ "MaxResults": 25 })).ok().body;
    assert_eq!(first["Groups"].as_array().unwrap().len(), 25);
    let second = call_api(&world, "ListGroups", json!({ "MaxResults": 25, "NextToken": first["NextToken"] })).ok().body;
    assert_eq!(second["Groups"].as_array().unwrap().len(), 1);
}
