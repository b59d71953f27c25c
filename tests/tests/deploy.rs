//! Tests that the files in `deploy/` match the code.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod iam;
mod image;
mod lint;
mod roles;
mod sbom;
mod secrets;
mod telemetry;
mod tenant_admin;
mod worker;

use std::fs;
use std::path::Path;

use serde_yaml_ng::Value as Yaml;

/// Reads a file. The path is relative to the root of the repository.
fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Yaml {
    serde_yaml_ng::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
