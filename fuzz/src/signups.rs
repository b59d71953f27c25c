//! Bodies, and the operator's own configuration.

use std::sync::LazyLock;

use freehold_api::fuzzing;
use freehold_tenancy::Config;
use serde_json::{Map, Value};

use crate::text;

static CONFIG: LazyLock<Config> =
    LazyLock::new(|| Config::parse(include_str!("config.toml")).expect("a configuration"));

/// A signup is read in full or refused with every reason; one that was read is the same when it is sent as it is shown.
pub fn signup(data: &[u8]) {
    let tenant = match fuzzing::signup(data, &CONFIG) {
        Ok(tenant) => tenant,
        Err(problem) => return refused(&problem),
    };
    let fields = ["company_name", "admin_email", "tier", "external_id", "labels"];
    let mut again: Map<_, _> = fields.map(|name| (name.to_owned(), tenant[name].clone())).into_iter().collect();
    let environments = tenant["environments"].as_array().expect("environments");
    assert!((1..=5).contains(&environments.len()));
    again.insert("home_region".to_owned(), environments[0]["home_region"].clone());
    again.insert("residency".to_owned(), environments[0]["residency"].clone());
    let names = environments.iter().map(|environment| environment["name"].clone()).collect();
    again.insert("environments".to_owned(), Value::Array(names));
    let body = Value::Object(again.clone()).to_string();
    let shown = fuzzing::signup(body.as_bytes(), &CONFIG).expect("what was accepted is accepted again");
    for name in fields {
        assert_eq!(shown[name], tenant[name], "{name}");
    }
    // The same fields in another order are the same request; other values are another.
    let hash = fuzzing::request_hash(&again);
    let turned: Map<_, _> = again.iter().rev().map(|(name, value)| (name.clone(), value.clone())).collect();
    assert_eq!(fuzzing::request_hash(&turned), hash);
    again.insert("tier".to_owned(), Value::from("another"));
    assert_ne!(fuzzing::request_hash(&again), hash);
}

/// A patch changes what it names and nothing else, or is refused with every reason.
pub fn tenant_patch(data: &[u8]) {
    let before = serde_json::json!({
        "company_name": "Example", "admin_email": "admin@example.com", "home_region": "eu-central-1", "labels": { "a": "b" },
        "external_id": "customer-1",
    });
    let (before, after) = match fuzzing::tenant_patch(data, before.to_string().as_bytes(), &CONFIG) {
        Ok(both) => both,
        Err(problem) => return refused(&problem),
    };
    let patch: Value = serde_json::from_slice(data).expect("what was accepted is JSON");
    let mut patched = before.clone();
    merge(&mut patched, &patch);
    for (name, value) in patched.as_object().expect("a tenant") {
        if name != "updated_at" {
            assert_eq!(&after[name], value, "{name} after {patch}");
        }
    }
}

/// RFC 7396, word by word; a member that is gone is shown as `null` where there is one.
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

/// A refusal says what is wrong, at a length that does not grow with what was sent.
fn refused(problem: &Value) {
    assert!((400..500).contains(&problem["status"].as_u64().expect("a status")), "{problem}");
    for error in problem["errors"].as_array().into_iter().flatten() {
        let said =
            error["field"].as_str().expect("a field").len() + error["message"].as_str().expect("a message").len();
        assert!(said < 4096, "{error}");
    }
}

/// A configuration is read, or refused with a sentence.
pub fn config(data: &[u8]) {
    if let Some(Err(error)) = text(data).map(Config::parse) {
        assert!(!error.to_string().is_empty());
    }
}
