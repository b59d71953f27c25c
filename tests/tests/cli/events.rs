//! Tests of `freehold events`.

use std::net::TcpListener;

use serde_json::Value;

use super::process::{Sandbox, text, wait_until};

fn create(sandbox: &Sandbox, name: &str) -> String {
    let create = ["tenants", "create", "--company-name", name, "--admin-email", "admin@example.com"];
    let created = sandbox.run(&[&create[..], &["--home-region", "eu-central-1", "--output", "json"]].concat());
    assert_eq!(created.status.code(), Some(0), "{}", text(&created.stderr));
    let created: Value = serde_json::from_slice(&created.stdout).expect("a tenant in JSON");
    created["id"].as_str().expect("an id").to_owned()
}

#[test]
fn stored_events_are_listed_with_filters() {
    let sandbox = Sandbox::start(&["--speed", "40"]);
    let tenant = sandbox.create_tenant(&[]);
    let id = tenant["id"].as_str().unwrap();
    let other = create(&sandbox, "Example AG");

    let all = text(&sandbox.run(&["events", "list", "--output", "ndjson"]).stdout);
    let all: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let types: Vec<_> = all.iter().filter_map(|event| event["type"].as_str()).collect();
    assert!(types.contains(&"environment.ready") && types.contains(&"environment.account.assigned"), "{types:?}");

    let table = text(&sandbox.run(&["events", "list", "--tenant", "Example GmbH"]).stdout);
    assert!(table.contains(id) && !table.contains(&other), "{table}");
    let assigned = ["events", "list", "--types", "environment.account.assigned,environment.ready", "--tenant", id];
    let table = text(&sandbox.run(&assigned).stdout);
    let account = tenant["environments"][0]["aws_account_id"].as_str().unwrap();
    assert!(table.contains(&format!("aws_account_id={account}")), "{table}");
    assert_eq!(table.lines().count(), 4, "two headings and two events: {table}");

    let first = sandbox.run(&["events", "list", "--limit", "1", "--output", "json"]);
    let page: Value = serde_json::from_slice(&first.stdout).expect("JSON");
    assert_eq!(page[0]["id"], all[0]["id"]);
    let position = all[0]["sequence"].as_str().unwrap().trim_start_matches('0');
    assert!(text(&first.stderr).contains(&format!("continue with --after {position}")), "{}", text(&first.stderr));
    let next = sandbox.run(&["events", "list", "--after", position, "--limit", "1", "--output", "json"]);
    let next: Value = serde_json::from_slice(&next.stdout).expect("JSON");
    assert_eq!(next[0]["id"], all[1]["id"]);
    assert_eq!(sandbox.run(&["events", "list", "--types", "environment.lost"]).status.code(), Some(1));
}

#[test]
fn new_events_are_printed_until_ctrl_c_and_after_a_restart_of_the_api() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    // Other tests start sandboxes meanwhile, and one of them would take the default port.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).unwrap().port().to_string();
    let start = ["--data", data, "--port", &port];
    let mut sandbox = Sandbox::start(&start);
    create(&sandbox, "Before AG");
    let (api, token) = (sandbox.address_of("API"), text(&sandbox.run(&["token"]).stdout));
    let connection = ["--api-url", &api, "--token", token.trim()];
    let tail = |options: &[&str]| sandbox.start_command(&[&["events", "tail"], options, &connection[..]].concat());
    let mut lines = tail(&["--types", "tenant.onboarding.accepted"]);
    let mut events = tail(&["--types", "tenant.onboarding.accepted", "--output", "json", "--after", "0"]);
    wait_until("the stored event", || events.output().contains("tenant.onboarding.accepted"));
    // The first command starts at the end of the feed, which it must have read before the next signup.
    std::thread::sleep(std::time::Duration::from_secs(2));

    let first = create(&sandbox, "First AG");
    wait_until("the first event", || lines.output().contains(&first) && events.output().contains(&first));
    assert_eq!(sandbox.interrupt().code(), Some(0));
    let again = Sandbox::start(&start);
    let second = create(&again, "Second AG");
    wait_until("the second event", || lines.output().contains(&second) && events.output().contains(&second));

    for (command, count) in [(&mut lines, 2), (&mut events, 3)] {
        assert_eq!(command.interrupt().code(), Some(0), "{}", command.output());
        let output = command.output();
        assert_eq!(output.matches("tenant.onboarding.accepted").count(), count, "each event once: {output}");
    }
    let line = lines.output().lines().find(|line| line.contains(&first)).expect("a line").to_owned();
    assert!(line.contains(" UTC ") && line.contains("environment_id=env_"), "{line}");
    let event = events.output().lines().last().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    assert_eq!(event.expect("an event")["data"]["tenant_id"], second.as_str());
}
