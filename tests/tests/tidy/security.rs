//! Test that docs/security.md names tests that exist.

use std::fs;

use super::{root, sources};

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let text = fs::read_to_string(root().join("docs/security.md")).expect("docs/security.md").replace("\n|", "\n\n|");
    let tests = sources(&["api/src", "cli/src", "sandbox/src", "tenancy/src", "tests/tests", "worker/src"]);
    let mut named = 0;
    let mut missing = Vec::new();
    // A row of a table or a paragraph.
    for block in text.split("\n\n").filter(|block| !block.contains("<!-- check:")) {
        for code in block.split('`').skip(1).step_by(2) {
            let is_name = code.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b':'));
            // Names of tests are sentences; other names in code, such as `typ`, are short.
            if !is_name || code == "::" || !(code.contains("::") || code.matches('_').count() >= 3) {
                continue;
            }
            named += 1;
            let module = format!("tests/tests/{}.rs", code.replace("::", "/"));
            let function = format!("fn {}(", code.rsplit("::").next().unwrap_or_default());
            if !tests.iter().any(|(path, text)| *path == module || text.contains(&function)) {
                missing.push(code);
            }
        }
    }
    assert_eq!(missing, [""; 0], "docs/security.md names tests that do not exist");
    assert!(named >= 8, "{named} tests are named");
}
