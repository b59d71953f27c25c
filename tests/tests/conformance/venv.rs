//! Python programs for the tests, installed with pinned versions in a virtual environment below `target/`. `.ci/run`
//! creates the environment in advance; otherwise the first test run creates it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the paths of Python and of the script with this name. Together they form a command that also works after the
/// virtual environment was moved.
pub(crate) fn program(name: &str) -> [PathBuf; 2] {
    static ENVIRONMENT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match ENVIRONMENT.get_or_init(environment) {
        Ok(environment) => [environment.join("bin/python"), environment.join("bin").join(name)],
        Err(why) => panic!(
            "the tests need `{name}`, which could not be installed into target/venv; the installation needs \
             Python 3 with venv and, the first time, PyPI: {why}"
        ),
    }
}

/// Returns the virtual environment with the packages of `tests/requirements.txt`, and creates it if it is missing.
fn environment() -> Result<PathBuf, String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let requirements = tests.join("requirements.txt");
    // The path of this program is target/debug/deps/main-….
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = program.ancestors().nth(3).ok_or("this program is not below target/")?;
    let environment = target.join("venv");
    let wanted = std::fs::read(&requirements).map_err(|error| error.to_string())?;
    let installed = environment.join("installed");
    if std::fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(environment);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    let mut pip = Command::new(environment.join("bin/pip"));
    // Wheels only, because a source package would run its own code during the installation.
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:", "-r"]);
    run(pip.arg(&requirements))?;
    std::fs::write(&installed, wanted).map_err(|error| error.to_string())?;
    Ok(environment)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?} ended with: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
