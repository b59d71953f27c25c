//! Test of `freehold operations bundle` against a sandbox.

use std::fs;

use super::process::{Sandbox, text};

#[test]
fn a_bundle_is_written_to_a_new_file_only() {
    let sandbox = Sandbox::start(&["--speed", "60"]);
    let tenant = sandbox.create_tenant(&[]);
    let operation = tenant["environments"][0]["operation_id"].as_str().expect("an id");
    let directory = tempfile::tempdir().expect("a directory");
    let download = |more: &[&str]| {
        let command = ["operations", "bundle", operation];
        sandbox.run_in(directory.path(), &[&command[..], more].concat())
    };
    let written = download(&[]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    assert!(written.stdout.is_empty(), "the archive is in the file: {}", text(&written.stdout));
    let (name, notes) = (format!("{operation}.zip"), text(&written.stderr));
    for expected in [name.as_str(), "index.html", "audit.ndjson", "left out"] {
        assert!(notes.contains(expected), "{notes}");
    }
    let archive = fs::read(directory.path().join(&name)).expect("the archive");
    assert!(archive.starts_with(b"PK"));

    let refused = download(&[]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains(&format!("{name} exists already")), "{}", text(&refused.stderr));
    assert_eq!(fs::read(directory.path().join(&name)).expect("the archive"), archive, "the file is unchanged");

    let other = directory.path().join("ticket.zip").display().to_string();
    assert_eq!(download(&["--output-file", &other]).status.code(), Some(0));
    assert!(fs::read(&other).expect("the archive").starts_with(b"PK"));
    let unknown = sandbox.run(&["operations", "bundle", "op_01k2m8v3x9e7rt4s5q6w7y8z9b"]);
    assert_eq!(unknown.status.code(), Some(4), "{}", text(&unknown.stderr));
}
