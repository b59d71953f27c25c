//! Tests of references to tenants: a name, an e-mail address, an external id or an AWS account in place of the id.

use serde_json::Value;

use super::process::{Sandbox, text};

/// Creates a tenant without waiting for it. Returns its id.
fn create(sandbox: &Sandbox, name: &str, email: &str, options: &[&str]) -> String {
    let create = ["tenants", "create", "--company-name", name, "--admin-email", email, "--home-region", "eu-central-1"];
    let created = sandbox.run(&[&create[..], options, &["--output", "json"]].concat());
    assert_eq!(created.status.code(), Some(0), "{}", text(&created.stderr));
    let created: Value = serde_json::from_slice(&created.stdout).expect("a tenant in JSON");
    created["id"].as_str().expect("an id").to_owned()
}

/// Returns the id of the tenant that a reference means.
fn resolve(sandbox: &Sandbox, reference: &str) -> String {
    let shown = sandbox.run(&["tenants", "show", reference, "--output", "json"]);
    assert_eq!((shown.status.code(), text(&shown.stderr).as_str()), (Some(0), ""), "{reference}");
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("a tenant in JSON");
    shown["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_tenant_is_found_by_its_company_name_or_external_id() {
    let sandbox = Sandbox::start(&[]);
    let id = create(&sandbox, "Example GmbH", "admin@example.com", &["--external-id", "customer-4711"]);
    let other = create(&sandbox, "Example GmbH & Co. KG", "admin@example.net", &[]);
    for reference in [id.as_str(), "Example GmbH", "EXAMPLE gmbh", " Example GmbH ", "customer-4711"] {
        assert_eq!(resolve(&sandbox, reference), id);
    }
    assert_eq!(resolve(&sandbox, "Example GmbH & Co. KG"), other);

    let filtered = sandbox.run(&["operations", "list", "--tenant", "example gmbh", "--output", "json"]);
    let filtered: Value = serde_json::from_slice(&filtered.stdout).expect("operations in JSON");
    assert_eq!(filtered.as_array().map(Vec::len), Some(1));
    assert_eq!(filtered[0]["tenant_id"], id.as_str());
    let audit = text(&sandbox.run(&["audit", "list", "--tenant", "customer-4711"]).stdout);
    assert!(audit.contains("createTenant") && !audit.contains(&other), "{audit}");

    // A command that changes a tenant names the tenant, unless it was given the id.
    let updated = sandbox.run(&["tenants", "update", "example gmbh", "--label", "team=north"]);
    assert_eq!(updated.status.code(), Some(0), "{}", text(&updated.stderr));
    assert_eq!(text(&updated.stderr), format!("tenant Example GmbH ({id})\n"));
    let updated = sandbox.run(&["tenants", "update", &id, "--label", "team=south"]);
    assert_eq!((updated.status.code(), text(&updated.stderr).as_str()), (Some(0), ""));
}

#[test]
fn a_reference_without_exactly_one_tenant_lists_candidates() {
    let sandbox = Sandbox::start(&[]);
    let first = create(&sandbox, "Example GmbH", "admin@example.com", &[]);
    let second = create(&sandbox, "example gmbh", "admin@example.net", &[]);
    let third = create(&sandbox, "Sample AG", "admin@example.org", &[]);

    let ambiguous = sandbox.run(&["tenants", "update", "Example GmbH", "--label", "team=north"]);
    let message = text(&ambiguous.stderr);
    assert_eq!(ambiguous.status.code(), Some(2), "{message}");
    assert!(message.contains("use the id of one of them"), "{message}");
    for candidate in [format!("{first}  Example GmbH ("), format!("{second}  example gmbh (")] {
        assert!(message.contains(&candidate), "{candidate}: {message}");
    }

    // The first is a part of a name, the second has a word of a name.
    for reference in ["Sampl", "Smaple Sample"] {
        let unknown = sandbox.run(&["tenants", "show", reference]);
        let message = text(&unknown.stderr);
        assert_eq!(unknown.status.code(), Some(4), "{message}");
        assert!(message.contains("freehold tenants list --query"), "{message}");
        assert!(message.contains(&format!("near matches:\n  {third}  Sample AG (")), "{message}");
    }
    let unknown = sandbox.run(&["tenants", "show", "ten_1"]);
    assert_eq!(unknown.status.code(), Some(4));
    assert!(!text(&unknown.stderr).contains("near matches"), "{}", text(&unknown.stderr));
    assert_eq!(sandbox.run(&["tenants", "show", " "]).status.code(), Some(2));
}

#[test]
fn a_tenant_is_found_by_its_administrator_or_aws_account() {
    let sandbox = Sandbox::start(&["--speed", "40"]);
    let tenant = sandbox.create_tenant(&[]);
    let account = tenant["environments"][0]["aws_account_id"].as_str().expect("an account");
    for reference in ["admin@example.com", "Admin@Example.com", account] {
        assert_eq!(resolve(&sandbox, reference), tenant["id"], "{reference}");
    }
}
