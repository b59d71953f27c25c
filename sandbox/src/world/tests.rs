//! The world as a whole: rates, the log of calls, faults, being saved.

use std::time::Duration;

use freehold_tenancy::Clock;
use serde_json::json;

use super::testing::{Credentials, account, call, start, world, world_of};
use super::{Service, World};
use crate::faults::{Fault, Rule};
use crate::settings::Settings;

fn create(world: &World, n: u32) -> Option<String> {
    let input = json!({ "Email": format!("a{n}@example.com"), "AccountName": "x" });
    call(world, &Credentials::management(world), Service::Organizations, "CreateAccount", input).code()
}

#[test]
fn a_fourth_account_at_once_is_too_many_requests_and_the_log_shows_it() {
    let world = world_of(Settings::default());
    assert_eq!((0..3).map(|n| create(&world, n)).collect::<Vec<_>>(), [None, None, None]);
    assert_eq!(create(&world, 3).as_deref(), Some("TooManyRequestsException"));
    world.clock().advance(Duration::from_secs(10));
    assert_eq!(create(&world, 3), None);

    let calls = world.calls();
    let count = calls.of("organizations:CreateAccount");
    assert_eq!((count.calls, count.throttled, count.errors), (5, 1, 1));
    assert_eq!(calls.throttled(), 1);
    let last = calls.recent().last().unwrap();
    assert_eq!((last.account.as_str(), last.at), ("111122223333", world.clock().now()));
}

#[test]
fn every_operation_of_identity_center_shares_one_rate() {
    let world = world_of(Settings::default());
    let management = Credentials::management(&world).in_region("eu-central-1");
    let codes = (0..25).map(|n| {
        let operation = if n % 2 == 0 { "ListInstances" } else { "ListPermissionSets" };
        call(&world, &management, Service::SsoAdmin, operation, json!({})).code()
    });
    let throttled = codes.filter(|code| code.as_deref() == Some("ThrottlingException")).count();
    assert_eq!(throttled, 5);
}

#[test]
fn a_rule_hits_the_calls_that_it_names_and_no_others() {
    let world = world();
    let error = Fault::error("ConcurrentModificationException", "conflicts with another attempt");
    world.inject(Rule::on("organizations", "CreateAccount", error).containing("a1@").nth(1));
    assert_eq!(create(&world, 0), None);
    assert_eq!(create(&world, 1).as_deref(), Some("ConcurrentModificationException"));
    assert_eq!(create(&world, 1), None);
    assert_eq!(world.create_requests().len(), 2, "the call that failed had no effect");
    assert_eq!(world.fault_hits().len(), 1);
}

#[test]
fn the_world_tells_when_it_was_busy_and_for_whom() {
    let world = world();
    let id = account(&world, "a@example.com");
    let busy = world.busy();
    let spans: Vec<_> = busy.iter().map(|busy| busy.activity.as_str()).collect();
    assert_eq!(spans, ["create-account", "settle", "subscribe"]);
    assert!(
        busy.iter()
            .all(|busy| busy.account_id.as_deref() == Some(&id) && busy.email.as_deref() == Some("a@example.com"))
    );
    assert!(busy[0].from == start() && busy[0].until == busy[1].from && busy[1].until == busy[2].from);
}

#[test]
fn a_saved_world_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("world.json");
    let world = world();
    account(&world, "a@example.com");
    create(&world, 1);
    world.save(&path).unwrap();

    let later = Clock::manual(world.clock().now() + chrono::TimeDelta::hours(1));
    let restored = World::load(&path, later).unwrap();
    assert_eq!(restored.accounts()[..3], world.accounts()[..3]);
    assert!(restored.account_by_email("a1@example.com").is_some(), "what was in progress has been finished meanwhile");
    assert_eq!(restored.calls().of("organizations:CreateAccount").calls, 2);
    assert!(World::load(&directory.path().join("none"), Clock::real()).is_err());
}

#[test]
fn two_worlds_of_one_seed_take_equally_long_whatever_the_order_of_calls() {
    let spans = |order: [u32; 2]| {
        let world = world();
        for n in order {
            create(&world, n);
        }
        let mut busy = world.busy();
        busy.sort_by(|a, b| (&a.email, a.from).cmp(&(&b.email, b.from)));
        busy
    };
    assert_eq!(spans([1, 2]), spans([2, 1]));
}

#[test]
fn a_request_that_is_nothing_gets_an_answer_all_the_same() {
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
