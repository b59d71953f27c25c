//! Tests of lists: account mappings, fleet holds, and the format NDJSON of each list.

use serde_json::Value;

use super::process::{Sandbox, text};

/// Runs a command that must succeed without messages, and returns its output.
fn run(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = sandbox.run(arguments);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{arguments:?}");
    text(&output.stdout)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn account_mappings_are_listed_exported_and_shown_with_their_history() {
    let sandbox = Sandbox::start(&["--speed", "40"]);
    let tenant = sandbox.create_tenant(&["--external-id", "customer-4711"]);
    let id = tenant["id"].as_str().unwrap();
    let account = tenant["environments"][0]["aws_account_id"].as_str().unwrap();

    for arguments in [&["mappings", "list"][..], &["mappings", "list", "--tenant", "customer-4711"]] {
        let table = run(&sandbox, arguments);
        let line = table.lines().find(|line| line.contains(account)).expect("the account");
        for part in [id, "Example GmbH", "customer-4711", "production", "eu-central-1", " UTC "] {
            assert!(line.contains(part), "{part}: {table}");
        }
    }
    assert_eq!(json(&run(&sandbox, &["mappings", "list", "--output", "json"]))[0]["aws_account_id"], account);
    let exported = json(&run(&sandbox, &["mappings", "list", "--output", "ndjson"]));
    assert_eq!((&exported["SubAccountId"], &exported["x_TenantId"]), (&account.into(), &id.into()));
    let csv = run(&sandbox, &["mappings", "list", "--output", "csv", "--tenant", "Example GmbH"]);
    assert!(csv.starts_with("BillingAccountId,") && csv.lines().count() == 2, "{csv}");
    let earlier = run(&sandbox, &["mappings", "list", "--at", "2020-01-01", "--output", "json"]);
    assert_eq!(json(&earlier), Value::Array(Vec::new()));
    let history = json(&run(&sandbox, &["mappings", "history", account, "--output", "json"]));
    assert_eq!((&history[0]["tenant_id"], &history[0]["valid_to"]), (&id.into(), &Value::Null));

    let in_use = run(&sandbox, &["mappings", "list", "--account-state", "in_use", "--wide"]);
    assert!(in_use.contains(account) && in_use.contains("in_use"), "{in_use}");
    let released = run(&sandbox, &["mappings", "list", "--account-state", "released_active", "--output", "json"]);
    assert_eq!(json(&released), Value::Array(Vec::new()));

    let code = |arguments: &[&str]| sandbox.run(arguments).status.code();
    assert_eq!(code(&["mappings", "list", "--account-state", "open"]), Some(2));
    assert_eq!(code(&["mappings", "history", "999988887777"]), Some(4));
    assert_eq!(code(&["mappings", "list", "--at", "yesterday"]), Some(2));
    assert_eq!(code(&["mappings", "list", "--at", "2999-01-01"]), Some(1));
    assert_eq!(code(&["mappings", "list", "--tenant", "Unknown Ltd"]), Some(4));
}

#[test]
fn each_list_is_printed_as_json_lines() {
    let sandbox = Sandbox::start(&[]);
    let signup = ["--company-name", "Example GmbH", "--admin-email", "admin@example.com", "--home-region"];
    let created = sandbox.run(&[&["tenants", "create"], &signup[..], &["eu-central-1"]].concat());
    assert_eq!(created.status.code(), Some(0), "{}", text(&created.stderr));
    for list in [
        &["tenants", "list"][..],
        &["operations", "list"],
        &["approvals", "list"],
        &["findings", "list"],
        &["fleet-holds", "list"],
        &["webhooks", "list"],
        &["releases", "list"],
        &["rollouts", "list"],
        &["regions"],
    ] {
        let listed = json(&run(&sandbox, &[list, &["--output", "json"]].concat()));
        let ids = |values: &[Value]| -> Vec<Value> {
            values.iter().map(|one| one.get("id").or(one.get("region")).cloned().expect("an id")).collect()
        };
        let lines = run(&sandbox, &[list, &["--output", "ndjson"]].concat());
        let lines: Vec<Value> = lines.lines().map(json).collect();
        assert_eq!(ids(&lines), ids(listed.as_array().expect("a list")), "{list:?}");
    }
    let table = run(&sandbox, &["fleet-holds", "list"]);
    assert!(table.trim_start().starts_with("code"), "{table}");
}
