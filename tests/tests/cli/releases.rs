//! Test of `freehold releases` against a sandbox: what a platform engineer sees, and the exit codes.

use std::process::Output;

use super::process::{Sandbox, text};

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Returns the value of a field that a command has printed.
fn field(output: &str, name: &str) -> String {
    output.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or_default().trim().to_owned()
}

#[test]
fn a_release_is_registered_approved_and_deployed_in_a_sandbox() {
    let sandbox = Sandbox::start(&["--speed", "40"]);
    let created = sandbox.create_tenant(&[]);
    let tenant = created["id"].as_str().expect("an id");
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, template: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, template.replace("RetentionInDays: 30", "RetentionInDays: 60")).expect("a file");
        path.display().to_string()
    };
    let common = write("app.yaml", crate::releases::TEMPLATE);
    let zurich = format!("eu-central-2={}", write("zurich.yaml", crate::releases::TEMPLATE_WITHOUT_URL));

    // The region without Function URLs needs a template of its own.
    let refused = sandbox.run(&["releases", "register", "--template", &common, "--wait"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stdout));
    assert!(text(&refused.stdout).contains("eu-central-2"), "{}", text(&refused.stdout));
    let registered = stdout(&sandbox.run(&[
        "releases",
        "register",
        "--template",
        &common,
        "--region-template",
        &zurich,
        "--notes",
        "Shop 2.4",
        "--wait",
    ]));
    let (release, sha256) = (field(&registered, "release"), field(&registered, "sha256"));
    assert_eq!(field(&registered, "state"), "ready", "{registered}");
    let diff = stdout(&sandbox.run(&["releases", "diff", &release]));
    assert!(diff.contains("+      RetentionInDays: 60"), "{diff}");
    let preview = stdout(&sandbox.run(&["releases", "preview", &release, tenant]));
    assert!(preview.contains("RetentionInDays") && preview.contains("modify"), "{preview}");

    let same = sandbox.run(&["releases", "approve", &release, "--sha256", &sha256]);
    assert_eq!(same.status.code(), Some(6), "{}", text(&same.stdout));
    assert!(text(&same.stderr).contains("another person must approve"), "{}", text(&same.stderr));
    let token = ["token", "--subject", "bob", "--scope", "fleet", "--scope", "releases:approve"];
    let token = stdout(&sandbox.run(&token)).trim().to_owned();
    let approve = ["releases", "approve", &release, "--sha256", &sha256];
    let approved = stdout(&sandbox.run_with(&[("FREEHOLD_TOKEN", &token)], &approve));
    assert_eq!(field(&approved, "approved by"), "bob", "{approved}");

    let deployed = stdout(&sandbox.run(&["releases", "deploy", &release, tenant, "--wait"]));
    assert_eq!(field(&deployed, "state"), "succeeded", "{deployed}");
    let again = stdout(&sandbox.run(&["releases", "deploy", &release, tenant]));
    assert!(again.contains("has the release already"), "{again}");
    let environments = stdout(&sandbox.run(&["releases", "environments", &release]));
    assert!(environments.contains(tenant) && environments.contains("eu-central-1"), "{environments}");
    let list = stdout(&sandbox.run(&["releases", "list"]));
    assert!(list.contains("Shop 2.4") && list.contains("configuration"), "{list}");
    let missing = sandbox.run(&["releases", "show", "rel_01k2m8v3x9e7rt4s5q6w7y8z9a"]);
    assert_eq!(missing.status.code(), Some(4), "{}", text(&missing.stderr));
}
