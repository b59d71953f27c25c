//! Tests of tables on terminals of several widths, and in a pipe.

use super::process::{Sandbox, text};

#[test]
fn a_table_uses_the_width_of_the_terminal_and_never_cuts_an_id() {
    let sandbox = Sandbox::start(&["--speed", "40"]);
    let tenant = sandbox.create_tenant(&[]);
    let (id, environment) = (tenant["id"].as_str().unwrap(), &tenant["environments"][0]);
    let account = environment["aws_account_id"].as_str().unwrap();
    let on_terminal = |columns, arguments: &[&str]| {
        let output = sandbox.run_on_terminal(columns, &[&["tenants", "list"], arguments].concat(), "");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
        text(&output.stdout)
    };

    let in_pipe = text(&sandbox.run(&["tenants", "list"]).stdout);
    assert!(in_pipe.lines().any(|line| line.contains(id) && line.contains(account)), "{in_pipe}");
    // The table has about 120 columns. A width of 0 is unknown.
    for wide in [on_terminal(200, &[]), on_terminal(60, &["--wide"]), on_terminal(0, &[])] {
        assert!(in_pipe.lines().all(|line| wide.contains(line)), "{wide}");
    }
    let blocks = on_terminal(60, &[]);
    for line in [format!("tenant: {id}"), "company: Example GmbH".to_owned(), format!("AWS account: {account}")] {
        assert!(blocks.lines().any(|one| one.ends_with(&line)), "{line}: {blocks}");
    }
    assert!(!blocks.contains('─'), "{blocks}");

    let create = ["tenants", "create", "--company-name", "Sample AG", "--admin-email", "admin@example.com"];
    let created = sandbox.run(&[&create[..], &["--home-region", "us-east-1"]].concat());
    assert_eq!(created.status.code(), Some(0), "{}", text(&created.stderr));
    let blocks = on_terminal(60, &[]);
    assert_eq!(blocks.trim_end().split("\n\n").count(), 2, "a blank line between records: {blocks}");
    // The ids of a tenant that is shown are not cut either.
    let shown = text(&sandbox.run_on_terminal(40, &["tenants", "show", id], "").stdout);
    let operation = environment["operation_id"].as_str().unwrap();
    assert!(shown.lines().any(|line| line.ends_with(&format!("operation: {operation}"))), "{shown}");
}
