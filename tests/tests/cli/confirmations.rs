//! Tests of the confirmation of destructive commands.

use serde_json::Value;

use super::process::{Sandbox, text};

const TENANT: &str = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b";

fn json(output: &std::process::Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn without_a_terminal_a_confirmation_needs_yes() {
    let sandbox = Sandbox::prepare();
    for arguments in [
        &["tenants", "offboard", TENANT][..],
        &["tenants", "offboard", "Example GmbH", "--environment", "staging", "--close-account"],
        &["tenants", "suspend", TENANT, "--reason", "abuse"],
        &["tenants", "front-door", TENANT, "--environment", "production", "off"],
        &["operations", "cancel", "op_01k2m8v3x9e7rt4s5q6w7y8z9c"],
        &["webhooks", "delete", "whe_01k2m8v3x9e7rt4s5q6w7y8z9f"],
        &["rollouts", "abort", "rol_01k2m8v3x9e7rt4s5q6w7y8z9g"],
        &["rollouts", "roll-back", "rol_01k2m8v3x9e7rt4s5q6w7y8z9g"],
    ] {
        let refused = sandbox.run(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(text(&refused.stderr).contains("add --yes"), "{}", text(&refused.stderr));
        // There is no API: the command with --yes gets as far as the missing token.
        let confirmed = sandbox.run(&[arguments, &["--yes"]].concat());
        assert_eq!(confirmed.status.code(), Some(6), "{arguments:?}: {}", text(&confirmed.stderr));
    }
    let created = ["tenants", "front-door", TENANT, "--environment", "production", "on"];
    assert_eq!(sandbox.run(&created).status.code(), Some(6), "a creation needs no confirmation");
}

#[test]
fn the_question_names_the_company_and_the_loss() {
    let sandbox = Sandbox::start(&["--speed", "40"]);
    let tenant = sandbox.create_tenant(&[]);
    let id = tenant["id"].as_str().unwrap();
    let state = || json(&sandbox.run(&["tenants", "show", id, "--output", "json"]))["state"].clone();
    let answer = |arguments: &[&str], typed: &str| {
        let output = sandbox.run_on_terminal(200, arguments, &format!("{typed}\n"));
        (output.status.code(), text(&output.stdout))
    };

    let suspend = ["tenants", "suspend", "example gmbh", "--reason", "non_payment"];
    let (code, output) = answer(&suspend, "n");
    assert_eq!((code, state()), (Some(1), "ready".into()), "{output}");
    for part in ["suspends Example GmbH", id, "Nothing is deleted", "not confirmed; nothing was changed"] {
        assert!(output.contains(part), "{part}: {output}");
    }
    let (code, output) = answer(&suspend, "y");
    assert_eq!((code, state()), (Some(0), "suspended".into()), "{output}");

    let offboard = ["tenants", "offboard", id, "--close-account"];
    // The loss of an account needs more than a yes.
    for typed in ["y", "", "example gmbh"] {
        let (code, output) = answer(&offboard, typed);
        assert_eq!((code, state()), (Some(1), "suspended".into()), "{output}");
    }
    let (code, output) = answer(&offboard, "Example GmbH");
    assert_eq!((code, state()), (Some(0), "offboarding".into()), "{output}");
    for part in [
        "freehold tenants restore",
        "7 days",
        "with their data; if a second person approves, the AWS accounts are closed",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
}

#[test]
fn only_the_removal_of_a_region_is_confirmed() {
    let sandbox = Sandbox::start(&["--speed", "40"]);
    let tenant = sandbox.create_tenant(&[]);
    let id = tenant["id"].as_str().unwrap();
    let change = ["tenants", "change-regions", id, "--environment", "production"];
    let add = [&change[..], &["--replica-region", "eu-west-1", "--output", "json"]].concat();
    let added = json(&sandbox.run(&add));
    assert_eq!(added["regions"][1]["region"], "eu-west-1");
    assert_eq!(sandbox.run(&[&change[..], &["--replica-region", "us-east-1"]].concat()).status.code(), Some(2));
    let removal = [&change[..], &["--no-replicas"]].concat();
    let refused = sandbox.run(&removal);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    let asked = sandbox.run_on_terminal(200, &removal, "no\n");
    assert_eq!(asked.status.code(), Some(1));
    let output = text(&asked.stdout);
    assert!(output.contains("removes eu-west-1 from the environment production of Example GmbH"), "{output}");

    // The cancellation of an onboarding needs the name.
    let create = ["tenants", "create", "--company-name", "Sample AG", "--admin-email", "admin@example.com"];
    let created = json(&sandbox.run(&[&create[..], &["--home-region", "eu-central-1", "--output", "json"]].concat()));
    let operation = created["environments"][0]["operation_id"].as_str().unwrap();
    let cancel = ["operations", "cancel", operation];
    assert_eq!(sandbox.run_on_terminal(200, &cancel, "y\n").status.code(), Some(1));
    let canceled = sandbox.run_on_terminal(200, &cancel, "Sample AG\n");
    assert_eq!(canceled.status.code(), Some(0), "{}", text(&canceled.stdout));
}
