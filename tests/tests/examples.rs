//! Tests that run the programs of `examples/` against a sandbox, with clients that are generated from the OpenAPI
//! description.
//!
//! A test is skipped with a note if its tools are not installed, unless `FREEHOLD_REQUIRE_EXAMPLES` is set.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::process::{Sandbox, text};
use crate::conformance::venv;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// Creates an empty directory for generated files, with the OpenAPI description of the code. Returns both paths.
fn generated(name: &str) -> (PathBuf, PathBuf) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples").join(name);
    _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory");
    let description = directory.join("openapi.json");
    fs::write(&description, freehold_api::openapi_json()).expect("the description");
    (directory, description)
}

/// Runs a command that must succeed, and returns its output.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {stdout}\n{stderr}");
    stdout
}

/// Runs an example against a new sandbox, and checks that it prints the account of the tenant that it has signed up.
/// Checks that the example refuses a signup in an unknown region.
fn check(command: impl Fn() -> Command) {
    let sandbox = Sandbox::start(&["--speed", "60"]);
    let token = text(&sandbox.run(&["token"]).stdout);
    let example = |region: &str| {
        let mut command = command();
        command.args(["Example GmbH", "admin@example.com", region]);
        command.env("FREEHOLD_API_URL", sandbox.address_of("API")).env("FREEHOLD_TOKEN", token.trim());
        command.env_remove("HTTP_PROXY").env_remove("http_proxy").env("NO_PROXY", "127.0.0.1");
        command
    };
    let printed = run(&mut example("eu-central-1"));
    let mappings = sandbox.run(&["mappings", "list", "--output", "json"]);
    let mappings: serde_json::Value = serde_json::from_slice(&mappings.stdout).expect("JSON");
    let account = mappings[0]["aws_account_id"].as_str().expect("an account");
    assert_eq!(printed.trim(), format!("{account} production eu-central-1"));

    let refused = example("xx-nowhere-1").output().expect("an exit status");
    let message = [text(&refused.stdout), text(&refused.stderr)].concat();
    assert!(!refused.status.success() && message.contains("validation_failed"), "{message}");
}

/// Returns whether the tools of an example are installed. Panics if they must be.
fn has_tools(tools: &str, is_installed: bool, how: &str) -> bool {
    assert!(is_installed || std::env::var_os("FREEHOLD_REQUIRE_EXAMPLES").is_none(), "{tools} must be installed");
    if !is_installed {
        eprintln!("skipped: {tools} is not installed; {how}");
    }
    is_installed
}

fn is_program(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_ok()
}

#[test]
fn the_shell_example_prints_the_account_of_a_new_tenant() {
    if has_tools("curl and jq", is_program("curl") && is_program("jq"), "install the packages curl and jq") {
        check(|| Command::new(examples().join("curl/sign_up.sh")));
    }
}

#[test]
fn the_python_example_prints_the_account_of_a_new_tenant() {
    let [python, generator] = venv::program("openapi-python-client");
    let (directory, description) = generated("python");
    let programs = generator.parent().expect("a directory");
    // The generator formats its output with ruff, which it searches in PATH.
    let mut path = OsString::from(programs);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut generate = Command::new(&python);
    generate.arg(&generator).args(["generate", "--meta", "none", "--path"]).arg(&description);
    run(generate.arg("--output-path").arg(directory.join("freehold_client")).env("PATH", path));
    check(|| {
        let mut command = Command::new(&python);
        command.arg(examples().join("python/sign_up.py")).env("PYTHONPATH", &directory);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    });
}

#[test]
fn the_typescript_example_prints_the_account_of_a_new_tenant() {
    let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../node/node_modules");
    let is_installed = is_program("node") && packages.join("openapi-typescript").exists();
    if !has_tools("target/node", is_installed, "install it: npm ci --prefix target/node (see .ci/run)") {
        return;
    }
    let (directory, description) = generated("typescript");
    for file in ["sign_up.ts", "tsconfig.json", "package.json"] {
        fs::copy(examples().join("typescript").join(file), directory.join(file)).expect("a file of the example");
    }
    std::os::unix::fs::symlink(&packages, directory.join("node_modules")).expect("the packages");
    let node = |script: &str| {
        let mut command = Command::new("node");
        command.arg(packages.join(script)).current_dir(&directory);
        command
    };
    run(node("openapi-typescript/bin/cli.js").arg(&description).args(["--output", "freehold-api.d.ts"]));
    run(&mut node("typescript/bin/tsc"));
    check(|| {
        let mut command = Command::new("node");
        command.arg(directory.join("build/sign_up.js"));
        command
    });
}
