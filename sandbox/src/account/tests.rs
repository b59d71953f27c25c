//! Tests of opt-in regions and alternate contacts through the simulated API.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::testing::{Credentials, TestResponse, access_role, account, assume_role, call, world};
use crate::world::{Service, World};

fn call_api(world: &World, operation: &str, input: Value) -> TestResponse {
    call(world, &Credentials::management(world), Service::Account, operation, input)
}

fn enable_trusted_access(world: &World) {
    let input = json!({ "ServicePrincipal": "account.amazonaws.com" });
    call(world, &Credentials::management(world), Service::Organizations, "EnableAWSServiceAccess", input).ok();
}

#[test]
fn the_management_account_needs_trusted_access_to_manage_members() {
    let world = world();
    let id = account(&world, "a@example.com");
    let input = json!({ "AccountId": id, "RegionName": "eu-south-2" });
    assert_eq!(call_api(&world, "GetRegionOptStatus", input.clone()).code().as_deref(), Some("AccessDeniedException"));
    enable_trusted_access(&world);
    assert_eq!(call_api(&world, "GetRegionOptStatus", input).ok().body["RegionOptStatus"], "DISABLED");
    let enabled = call_api(&world, "ListRegions", json!({ "RegionOptStatusContains": ["ENABLED_BY_DEFAULT"] })).ok();
    assert_eq!(enabled.body["Regions"].as_array().unwrap().len(), 17);
}

#[test]
fn an_opt_in_region_rejects_calls_until_it_is_enabled() {
    let world = world();
    let id = account(&world, "a@example.com");
    enable_trusted_access(&world);
    let member =
        assume_role(&world, &Credentials::management(&world), &access_role(&id), &[]).unwrap().in_region("eu-south-2");
    let stacks = || call(&world, &member, Service::CloudFormation, "ListStacks", json!({})).code();
    let status = || {
        let input = json!({ "AccountId": id, "RegionName": "eu-south-2" });
        call_api(&world, "GetRegionOptStatus", input).ok().body["RegionOptStatus"].clone()
    };
    assert_eq!(stacks().as_deref(), Some("InvalidClientTokenId"));
    let in_sts = call(&world, &member, Service::Sts, "GetCallerIdentity", json!({})).code();
    assert_eq!(in_sts.as_deref(), Some("RegionDisabledException"));

    let enable = || call_api(&world, "EnableRegion", json!({ "AccountId": id, "RegionName": "eu-south-2" }));
    enable().ok();
    assert_eq!(status(), "ENABLING");
    assert_eq!(enable().code().as_deref(), Some("ConflictException"));
    assert_eq!(stacks().as_deref(), Some("InvalidClientTokenId"));
    world.clock().advance(Duration::from_hours(2));
    assert_eq!(status(), "ENABLED");
    enable().ok();
    let member =
        assume_role(&world, &Credentials::management(&world), &access_role(&id), &[]).unwrap().in_region("eu-south-2");
    call(&world, &member, Service::CloudFormation, "ListStacks", json!({})).ok();
}

#[test]
fn at_most_six_opt_ins_are_in_progress() {
    let world = world();
    let enable = |region: &str| call_api(&world, "EnableRegion", json!({ "RegionName": region }));
    for region in ["af-south-1", "ap-east-1", "ap-south-2", "ca-west-1", "eu-central-2", "eu-south-1"] {
        enable(region).ok();
    }
    assert_eq!(enable("eu-south-2").code().as_deref(), Some("TooManyRequestsException"));
    assert_eq!(enable("eu-west-1").code().as_deref(), Some("ValidationException"));
    assert_eq!(enable("mars-north-1").code().as_deref(), Some("ValidationException"));
}

#[test]
fn alternate_contacts_are_stored_by_type() {
    let world = world();
    let security = json!({ "AlternateContactType": "SECURITY" });
    assert_eq!(
        call_api(&world, "GetAlternateContact", security.clone()).code().as_deref(),
        Some("ResourceNotFoundException")
    );
    let mut contact = json!({
        "AlternateContactType": "SECURITY", "Name": "Ann Example", "Title": "Security",
        "EmailAddress": "security@example.com", "PhoneNumber": "+49 30 1234",
    });
    call_api(&world, "PutAlternateContact", contact.clone()).ok();
    assert_eq!(call_api(&world, "GetAlternateContact", security).ok().body["AlternateContact"]["Name"], "Ann Example");
    contact["PhoneNumber"] = "call me".into();
    assert_eq!(call_api(&world, "PutAlternateContact", contact).code().as_deref(), Some("ValidationException"));
}
