//! Tests of the whole simulation: rate limits, the call log, faults, saving and loading.

use std::time::Duration;

use freehold_tenancy::Clock;
use serde_json::json;

use super::testing::{Credentials, account, call, start_time, world, world_with};
use super::{Service, World};
use crate::faults::{Fault, Rule};
use crate::settings::Settings;

fn create_account(world: &World, n: u32) -> Option<String> {
    let input = json!({ "Email": format!("a{n}@example.com"), "AccountName": "x" });
    call(world, &Credentials::management(world), Service::Organizations, "CreateAccount", input).code()
}

#[test]
fn the_call_log_counts_throttled_calls() {
    let world = world_with(Settings::default());
    assert_eq!((0..3).map(|n| create_account(&world, n)).collect::<Vec<_>>(), [None, None, None]);
    assert_eq!(create_account(&world, 3).as_deref(), Some("TooManyRequestsException"));
    world.clock().advance(Duration::from_secs(10));
    assert_eq!(create_account(&world, 3), None);

    let calls = world.calls();
    let count = calls.of("organizations:CreateAccount");
    assert_eq!((count.calls, count.throttled, count.errors), (5, 1, 1));
    assert_eq!(calls.throttled(), 1);
    let last = calls.recent().last().unwrap();
    assert_eq!((last.account.as_str(), last.at), ("111122223333", world.clock().now()));
}

#[test]
fn all_operations_of_identity_center_share_one_rate_limit() {
    let world = world_with(Settings::default());
    let management = Credentials::management(&world).in_region("eu-central-1");
    let codes = (0..25).map(|n| {
        let operation = if n % 2 == 0 { "ListInstances" } else { "ListPermissionSets" };
        call(&world, &management, Service::SsoAdmin, operation, json!({})).code()
    });
    let throttled = codes.filter(|code| code.as_deref() == Some("ThrottlingException")).count();
    assert_eq!(throttled, 5);
}

#[test]
fn a_fault_rule_applies_to_matching_calls_only() {
    let world = world();
    let error = Fault::error("ConcurrentModificationException", "conflicts with another attempt");
    world.inject(Rule::on("organizations", "CreateAccount", error).containing("a1@").nth(1));
    assert_eq!(create_account(&world, 0), None);
    assert_eq!(create_account(&world, 1).as_deref(), Some("ConcurrentModificationException"));
    assert_eq!(create_account(&world, 1), None);
    assert_eq!(world.create_requests().len(), 2, "the call that failed had no effect");
    assert_eq!(world.fault_hits().len(), 1);
}

#[test]
fn the_background_work_log_contains_activity_and_account() {
    let world = world();
    let id = account(&world, "a@example.com");
    let busy = world.busy();
    let spans: Vec<_> = busy.iter().map(|busy| busy.activity.as_str()).collect();
    assert_eq!(spans, ["create-account", "settle", "subscribe"]);
    assert!(
        busy.iter()
            .all(|busy| busy.account_id.as_deref() == Some(&id) && busy.email.as_deref() == Some("a@example.com"))
    );
    assert!(busy[0].from == start_time() && busy[0].until == busy[1].from && busy[1].until == busy[2].from);
}

#[test]
fn a_loaded_world_continues_from_the_saved_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("world.json");
    let world = world();
    account(&world, "a@example.com");
    create_account(&world, 1);
    world.save(&path).unwrap();

    let later_clock = Clock::manual(world.clock().now() + chrono::TimeDelta::hours(1));
    let loaded = World::load(&path, later_clock).unwrap();
    assert_eq!(loaded.accounts()[..3], world.accounts()[..3]);
    assert!(loaded.account_by_email("a1@example.com").is_some(), "the pending request is completed after loading");
    assert_eq!(loaded.calls().of("organizations:CreateAccount").calls, 2);
    assert!(World::load(&directory.path().join("none"), Clock::real()).is_err());
}

#[test]
fn durations_depend_on_the_seed_and_not_on_the_order_of_calls() {
    let spans = |order: [u32; 2]| {
        let world = world();
        for n in order {
            create_account(&world, n);
        }
        let mut busy = world.busy();
        busy.sort_by(|a, b| (&a.email, a.from).cmp(&(&b.email, b.from)));
        busy
    };
    assert_eq!(spans([1, 2]), spans([2, 1]));
}

#[test]
fn an_invalid_request_gets_an_error_response() {
    let world = world();
    let management = Credentials::management(&world);
    let code = |service, operation, input| call(&world, &management, service, operation, input).code().unwrap();
    assert_eq!(code(Service::Organizations, "LeaveOrganization", json!({})), "UnknownOperationException");
    assert_eq!(code(Service::Organizations, "CreateAccount", json!([])), "InvalidInputException");
    assert_eq!(code(Service::Sts, "Nothing", json!({})), "InvalidAction");
    let bare = winterbaume_core::MockRequest {
        method: "GET".into(),
        uri: "/".into(),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::new(),
    };
    assert_eq!(world.handle(&bare).status, 404);
}
