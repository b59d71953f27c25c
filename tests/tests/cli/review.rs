//! Tests of `freehold audit list` and `freehold access-review` as processes.

use serde_json::Value;

use super::process::{self, Sandbox, text};

/// Starts a sandbox with one ready tenant. Returns the sandbox and the id of the tenant.
fn sandbox_with_tenant() -> (Sandbox, String) {
    let sandbox = Sandbox::start(&["--speed", "40"]);
    let signup = ["--company-name", "Example GmbH", "--admin-email", "admin@example.com", "--home-region"];
    let arguments = [&["tenants", "create"], &signup[..], &["eu-central-1", "--wait", "--output", "json"]].concat();
    let created = sandbox.run(&arguments);
    assert_eq!(created.status.code(), Some(0), "{}", text(&created.stderr));
    let created: Value = serde_json::from_slice(&created.stdout).expect("JSON");
    (sandbox, created["id"].as_str().expect("an id").to_owned())
}

/// Runs a command that must succeed without messages, and returns its output.
fn run(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = sandbox.run(arguments);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{arguments:?}");
    text(&output.stdout)
}

#[test]
fn the_trail_and_the_access_are_listed_and_exported() {
    let (sandbox, tenant) = sandbox_with_tenant();

    let table = run(&sandbox, &["audit", "list", "--tenant", &tenant, "--action", "createTenant"]);
    let lines: Vec<_> = table.lines().collect();
    let headings: Vec<_> = lines[0].split_whitespace().collect();
    assert_eq!(headings, ["position", "time", "actor", "action", "about", "outcome"]);
    assert_eq!(lines.len(), 3, "{table}");
    for part in [" UTC ", "you (freehold-cli)", "createTenant", "/v1/tenants", &tenant, "succeeded 202"] {
        assert!(lines[2].contains(part), "{part}: {table}");
    }
    let latest: Value = serde_json::from_str(&run(&sandbox, &["audit", "list", "--output", "json"])).expect("JSON");
    let json = run(&sandbox, &["audit", "list", "--from", "2000-01-01", "--limit", "100000", "--output", "json"]);
    let all: Value = serde_json::from_str(&json).expect("JSON");
    let (latest, all) = (latest.as_array().expect("entries"), all.as_array().expect("entries"));
    assert!(all.len() > 5, "{json}");
    assert_eq!(*latest, all[all.len().saturating_sub(100)..], "without a filter, the latest entries");
    let limited = sandbox.run(&["audit", "list", "--after", "3", "--limit", "2", "--output", "json"]);
    let positions: Value = serde_json::from_slice(&limited.stdout).expect("JSON");
    assert_eq!((&positions[0]["position"], &positions[1]["position"]), (&4.into(), &5.into()));
    assert!(text(&limited.stderr).contains("continue with --after 5"), "{}", text(&limited.stderr));

    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("export.ndjson");
    let export = run(&sandbox, &["audit", "list", "--output", "ndjson"]);
    assert_eq!(export.lines().count(), all.len());
    std::fs::write(&path, &export).expect("a file");
    let verified = run(&sandbox, &["audit", "verify", "--file", path.to_str().expect("text")]);
    assert!(
        verified.starts_with(&format!("the export is intact: {0} records from 1 to {0};", all.len())),
        "{verified}"
    );

    let table = run(&sandbox, &["access-review", "--tenant", &tenant]);
    let support = table.lines().find(|line| line.contains(" support ")).expect("the group of the support");
    for part in [&tenant[..], "production", " group ", " UTC ", " op_", " you "] {
        assert!(support.contains(part), "{part}: {table}");
    }
    assert_eq!(table.lines().filter(|line| line.contains("role/freehold-control")).count(), 2, "{table}");
    let json: Value = serde_json::from_str(&run(&sandbox, &["access-review", "--output", "json"])).expect("JSON");
    let ndjson = run(&sandbox, &["access-review", "--output", "ndjson", "--include-ended"]);
    let lines: Vec<Value> = ndjson.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(*json.as_array().expect("entries"), lines);
    let csv = run(&sandbox, &["access-review", "--output", "csv", "--principal", "support"]);
    assert!(csv.starts_with("id,kind,") && csv.lines().count() == 2, "{csv}");

    let code = |arguments: &[&str]| sandbox.run(arguments).status.code();
    assert_eq!(code(&["audit", "list", "--from", "yesterday"]), Some(2));
    assert_eq!(code(&["audit", "list", "--output", "ndjson", "--limit", "5"]), Some(2));
    assert_eq!(code(&["audit", "list", "--tenant", "x"]), Some(4));
    assert_eq!(code(&["audit", "verify", "--file", "/nonexistent"]), Some(1));
    assert_eq!(code(&["access-review", "--output", "pdf"]), Some(2));
    let reader = text(&sandbox.run(&["token", "--scope", "fleet", "--scope", "audit:read"]).stdout);
    assert_eq!(code(&["access-review", "--token", reader.trim()]), Some(6));
    assert_eq!(code(&["access-review", "--output", "csv", "--token", reader.trim()]), Some(6));
    let unreachable = ["--api-url", "http://127.0.0.1:1", "--token", "x"];
    assert_eq!(code(&[&["audit", "list", "--output", "ndjson"], &unreachable[..]].concat()), Some(5));

    // A reader that closes the pipe ends the export without an error.
    let token = text(&sandbox.run(&["token"]).stdout);
    let (api, token) = (sandbox.address_of("API"), token.trim());
    let command =
        format!("FREEHOLD_TOKEN={token} \"$FREEHOLD\" audit list --output ndjson --api-url {api} | head -n 1");
    let piped = process::run_bash_line(&format!("set -o pipefail; {command}"));
    assert_eq!((piped.status.code(), text(&piped.stderr).as_str()), (Some(0), ""));
    assert_eq!(Some(text(&piped.stdout).trim_end()), export.lines().next());
}
