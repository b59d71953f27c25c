//! Tests of `freehold regions`, and of regions of other partitions, as processes.

use serde_json::Value;

use super::process::{Sandbox, text};

#[test]
fn the_regions_are_listed_with_their_offer() {
    let sandbox = Sandbox::start(&[]);
    let run = |arguments: &[&str]| {
        let output = sandbox.run(arguments);
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{arguments:?}");
        text(&output.stdout)
    };
    let table = run(&["regions"]);
    let line = |region: &str| table.lines().find(|line| line.trim_start().starts_with(region)).unwrap();
    for part in ["Europe (Frankfurt)", " eu ", " no ", "home, replica"] {
        assert!(line("eu-central-1").contains(part), "{part}: {table}");
    }
    for part in ["Europe (Zurich)", " yes ", "AWS::Lambda::Url (front_door)", "is offered as home only"] {
        assert!(line("eu-central-2").contains(part), "{part}: {table}");
    }
    assert!(line("ap-southeast-2").contains("No residency of the configuration contains the region."), "{table}");
    assert!(line("me-south-1").contains("unknown"), "{table}");

    let offered: Value = serde_json::from_str(&run(&["regions", "--offered", "--output", "json"])).expect("JSON");
    let offered: Vec<_> = offered.as_array().expect("regions").iter().map(|one| one["region"].clone()).collect();
    assert_eq!(offered, ["eu-central-1", "eu-central-2", "eu-west-1", "us-east-1", "us-west-2"]);

    let signup = ["--company-name", "Example GmbH", "--admin-email", "admin@example.com", "--home-region"];
    for (arguments, code) in [
        (&[&["tenants", "create"], &signup[..], &["us-gov-west-1"]].concat()[..], 1),
        (&["sandbox", "fault", "region-down", "us-gov-west-1"], 2),
    ] {
        let refused = sandbox.run(arguments);
        let message = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(code), "{message}");
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(message.contains("(AWS GovCloud (US-West)) is in the partition aws-us-gov"), "{message}");
        assert!(message.contains("it would take an organisation and an installation of their own there"), "{message}");
    }
}
