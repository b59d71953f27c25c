//! Checks the templates with cfn-lint, in the version of tests/requirements.txt.

use std::path::Path;
use std::process::Command;

use crate::conformance::venv::program;

#[test]
fn every_template_passes_cfn_lint() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let [python, lint] = program("cfn-lint");
    let output = Command::new(python)
        .arg(lint)
        .args(["--regions", "eu-central-1", "--"])
        .args(["stacks/baseline.yaml", "stacks/tenant.yaml", "stacks/tenant-without-url.yaml"])
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
