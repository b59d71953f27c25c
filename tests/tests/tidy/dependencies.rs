//! Tests of the dependencies between the crates of the workspace, and of the dependencies on external crates.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::root;

/// Crates that may be built in several versions, because their dependants require different versions.
const ACCEPTED_DUPLICATES: [&str; 14] = [
    "base64",
    "block-buffer",
    "cpufeatures",
    "crypto-common",
    "digest",
    "getrandom",
    "hashbrown",
    "http",
    "pem",
    "rand",
    "rand_core",
    "sha2",
    "syn",
    "untrusted",
];

/// Crates that must not be built: Freehold has one TLS stack, rustls with aws-lc-rs.
const BANNED: [&str; 4] = ["native-tls", "openssl", "openssl-sys", "ring"];

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

/// Returns the platform of the build. The metadata is limited to this platform, because the dependencies of other
/// platforms are not downloaded.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}

/// Returns the crates of a build for this platform, each as "name version".
fn built_crates() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--offline", "--locked", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .expect("cargo tree");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn name(package: &str) -> &str {
    package.split(' ').next().unwrap_or_default()
}

#[test]
fn crates_depend_only_on_lower_crates() {
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
    assert_eq!(packages.len(), allowed.len(), "a crate without a list of allowed dependencies");
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let other = dependency["name"].as_str().expect("a name");
            if other.starts_with("freehold") {
                assert!(allowed[name].contains(&other), "{name} must not depend on {other}");
            }
        }
    }
}

#[test]
fn a_production_build_excludes_the_sandbox() {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().expect("packages");
    let cli = packages.iter().find(|package| package["name"] == "freehold").expect("the program");
    let dependencies = cli["dependencies"].as_array().expect("dependencies");
    let sandbox = dependencies.iter().find(|one| one["name"] == "freehold-sandbox").expect("the sandbox");
    assert_eq!(sandbox["optional"], true);
}

#[test]
fn banned_crates_are_not_built() {
    let built = built_crates();
    let banned: Vec<_> = built.iter().filter(|package| BANNED.contains(&name(package))).collect();
    assert!(banned.is_empty(), "a banned crate is built: {banned:?}");
}

#[test]
fn only_accepted_crates_are_built_in_several_versions() {
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    for package in built_crates() {
        *versions.entry(name(&package).to_owned()).or_default() += 1;
    }
    let duplicates: Vec<_> = versions.iter().filter(|(_, count)| **count > 1).map(|(name, _)| name.as_str()).collect();
    assert_eq!(duplicates, ACCEPTED_DUPLICATES, "the list of accepted duplicates is not up to date");
}

#[test]
fn dependencies_come_from_crates_io_under_allowed_licences() {
    // One alternative of an `OR` must be allowed, and every part of an `AND`.
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
