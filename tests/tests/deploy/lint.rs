//! Checks the templates with cfn-lint, in the version of tests/requirements.txt.

use std::fs;
use std::path::Path;
use std::process::Command;

use freehold_worker::template::front_door;

use crate::conformance::venv::program;

#[test]
fn every_template_passes_cfn_lint() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let [python, lint] = program("cfn-lint");
    let directory = tempfile::tempdir().unwrap();
    let with_writes = directory.path().join("front-door.yaml");
    fs::write(&with_writes, front_door::template(&["/api/*".to_owned()])).unwrap();
    let with_writes = with_writes.display().to_string();
    let output = Command::new(python)
        .arg(lint)
        .args(["--regions", "eu-central-1", "--"])
        .args(["stacks/baseline.yaml", "stacks/tenant.yaml", "stacks/tenant-without-url.yaml"])
        .args(["stacks/freehold-front-door.yaml", &with_writes])
        .args(["deploy/cloudformation/freehold.yaml", "deploy/cloudformation/control-role.yaml"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
