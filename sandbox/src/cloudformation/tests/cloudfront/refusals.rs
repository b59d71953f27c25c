//! Tests of the refusals of CloudFront, and of the time that CloudFormation waits for a distribution.

use super::{FRONT_DOOR, FrontDoor};
use crate::World;
use crate::cloudfront::OriginAccessControl;
use crate::faults::{Fault, Rule};
use crate::settings::{DurationDistribution, Durations, Settings};
use crate::testing::{TestClient, advance_clock};
use crate::world::testing::world_with;

#[test]
fn a_distribution_that_cloudfront_refuses_rolls_the_stack_back() {
    let door = FrontDoor::new();
    let name = ("Name: front-door", "Name: other");
    let comment = format!("Comment: {}", "x".repeat(129));
    for (at, (from, to, expected)) in [
        (
            "AllowedMethods: [GET, HEAD, OPTIONS]\n",
            "AllowedMethods: [GET, HEAD, OPTIONS, PUT, PATCH, POST, DELETE]\n",
            "Invalid request provided: AWS::CloudFront::Distribution: The parameter AllowedMethods cannot include \
             POST, PUT, PATCH, or DELETE for a cached behavior associated with an origin group.",
        ),
        ("TargetOriginId: both", "TargetOriginId: none", "One or more of your origins or origin groups do not exist."),
        ("OriginId: replica", "OriginId: home", "The parameter Members must have two different origins."),
        ("500, 502, 503", "500, 502, 501", "The parameter StatusCodes must have one or more of [400, 403, 404, 416, "),
        ("ConnectionAttempts: 1", "ConnectionAttempts: 4", "The parameter ConnectionAttempts must be from 1 to 3."),
        ("ConnectionTimeout: 2", "ConnectionTimeout: 11", "The parameter ConnectionTimeout must be from 1 to 10."),
        ("OriginReadTimeout: 5", "OriginReadTimeout: 0", "The parameter OriginReadTimeout must be from 1 to 120."),
        ("Comment: test", &comment, "The parameter Comment must have at most 128 characters."),
        ("!Ref Control", "E00000000000", "The specified origin access control does not exist."),
        ("4135ea2d", "4135ea2e", "The specified cache policy does not exist."),
        ("b689b0a8", "b689b0a9", "The specified origin request policy does not exist."),
        ("Quantity: 4", "Quantity: 3", "FailoverCriteria/StatusCodes: Quantity must be the number of Items]"),
        ("Enabled: true", "Enable: true", "[#/DistributionConfig: extraneous key [Enable] is not permitted]"),
        (
            "            DomainName: !Ref Home\n",
            "",
            "[#/DistributionConfig/Origins/0: required key [DomainName] not found]",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let template = FRONT_DOOR.replace(name.0, name.1).replace(from, to);
        let reasons = door.deploy(&format!("refused-{at}"), &template).unwrap_err();
        assert!(reasons.contains(expected), "{to}: {reasons}");
    }
    let reasons = door.deploy("same-name", FRONT_DOOR).unwrap_err();
    let taken = "'AWS::CloudFront::OriginAccessControl' with identifier 'front-door' already exists.";
    assert!(reasons.contains(taken), "{reasons}");
    let account = door.member.account();
    let one_more = FRONT_DOOR.replace(name.0, name.1);
    door.world.state().accounts.get_mut(&account).unwrap().cloudfront.access_controls = (0..100)
        .map(|number| {
            let control = OriginAccessControl {
                name: number.to_string(),
                description: String::new(),
                origin_type: "lambda".into(),
                signing_behavior: "always".into(),
                signing_protocol: "sigv4".into(),
            };
            (number.to_string(), control)
        })
        .collect();
    let reasons = door.deploy("too-many", &one_more).unwrap_err();
    assert!(reasons.contains("HandlerErrorCode: ServiceLimitExceeded"), "{reasons}");
}

#[test]
fn an_access_control_in_use_cannot_be_deleted() {
    let door = FrontDoor::new();
    // Another distribution uses the control, too.
    {
        let mut state = door.world.state();
        let cloudfront = state.accounts.values_mut().map(|account| &mut account.cloudfront);
        let cloudfront = cloudfront.into_iter().find(|cloudfront| !cloudfront.distributions.is_empty()).unwrap();
        let mut other = cloudfront.distributions.values().next().unwrap().clone();
        other.id = "EOTHER".into();
        cloudfront.distributions.insert(other.id.clone(), other);
    }
    door.member.cloudformation("DeleteStack", &[("StackName", "front-door")]);
    assert_eq!(door.member.stack_status("front-door"), "DELETE_FAILED");
    assert!(door.reasons("front-door").contains("being used by one or more distributions"));
}

#[test]
fn cloudformation_waits_an_hour_for_a_distribution() {
    let settings = |minutes: f64| {
        let durations =
            Durations { distribution: DurationDistribution::constant(minutes * 60.0), ..Durations::instant() };
        Settings { throttling: false, durations, ..Settings::default() }
    };
    let status_after = |world: &World, minutes: u64| {
        let client = TestClient::member(world).in_region("us-east-1");
        client.create_stack("one", FRONT_DOOR, &[("Home", "a.example.com"), ("Replica", "b.example.com")]).unwrap();
        assert_eq!(client.stack_status("one"), "CREATE_IN_PROGRESS");
        advance_clock(world, minutes * 60);
        // The session of the client lasts for an hour.
        world.stacks().into_iter().find(|stack| stack.name == "one").unwrap().status
    };
    assert_eq!(status_after(&world_with(settings(12.0)), 12), "CREATE_COMPLETE");
    // The distribution that was not deployed in time is not a resource of the stack.
    assert_eq!(status_after(&world_with(settings(61.0)), 60), "ROLLBACK_COMPLETE");
    let stuck = world_with(settings(12.0));
    stuck.inject(Rule::on("cloudformation", "AWS::CloudFront::Distribution", Fault::Stuck));
    assert_eq!(status_after(&stuck, 60), "ROLLBACK_COMPLETE");
}
