//! Tests of the outage of a region.

use std::time::Duration;

use serde_json::json;

use super::super::LOG;
use super::{FrontDoor, HOME, REPLICA};
use crate::faults::{OutageForm, RegionOutage};
use crate::settings::Settings;
use crate::testing::TestClient;
use crate::world::Service;
use crate::world::testing::world_with;

#[test]
fn an_outage_stops_a_region_only() {
    let door = FrontDoor::new();
    let home = door.member.in_region(HOME);
    door.stop(HOME, OutageForm::Unavailable);
    assert_eq!(home.cloudformation("ListStacks", &[]).0, 503);
    assert_eq!(home.call(Service::Sts, "GetCallerIdentity", json!({})).status, 200);
    assert_eq!(door.member.in_region(REPLICA).cloudformation("ListStacks", &[]).0, 200);
    door.world.start_outage(RegionOutage { all_services: true, ..door.world.outages().remove(0) });
    assert_eq!(home.call(Service::Sts, "GetCallerIdentity", json!({})).status, 503);
    assert_eq!(door.world.outages().len(), 1, "an outage replaces another one of its region");
}

#[test]
fn stacks_of_a_stopped_region_make_no_progress() {
    let world = world_with(Settings { throttling: false, ..Settings::default() });
    let member = TestClient::member(&world);
    member.create_stack("one", LOG, &[]).unwrap();
    world.stop_region(HOME.parse().unwrap(), OutageForm::Refused);
    world.clock().advance(Duration::from_hours(1));
    assert_eq!(world.stacks()[0].status, "CREATE_IN_PROGRESS");
    world.end_outages();
    assert_eq!(world.stacks()[0].status, "CREATE_COMPLETE");
}
