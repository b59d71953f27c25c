//! Tests of the software bill of materials that deploy/sbom.py writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::read;

/// Runs a command in the root of the repository, without network access for cargo, and returns its output.
pub(super) fn run(command: &mut Command) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = command.current_dir(root).env("CARGO_NET_OFFLINE", "true").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}"))
}

/// Returns the crates of a production build, as "name version".
fn built_crates() -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "-p", "freehold", "--no-default-features", "--edges", "normal,build", "--locked"]);
    tree.args(["--prefix", "none", "--format", "{p}"]);
    let text = run(&mut tree);
    text.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ").replace(" v", " ")).collect()
}

#[test]
fn the_sbom_lists_exactly_the_crates_of_a_production_build() {
    let document: Value =
        serde_json::from_str(&run(Command::new("deploy/sbom.py").env("SOURCE_DATE_EPOCH", "0"))).unwrap();
    assert_eq!((text(&document, "bomFormat"), text(&document, "specVersion")), ("CycloneDX", "1.6"));
    assert_eq!(text(&document["metadata"], "timestamp"), "1970-01-01T00:00:00Z");
    assert!(text(&document, "serialNumber").starts_with("urn:uuid:"), "{document}");
    let program = &document["metadata"]["component"];
    assert_eq!((text(program, "type"), text(program, "name")), ("application", "freehold"));

    let lock: toml::Value = toml::from_str(&read("Cargo.lock")).unwrap();
    let checksums: BTreeMap<_, _> = lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|package| {
            let crate_name = format!("{} {}", package["name"].as_str()?, package["version"].as_str()?);
            Some((crate_name, package.get("checksum")?.as_str()?.to_owned()))
        })
        .collect();
    let mut listed = BTreeSet::from([format!("freehold {}", text(program, "version"))]);
    let mut references = BTreeSet::from([text(program, "bom-ref")]);
    for component in document["components"].as_array().unwrap() {
        let (name, version) = (text(component, "name"), text(component, "version"));
        let crate_name = format!("{name} {version}");
        let kind = if name.starts_with("freehold-") { "generic" } else { "cargo" };
        // `+` separates build metadata, and a purl escapes it.
        let purl = format!("pkg:{kind}/{name}@{}", version.replace('+', "%2B"));
        assert_eq!((text(component, "purl"), text(component, "bom-ref")), (purl.as_str(), purl.as_str()));
        assert!(["required", "excluded"].contains(&text(component, "scope")), "{component}");
        assert_ne!(component["licenses"][0]["expression"].as_str().unwrap_or_default(), "", "{component}");
        match checksums.get(&crate_name) {
            Some(checksum) => {
                assert_eq!(text(&component["hashes"][0], "alg"), "SHA-256");
                assert_eq!(text(&component["hashes"][0], "content"), checksum);
            }
            None => assert_eq!(kind, "generic", "{component}"),
        }
        assert!(references.insert(text(component, "bom-ref")), "listed twice: {component}");
        listed.insert(crate_name);
    }
    assert_eq!(listed, built_crates());
    assert!(listed.len() > 200, "{}", listed.len());
    for name in ["freehold-sandbox", "freehold-tests", "winterbaume-core", "insta"] {
        assert!(!listed.iter().any(|one| one.starts_with(&format!("{name} "))), "{name} is in no production build");
    }
    let scope = |name: &str| {
        document["components"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()["scope"].clone()
    };
    assert_eq!(
        (scope("rustls"), scope("aws-lc-sys"), scope("tokio")),
        ("required".into(), "required".into(), "required".into())
    );
    assert_eq!((scope("serde_derive"), scope("cc")), ("excluded".into(), "excluded".into()));

    // Everything is reachable from the program.
    let edges: BTreeMap<_, _> = document["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| (text(edge, "ref"), &edge["dependsOn"]))
        .collect();
    assert_eq!(edges.keys().copied().collect::<BTreeSet<_>>(), references);
    let (mut reached, mut next) = (BTreeSet::new(), vec![text(program, "bom-ref")]);
    while let Some(reference) = next.pop() {
        if reached.insert(reference) {
            next.extend(edges[reference].as_array().unwrap().iter().map(|one| one.as_str().unwrap()));
        }
    }
    assert_eq!(reached, references);
}
