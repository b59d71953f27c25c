//! Tests of `freehold sandbox fault`.

use serde_json::Value;

use super::process::{Sandbox, text};

fn run(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = sandbox.run(&[&["sandbox", "fault"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn faults(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&run(sandbox, &["list", "--output", "json"])).expect("JSON")
}

#[test]
fn a_region_of_a_running_sandbox_can_be_stopped() {
    let sandbox = Sandbox::start(&[]);
    assert_eq!(faults(&sandbox), Value::Array(Vec::new()));
    let started = run(&sandbox, &["region-down", "eu-central-1", "--form", "hanging", "--for", "7d"]);
    assert!(started.starts_with("eu-central-1 is down until 20"), "{started}");
    let until_cleared = run(&sandbox, &["region-down", "eu-west-1", "--all-services"]);
    assert!(until_cleared.contains("eu-west-1 is down until `freehold sandbox fault clear`"), "{until_cleared}");
    let listed = faults(&sandbox);
    assert_eq!(listed[0]["form"], "hanging");
    assert_eq!((&listed[1]["all_services"], &listed[1]["ends_at"]), (&Value::Bool(true), &Value::Null));
    let table = run(&sandbox, &["list"]);
    assert!(table.contains("CloudFormation, functions") && table.contains("when cleared"), "{table}");
    run(&sandbox, &["clear"]);
    assert_eq!(faults(&sandbox), Value::Array(Vec::new()));

    for (arguments, message) in [
        (&["region-down", "mars-north-1"][..], "is not an AWS region"),
        (&["region-down", "eu-central-1", "--for", "31d"], "must be from 1 to"),
        (&["region-down", "eu-central-1", "--for", "0s"], "must be from 1s"),
        (&["region-down", "eu-central-1", "--form", "slow"], "must be one of refused"),
        (&["list", "--sandbox", "http://127.0.0.1:1"], "no sandbox is running at http://127.0.0.1:1"),
    ] {
        let refused = sandbox.run(&[&["sandbox", "fault"], arguments].concat());
        assert_ne!(refused.status.code(), Some(0), "{arguments:?}");
        assert!(text(&refused.stderr).contains(message), "{}", text(&refused.stderr));
    }
}
