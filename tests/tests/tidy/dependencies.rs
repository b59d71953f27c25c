//! Tests of the dependencies between the crates of the workspace, and of the dependencies on external crates.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use super::root;

/// Parts of deny.toml that the tests check without cargo-deny.
#[derive(Deserialize)]
pub(super) struct Policy {
    licenses: Licences,
    pub(super) bans: Bans,
    pub(super) sources: Sources,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Sources {
    pub(super) allow_registry: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Bans {
    pub(super) deny: Vec<BanEntry>,
    skip: Vec<BanEntry>,
}

/// Crate that is banned, or that may be built in a second version.
#[derive(Deserialize)]
pub(super) struct BanEntry {
    /// Name, or name and version: `sha2:0.10` stands for all versions that are compatible with 0.10.
    #[serde(rename = "crate")]
    spec: String,
    reason: String,
}

impl BanEntry {
    /// Returns true if the entry is about this crate in this version.
    pub(super) fn matches(&self, name: &str, version: &str) -> bool {
        match self.spec.split_once(':') {
            None => self.spec == name,
            Some((own, wanted)) => {
                own == name && version.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }
        }
    }
}

pub(super) fn policy() -> Policy {
    let text = fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    toml::from_str(&text).expect("the fields of deny.toml")
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

/// Returns the platform of the build. The metadata is limited to this platform, because the dependencies of other
/// platforms are not downloaded.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}

/// Returns the name and version of each crate that a build for this platform contains.
fn built_crates() -> BTreeSet<(String, String)> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--offline", "--locked", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .expect("cargo tree");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    // An empty line separates the crates of the workspace.
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut words = line.split(' ');
            let name = words.next().unwrap_or_default();
            let version = words.next().and_then(|word| word.strip_prefix('v'));
            (name.to_owned(), version.unwrap_or_else(|| panic!("a version in {line:?}")).to_owned())
        })
        .collect()
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
    let policy = policy();
    let banned = |name: &str, version: &str| policy.bans.deny.iter().find(|entry| entry.matches(name, version));
    let wrong: Vec<_> = built_crates()
        .into_iter()
        .filter_map(|(name, version)| Some(format!("{name} {version}: {}", banned(&name, &version)?.reason)))
        .collect();
    assert_eq!(wrong, [""; 0], "a banned crate is built");
    for name in ["native-tls", "openssl", "openssl-sys", "ring"] {
        assert!(banned(name, "1.0.0").is_some(), "{name} must stay banned, because Freehold has one TLS stack");
    }
}

#[test]
fn only_accepted_crates_are_built_in_several_versions() {
    let accepted = policy().bans.skip;
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, version) in built_crates() {
        versions.entry(name).or_default().push(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let mut wrong = Vec::new();
    for (name, versions) in &versions {
        let unexpected: Vec<_> =
            versions.iter().filter(|version| !accepted.iter().any(|entry| entry.matches(name, version))).collect();
        if unexpected.len() != 1 {
            wrong.push(format!("{name} is built as {versions:?}; unify them, or add the older one to `skip`"));
        }
    }
    for entry in &accepted {
        let is_built = versions.iter().any(|(name, all)| all.iter().any(|version| entry.matches(name, version)));
        if !is_built {
            wrong.push(format!("{} is no duplicate any more; delete it from `skip`", entry.spec));
        }
        if entry.reason.len() < 8 {
            wrong.push(format!("{} has no reason in `skip`", entry.spec));
        }
    }
    assert_eq!(wrong, [""; 0], "[bans] of deny.toml is not up to date");
}

#[test]
fn dependencies_come_from_crates_io_under_allowed_licences() {
    let policy = policy();
    // One alternative of an `OR` must be allowed, and every part of an `AND`.
    let fits = policy.licenses.allow;
    let registries: Vec<_> = policy.sources.allow_registry.iter().map(|url| format!("registry+{url}")).collect();
    let mut wrong = Vec::new();
    for package in metadata(&["--filter-platform", &host()])["packages"].as_array().expect("packages") {
        let name =
            format!("{} {}", package["name"].as_str().unwrap_or("?"), package["version"].as_str().unwrap_or("?"));
        let source = package["source"].as_str().unwrap_or("path");
        if source != "path" && !registries.iter().any(|registry| registry == source) {
            wrong.push(format!("{name} comes from {source}"));
        }
        let licence = package["license"].as_str().unwrap_or("none named").replace('/', " OR ");
        let fitting = licence
            .split(" AND ")
            .all(|part| part.split(" OR ").any(|one| fits.contains(one.trim_matches(['(', ')', ' ']))));
        if !fitting {
            wrong.push(format!("{name} is under {licence}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}
