//! Tests that some functions are called in a few places only, and that every snapshot file is used.

use std::fs;
use std::path::PathBuf;

use super::{offenders, root};

#[test]
fn environment_variables_are_read_only_by_the_program() {
    // The sandbox searches for the PostgreSQL programs, and removes variables from the environment of the server.
    let allowed = |path: &str| {
        !path.starts_with("sandbox/src/postgres/")
            && !path.ends_with("/tests.rs")
            && path != "sandbox/src/world/permissions.rs"
            && path != "worker/src/aws/connection.rs"
    };
    let reads = ["env::var(", "env::var_os(", "env::vars(", "env::vars_os("];
    let crates = ["api/src", "worker/src", "tenancy/src", "sandbox/src"];
    assert_eq!(offenders(&crates, &reads, allowed), [""; 0], "pass the value in the configuration");
}

#[test]
fn the_api_spawns_tasks_in_three_places() {
    // A spawned task continues after the end of the request. This is needed for changes that must complete and for
    // exports.
    let allowed = ["api/src/detached.rs", "api/src/export.rs", "api/src/routes/account_mappings/export.rs"];
    let spawned = offenders(&["api/src"], &["tokio::spawn(", "task::spawn("], |path| !allowed.contains(&path));
    assert_eq!(spawned, [""; 0], "use `detached`");
}

#[test]
fn every_snapshot_is_used() {
    let mut folders: Vec<PathBuf> = vec![root().join("tests/tests")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
            // `cli::help` compares its folder with the list of commands.
            } else if path.extension().is_some_and(|extension| extension == "snap") && !folder.ends_with("cli/help") {
                let snapshot = fs::read_to_string(&path).expect("a snapshot");
                let source = snapshot.lines().find_map(|line| line.strip_prefix("source: ")).expect("its source");
                let source = fs::read_to_string(root().join(source)).unwrap_or_default();
                let name = path.file_stem().expect("a name").to_string_lossy();
                let name = name.rsplit("__").next().unwrap_or_default();
                let used = source.contains(&format!("\"{name}\"")) || source.contains(&format!("fn {name}("));
                assert!(used, "{} is used by no test", path.display());
            }
        }
    }
}
