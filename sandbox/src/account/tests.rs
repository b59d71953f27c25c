//! Regions and contacts through the API.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::testing::{Credentials, TestResponse, access_role, account, assume, call, world};
use crate::world::{Service, World};

fn ask(world: &World, operation: &str, input: Value) -> TestResponse {
    call(world, &Credentials::management(world), Service::Account, operation, input)
}

fn trust(world: &World) {
    let input = json!({ "ServicePrincipal": "account.amazonaws.com" });
    call(world, &Credentials::management(world), Service::Organizations, "EnableAWSServiceAccess", input).ok();
}

#[test]
fn the_management_account_speaks_for_members_once_it_is_trusted() {
    let world = world();
    let id = account(&world, "a@example.com");
    let input = json!({ "AccountId": id, "RegionName": "eu-south-2" });
    assert_eq!(ask(&world, "GetRegionOptStatus", input.clone()).code().as_deref(), Some("AccessDeniedException"));
    trust(&world);
    assert_eq!(ask(&world, "GetRegionOptStatus", input).ok().body["RegionOptStatus"], "DISABLED");
    let everywhere = ask(&world, "ListRegions", json!({ "RegionOptStatusContains": ["ENABLED_BY_DEFAULT"] })).ok();
    assert_eq!(everywhere.body["Regions"].as_array().unwrap().len(), 17);
}

#[test]
fn an_opt_in_region_answers_only_once_it_is_enabled() {
    let world = world();
    let id = account(&world, "a@example.com");
    trust(&world);
    let member =
        assume(&world, &Credentials::management(&world), &access_role(&id), &[]).unwrap().in_region("eu-south-2");
    let stacks = || call(&world, &member, Service::CloudFormation, "ListStacks", json!({})).code();
    let status = || {
        let input = json!({ "AccountId": id, "RegionName": "eu-south-2" });
        ask(&world, "GetRegionOptStatus", input).ok().body["RegionOptStatus"].clone()
    };
    assert_eq!(stacks().as_deref(), Some("InvalidClientTokenId"));
    let in_sts = call(&world, &member, Service::Sts, "GetCallerIdentity", json!({})).code();
    assert_eq!(in_sts.as_deref(), Some("RegionDisabledException"));

    let enable = || ask(&world, "EnableRegion", json!({ "AccountId": id, "RegionName": "eu-south-2" }));
    enable().ok();
    assert_eq!(status(), "ENABLING");
    assert_eq!(enable().code().as_deref(), Some("ConflictException"));
    assert_eq!(stacks().as_deref(), Some("InvalidClientTokenId"));
    world.clock().advance(Duration::from_hours(2));
    assert_eq!(status(), "ENABLED");
    enable().ok();
    let member =
        assume(&world, &Credentials::management(&world), &access_role(&id), &[]).unwrap().in_region("eu-south-2");
    call(&world, &member, Service::CloudFormation, "ListStacks", json!({})).ok();
}

#[test]
fn six_opt_ins_are_in_progress_at_a_time() {
    let world = world();
    let enable = |region: &str| ask(&world, "EnableRegion", json!({ "RegionName": region }));
    for region in ["af-south-1", "ap-east-1", "ap-south-2", "ca-west-1", "eu-central-2", "eu-south-1"] {
        enable(region).ok();
    }
    assert_eq!(enable("eu-south-2").code().as_deref(), Some("TooManyRequestsException"));
    assert_eq!(enable("eu-west-1").code().as_deref(), Some("ValidationException"));
    assert_eq!(enable("mars-north-1").code().as_deref(), Some("ValidationException"));
}

#[test]
fn contacts_are_kept_by_kind() {
    let world = world();
    let security = json!({ "AlternateContactType": "SECURITY" });
    assert_eq!(
        ask(&world, "GetAlternateContact", security.clone()).code().as_deref(),
        Some("ResourceNotFoundException")
    );
    let mut contact = json!({
        "AlternateContactType": "SECURITY", "Name": "Ann Example", "Title": "Security",
        "EmailAddress": "security@example.com", "PhoneNumber": "+49 30 1234",
    });
    ask(&world, "PutAlternateContact", contact.clone()).ok();
    assert_eq!(ask(&world, "GetAlternateContact", security).ok().body["AlternateContact"]["Name"], "Ann Example");
    contact["PhoneNumber"] = "call me".into();
    assert_eq!(ask(&world, "PutAlternateContact", contact).code().as_deref(), Some("ValidationException"));
}
