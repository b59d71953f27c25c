use serde_json::{Value, json};

use crate::World;
use crate::testing::{TestClient, instant_world};
use crate::world::Service;
use crate::world::testing::TestResponse;

fn ask(world: &World, operation: &str, mut input: Value) -> TestResponse {
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

fn by(path: &str, value: &str) -> Value {
    json!({ "AlternateIdentifier": { "UniqueAttribute": { "AttributePath": path, "AttributeValue": value } } })
}

fn code(answer: &TestResponse) -> String {
    answer.code().unwrap_or_default()
}

#[test]
fn a_user_name_is_unique_whatever_its_case_and_finds_the_user_again() {
    let world = instant_world();
    let created = ask(&world, "CreateUser", user("ada@example.com")).ok();
    let id = &created.body["UserId"];
    let twice = ask(&world, "CreateUser", user("Ada@Example.com"));
    assert_eq!((code(&twice).as_str(), twice.reason()), ("ConflictException", "UNIQUENESS_CONSTRAINT_VIOLATION"));
    assert_eq!(&ask(&world, "GetUserId", by("userName", "ada@example.com")).ok().body["UserId"], id);
    assert_eq!(&ask(&world, "GetUserId", by("emails.value", "ada@example.com")).ok().body["UserId"], id);
    let shown = ask(&world, "DescribeUser", json!({ "UserId": id })).ok().body;
    assert_eq!((&shown["UserName"], &shown["Name"]["FamilyName"]), (&json!("ada@example.com"), &json!("Example")));
    let filter = json!({ "Filters": [{ "AttributePath": "UserName", "AttributeValue": "ada@example.com" }] });
    assert_eq!(ask(&world, "ListUsers", filter).ok().body["Users"].as_array().unwrap().len(), 1);
    assert_eq!(code(&ask(&world, "CreateUser", json!({ "UserName": "bob" }))), "ValidationException");
    ask(&world, "DeleteUser", json!({ "UserId": id })).ok();
    assert_eq!(code(&ask(&world, "GetUserId", by("userName", "ada@example.com"))), "ResourceNotFoundException");
}

#[test]
fn the_groups_of_the_settings_are_there_and_others_can_be_made() {
    let world = instant_world();
    ask(&world, "GetGroupId", by("displayName", "support")).ok();
    assert_eq!(code(&ask(&world, "GetGroupId", by("displayName", "acme"))), "ResourceNotFoundException");
    let made = ask(&world, "CreateGroup", json!({ "DisplayName": "acme", "Description": "Acme" })).ok();
    assert_eq!(code(&ask(&world, "CreateGroup", json!({ "DisplayName": "ACME" }))), "ConflictException");
    let found = ask(&world, "GetGroupId", by("displayName", "acme")).ok();
    assert_eq!(found.body["GroupId"], made.body["GroupId"]);
}

#[test]
fn a_user_is_in_a_group_once() {
    let world = instant_world();
    let group = ask(&world, "GetGroupId", by("displayName", "support")).ok().body["GroupId"].clone();
    let id = ask(&world, "CreateUser", user("ada@example.com")).ok().body["UserId"].clone();
    let pair = json!({ "GroupId": group, "MemberId": { "UserId": id } });
    assert_eq!(code(&ask(&world, "GetGroupMembershipId", pair.clone())), "ResourceNotFoundException");
    let made = ask(&world, "CreateGroupMembership", pair.clone()).ok().body["MembershipId"].clone();
    assert_eq!(code(&ask(&world, "CreateGroupMembership", pair.clone())), "ConflictException");
    assert_eq!(ask(&world, "GetGroupMembershipId", pair).ok().body["MembershipId"], made);
    let question = json!({ "MemberId": { "UserId": id }, "GroupIds": [group] });
    let is_member = |question: &Value| {
        ask(&world, "IsMemberInGroups", question.clone()).ok().body["Results"][0]["MembershipExists"].clone()
    };
    assert_eq!(is_member(&question), json!(true));
    ask(&world, "DeleteGroupMembership", json!({ "MembershipId": made })).ok();
    assert_eq!(is_member(&question), json!(false));
    let stranger = json!({ "GroupId": group, "MemberId": { "UserId": "00000000-0000-4000-8000-000000000000" } });
    assert_eq!(code(&ask(&world, "CreateGroupMembership", stranger)), "ResourceNotFoundException");
}

#[test]
fn another_store_is_not_found_and_lists_come_in_pages() {
    let world = instant_world();
    let other = ask(&world, "ListGroups", json!({ "IdentityStoreId": "d-0000000000" }));
    assert_eq!(code(&other), "ResourceNotFoundException");
    for n in 0..24 {
        ask(&world, "CreateGroup", json!({ "DisplayName": format!("g{n}") })).ok();
    }
    let first = ask(&world, "ListGroups", json!({ "MaxResults": 25 })).ok().body;
    assert_eq!(first["Groups"].as_array().unwrap().len(), 25);
    let second = ask(&world, "ListGroups", json!({ "MaxResults": 25, "NextToken": first["NextToken"] })).ok().body;
    assert_eq!(second["Groups"].as_array().unwrap().len(), 1);
}
