//! The invariants of ARCHITECTURE.md, kept true: which crate may know which, and what stands nowhere but in its place.

mod imports;
mod language;
mod stored_names;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use freehold_tests::database::Database;
use serde_json::Value;

/// A file longer than this wants a wall.
const LONGEST_FILE: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn metadata(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the metadata as JSON")
}

/// The platform that this is built for; dependencies of others are not on the machine.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("its host").to_owned()
}

/// Every Rust file below the folders, with its path from the root.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            // A link leads to sources that are found anyway.
            if entry.is_symlink() {
                continue;
            }
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let path = entry.strip_prefix(root()).expect("below the root").display().to_string();
                found.push((path, fs::read_to_string(&entry).expect("a source file")));
            }
        }
    }
    found.sort();
    found
}

/// Lines that say one of the words, outside comments, in files that `applies` to.
fn offenders(folders: &[&str], words: &[&str], applies: impl Fn(&str) -> bool) -> Vec<String> {
    let mut offenders = Vec::new();
    for (path, text) in sources(folders).into_iter().filter(|(path, _)| applies(path)) {
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.trim_start();
            if !code.starts_with("//") && words.iter().any(|word| code.contains(word)) {
                offenders.push(format!("{path}:{number}: {code}"));
            }
        }
    }
    offenders
}

#[test]
fn crates_know_only_those_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("freehold-tenancy", &[][..]),
        ("freehold-api", &["freehold-tenancy"]),
        ("freehold-worker", &["freehold-tenancy"]),
        ("freehold-sandbox", &["freehold-tenancy"]),
        ("freehold", &["freehold-api", "freehold-worker", "freehold-sandbox", "freehold-tenancy"]),
        ("freehold-tests", &["freehold", "freehold-api", "freehold-worker", "freehold-sandbox", "freehold-tenancy"]),
    ]);
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().expect("packages");
    assert_eq!(packages.len(), allowed.len(), "a crate that no arrow is drawn for");
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let other = dependency["name"].as_str().expect("a name");
            if other.starts_with("freehold") {
                assert!(allowed[name].contains(&other), "{name} must not know {other}");
            }
        }
    }
}

#[test]
fn a_production_build_leaves_the_sandbox_out() {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().expect("packages");
    let cli = packages.iter().find(|package| package["name"] == "freehold").expect("the program");
    let dependencies = cli["dependencies"].as_array().expect("dependencies");
    let sandbox = dependencies.iter().find(|one| one["name"] == "freehold-sandbox").expect("the sandbox");
    assert_eq!(sandbox["optional"], true);
}

#[test]
fn sql_stands_in_tenancy_alone() {
    let sql = ["sqlx::query", "query!(", "query_as!(", "query_scalar!("];
    assert_eq!(offenders(&["api/src", "worker/src", "cli/src"], &sql, |_| true), [""; 0]);
}

#[test]
fn the_aws_sdk_stands_in_the_worker_alone_and_there_behind_its_door() {
    let sdk = ["aws_sdk_", "aws_config", "aws_smithy", "aws_sigv4", "aws_credential_types"];
    assert_eq!(offenders(&["api/src", "tenancy/src", "cli/src"], &sdk, |_| true), [""; 0]);
    assert_eq!(offenders(&["worker/src"], &sdk, |path| !path.starts_with("worker/src/aws")), [""; 0]);
}

#[test]
fn the_time_comes_from_the_clock() {
    let wall = ["Utc::now(", "SystemTime::now(", "Local::now(", "OffsetDateTime::now"];
    let crates = ["api/src", "worker/src", "tenancy/src", "sandbox/src", "cli/src"];
    assert_eq!(offenders(&crates, &wall, |path| path != "tenancy/src/clock.rs"), [""; 0]);
    let sql = ["now()", "current_timestamp", "clock_timestamp"];
    // In SQL; `clock.now()` is how it should be.
    let in_sql: Vec<_> = offenders(&["tenancy/src/db"], &sql, |_| true)
        .into_iter()
        .filter(|line| !line.contains(".now()") && !line.contains("fn now()"))
        .collect();
    assert_eq!(in_sql, [""; 0]);
    for migration in fs::read_dir(root().join("migrations")).expect("migrations") {
        let text = fs::read_to_string(migration.expect("a migration").path()).expect("its text").to_lowercase();
        assert!(sql.iter().all(|word| !text.contains(word)), "a migration asks PostgreSQL for the time");
    }
}

#[test]
fn every_file_is_a_room_not_a_hall() {
    let long: Vec<_> = sources(&["api", "cli", "sandbox", "tenancy", "tests", "worker"])
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST_FILE} lines: {long:?}");
}

#[tokio::test]
async fn every_column_says_what_it_is() {
    let database = Database::new().await;
    let silent: Vec<String> = sqlx::query_scalar(
        "select c.relname || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
         join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'public' and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
           and c.relname not like '\\_sqlx%' and col_description(a.attrelid, a.attnum) is null order by 1",
    )
    .fetch_all(&database.pool)
    .await
    .expect("an answer");
    assert_eq!(silent, [""; 0], "columns without a comment");
}

#[test]
fn dependencies_come_from_crates_io_under_licences_that_fit() {
    // Each alternative of an `OR` counts; every part of an `AND` must fit.
    let fits = BTreeSet::from([
        "Apache-2.0",
        "MIT",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "0BSD",
        "Unicode-3.0",
        "CC0-1.0",
        "CDLA-Permissive-2.0",
        "OpenSSL",
        "MIT-0",
        "BSL-1.0",
        "Unlicense",
        "MPL-2.0",
        "PostgreSQL",
    ]);
    let mut wrong = Vec::new();
    for package in metadata(&["--filter-platform", &host()])["packages"].as_array().expect("packages") {
        let name =
            format!("{} {}", package["name"].as_str().unwrap_or("?"), package["version"].as_str().unwrap_or("?"));
        let source = package["source"].as_str().unwrap_or("path");
        if source != "path" && !(source.starts_with("registry+https://") && source.ends_with("/crates.io-index")) {
            wrong.push(format!("{name} comes from {source}"));
        }
        let licence = package["license"].as_str().unwrap_or("none named").replace('/', " OR ");
        let fitting = licence.split(" AND ").all(|part| {
            part.split(" OR ").any(|one| {
                let one = one.trim_matches(['(', ')', ' ']).split(" WITH ").next().unwrap_or_default();
                fits.contains(one)
            })
        });
        if !fitting {
            wrong.push(format!("{name} is under {licence}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}
