//! What is in `deploy/`: that it says of Freehold what is so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod iam;
mod lint;
mod telemetry;
mod worker;

use std::fs;
use std::path::Path;

use serde_yaml_ng::Value as Yaml;

/// A file, by its path from the root of the repository.
fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Yaml {
    serde_yaml_ng::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
