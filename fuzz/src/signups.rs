//! Fuzz tests of request bodies and of the configuration file.

use std::sync::LazyLock;

use freehold_api::fuzzing;
use freehold_tenancy::Config;
use serde_json::{Map, Value};

use crate::text;

static CONFIG: LazyLock<Config> =
    LazyLock::new(|| Config::parse(include_str!("config.toml")).expect("a configuration"));

/// Checks that a signup is accepted or rejected with a valid problem, and that an accepted signup, sent again as
/// returned, gives the same result.
pub fn signup(data: &[u8]) {
    let tenant = match fuzzing::signup(data, &CONFIG) {
        Ok(tenant) => tenant,
        Err(problem) => return check_problem(&problem),
    };
    let fields = ["company_name", "admin_email", "tier", "external_id", "labels"];
    let mut fields_again: Map<_, _> = fields.map(|name| (name.to_owned(), tenant[name].clone())).into_iter().collect();
    let environments = tenant["environments"].as_array().expect("environments");
    assert!((1..=5).contains(&environments.len()));
    fields_again.insert("home_region".to_owned(), environments[0]["home_region"].clone());
    fields_again.insert("residency".to_owned(), environments[0]["residency"].clone());
    let names = environments.iter().map(|environment| environment["name"].clone()).collect();
    fields_again.insert("environments".to_owned(), Value::Array(names));
    let body = Value::Object(fields_again.clone()).to_string();
    let resent = fuzzing::signup(body.as_bytes(), &CONFIG).expect("an accepted signup must be accepted again");
    for name in fields {
        assert_eq!(resent[name], tenant[name], "{name}");
    }
    // The hash depends on the values but not on the order of the fields.
    let hash = fuzzing::request_hash(&fields_again);
    let reversed: Map<_, _> = fields_again.iter().rev().map(|(name, value)| (name.clone(), value.clone())).collect();
    assert_eq!(fuzzing::request_hash(&reversed), hash);
    fields_again.insert("tier".to_owned(), Value::from("another"));
    assert_ne!(fuzzing::request_hash(&fields_again), hash);
}

/// Checks that a tenant patch changes exactly the named fields or is rejected with a valid problem.
pub fn tenant_patch(data: &[u8]) {
    let before = serde_json::json!({
        "company_name": "Example", "admin_email": "admin@example.com", "home_region": "eu-central-1",
        "labels": { "a": "b" },
        "external_id": "customer-1",
    });
    let (before, after) = match fuzzing::tenant_patch(data, before.to_string().as_bytes(), &CONFIG) {
        Ok(both) => both,
        Err(problem) => return check_problem(&problem),
    };
    let patch: Value = serde_json::from_slice(data).expect("an accepted patch is JSON");
    let mut patched = before.clone();
    merge(&mut patched, &patch);
    for (name, value) in patched.as_object().expect("a tenant") {
        if name != "updated_at" {
            assert_eq!(&after[name], value, "{name} after {patch}");
        }
    }
}

/// Reference implementation of JSON merge patch (RFC 7396). A removed `external_id` becomes `null`.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return *target = patch.clone() };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let target = target.as_object_mut().expect("an object");
    for (name, value) in patch {
        if !value.is_null() {
            merge(target.entry(name).or_insert(Value::Null), value);
        } else if name == "external_id" {
            target.insert(name.clone(), Value::Null);
        } else {
            target.remove(name);
        }
    }
}

/// Checks that a problem is a client error and that its texts have a limited length.
fn check_problem(problem: &Value) {
    assert!((400..500).contains(&problem["status"].as_u64().expect("a status")), "{problem}");
    for error in problem["errors"].as_array().into_iter().flatten() {
        let length =
            error["field"].as_str().expect("a field").len() + error["message"].as_str().expect("a message").len();
        assert!(length < 4096, "{error}");
    }
}

/// Checks that a configuration is accepted or rejected with a message.
pub fn config(data: &[u8]) {
    if let Some(Err(error)) = text(data).map(Config::parse) {
        assert!(!error.to_string().is_empty());
    }
}
