//! Tests of Cargo.lock and fuzz/Cargo.lock, which also list the dependencies of other platforms than this machine's,
//! and of tests/requirements.txt.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::Deserialize;

use super::dependencies::policy;
use super::root;

/// Banned crates that a lock file lists as optional dependencies, although no build uses them.
const LISTED_BUT_NOT_BUILT: [&str; 1] = ["ring"];

/// Packages of fuzz/Cargo.lock that Cargo.lock does not list.
const ONLY_FOR_FUZZING: [&str; 3] = ["arbitrary", "freehold-fuzz", "libfuzzer-sys"];

#[derive(Deserialize)]
struct LockFile {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

fn packages(path: &str) -> Vec<Package> {
    let text = fs::read_to_string(root().join(path)).expect("a lock file");
    toml::from_str::<LockFile>(&text).expect("the packages of a lock file").package
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn every_locked_package_has_a_source_and_a_checksum() {
    let registries: Vec<_> = policy().sources.allow_registry.into_iter().map(|url| format!("registry+{url}")).collect();
    for path in ["Cargo.lock", "fuzz/Cargo.lock"] {
        for Package { name, version, source, checksum } in packages(path) {
            match source {
                // Only the crates of this repository have no source.
                None => assert!(name == "freehold" || name.starts_with("freehold-"), "{path}: {name} has no source"),
                Some(source) => {
                    assert!(registries.contains(&source), "{path}: {name} comes from {source}");
                    assert!(checksum.is_some_and(|sum| is_sha256(&sum)), "{path}: {name} {version} has no checksum");
                }
            }
        }
    }
}

#[test]
fn lock_files_list_no_banned_crate() {
    let banned = policy().bans.deny;
    for path in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let packages = packages(path);
        let is_banned = |package: &&Package| banned.iter().any(|ban| ban.matches(&package.name, &package.version));
        let listed: BTreeSet<_> = packages.iter().filter(is_banned).map(|package| package.name.as_str()).collect();
        assert_eq!(listed, BTreeSet::from(LISTED_BUT_NOT_BUILT), "{path}: banned crates");
    }
}

#[test]
fn fuzzing_uses_the_dependencies_of_the_workspace() {
    let workspace: BTreeMap<_, _> =
        packages("Cargo.lock").into_iter().map(|package| ((package.name, package.version), package.checksum)).collect();
    let mut added = BTreeSet::new();
    for package in packages("fuzz/Cargo.lock") {
        match workspace.get(&(package.name.clone(), package.version.clone())) {
            Some(checksum) => assert_eq!(*checksum, package.checksum, "{} {}", package.name, package.version),
            None => {
                added.insert(package.name);
            }
        }
    }
    let expected = BTreeSet::from(ONLY_FOR_FUZZING.map(str::to_owned));
    assert_eq!(added, expected, "run `cargo update --manifest-path fuzz/Cargo.toml --precise VERSION PACKAGE`");
}

#[test]
fn every_python_package_of_the_tests_is_pinned_by_hash() {
    let text = fs::read_to_string(root().join("tests/requirements.txt")).expect("requirements.txt");
    let mut pins = BTreeMap::new();
    for requirement in text.replace("\\\n", " ").lines().filter(|line| !line.starts_with('#')) {
        let mut words = requirement.split_whitespace();
        let (name, version) = words.next().and_then(|pin| pin.split_once("==")).expect("NAME==VERSION");
        let hashes: Vec<_> = words.collect();
        assert!(!hashes.is_empty(), "{name} has no hash");
        for hash in hashes {
            assert!(hash.strip_prefix("--hash=sha256:").is_some_and(is_sha256), "{name}: {hash}");
        }
        assert_eq!(pins.insert(name.to_owned(), version.to_owned()), None, "{name} is listed twice");
    }
    let wanted = fs::read_to_string(root().join("tests/requirements.in")).expect("requirements.in");
    for requirement in wanted.lines().filter(|line| !line.starts_with('#')) {
        let (name, version) = requirement.split_once("==").expect("NAME==VERSION");
        let name = name.split('[').next().unwrap_or_default();
        assert_eq!(pins.get(name).map(String::as_str), Some(version), "run tests/requirements.py: {name}");
    }
    for path in [".ci/run", "tests/tests/conformance/venv.rs"] {
        let script = fs::read_to_string(root().join(path)).expect("a file");
        assert!(script.contains("--require-hashes"), "{path} installs packages without their hashes");
    }
}
