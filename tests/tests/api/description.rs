//! Tests of the OpenAPI description of the API, `openapi/openapi.json`.

use std::collections::BTreeSet;
use std::path::Path;

use freehold_tests::api_fixture::{ApiFixture, send, signup_body};
use serde_json::{Value, json};

fn description() -> Value {
    serde_json::from_str(&freehold_api::openapi_json()).unwrap()
}

#[test]
fn the_committed_description_matches_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/openapi.json");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    // `assert_eq!` would print both documents completely.
    let current = freehold_api::openapi_json();
    let differs = committed.lines().zip(current.lines()).find(|(committed, current)| committed != current);
    assert!(committed == current, "freehold openapi > openapi/openapi.json: {differs:?}");
}

#[test]
fn references_resolve_and_all_components_are_used() {
    let description = description();
    let text = description.to_string();
    for (kind, described) in description["components"].as_object().unwrap() {
        if kind == "securitySchemes" {
            continue;
        }
        for name in described.as_object().unwrap().keys() {
            assert!(text.contains(&format!("\"#/components/{kind}/{name}\"")), "no reference to {kind}/{name}");
        }
    }
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(description.pointer(reference).is_some(), "{reference} points to nothing");
    }
}

#[test]
fn every_operation_has_a_unique_id_a_tag_and_a_summary() {
    let description = description();
    let mut ids = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let route = format!("{method} {path}");
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{route}: duplicate operationId"
            );
            assert!(operation["tags"][0].is_string(), "{route} has no tag");
            assert!(has_text(&operation["summary"]), "{route} has no summary");
        }
    }
}

#[test]
fn every_parameter_schema_and_property_has_a_description() {
    let description = description();
    let mut missing = Vec::new();
    collect_undescribed(&description, "", &mut missing);
    for (name, schema) in description["components"]["schemas"].as_object().unwrap() {
        if !has_text(&schema["description"]) {
            missing.push(format!("/components/schemas/{name}"));
        }
    }
    assert_eq!(missing, [""; 0]);
}

fn has_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

/// Adds to `missing` the JSON pointers of all properties and parameters, at any depth, that have no description.
fn collect_undescribed(value: &Value, pointer: &str, missing: &mut Vec<String>) {
    if let Some(members) = value.as_array() {
        for (index, member) in members.iter().enumerate() {
            collect_undescribed(member, &format!("{pointer}/{index}"), missing);
        }
    }
    for (property, schema) in value["properties"].as_object().into_iter().flatten() {
        // A nullable reference is a `oneOf`; its first alternative carries the description.
        if !has_text(&schema["description"]) && !has_text(&schema["oneOf"][0]["description"]) {
            missing.push(format!("{pointer}/properties/{property}"));
        }
    }
    for parameter in value["parameters"].as_array().into_iter().flatten() {
        if !has_text(&parameter["description"]) {
            missing.push(format!("{pointer}/parameters/{}", parameter["name"]));
        }
    }
    for (key, member) in value.as_object().into_iter().flatten() {
        // Examples are data, and may have fields of these names.
        if !["example", "examples", "default", "enum", "const"].contains(&key.as_str()) {
            collect_undescribed(member, &format!("{pointer}/{key}"), missing);
        }
    }
}

#[tokio::test]
async fn a_signup_accepts_exactly_the_described_fields() {
    let api = ApiFixture::new().await;
    let described = description()["components"]["schemas"]["Signup"].clone();
    assert_eq!(described["additionalProperties"], false);
    for name in described["properties"].as_object().unwrap().keys() {
        let mut body = signup_body();
        body[name] = json!(7);
        let problem = send(api.signup_request("7f3a", &body)).await.json();
        assert_eq!(problem["errors"][0]["field"], *name, "{problem}");
        assert_eq!(problem["errors"][0]["code"], "wrong_type", "{problem}");
    }
    let needed: Vec<_> = described["required"].as_array().unwrap().iter().collect();
    assert_eq!(needed, signup_body().as_object().unwrap().keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn responses_match_the_description() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let operation = tenant["environments"][0]["operation_id"].as_str().unwrap();
    api.park("account_email_taken").await;
    // No problem has all fields.
    let mut problem = send(api.signup_request("7f3a", &json!({}))).await.json();
    let environment = format!("/v1/tenants/{}/environments/production", tenant["id"].as_str().unwrap());
    problem["operation_id"] = api.post(&format!("{environment}/baseline-upgrades")).await.json()["operation_id"].take();
    assert_eq!(problem["operation_id"], operation);
    let schemas = description()["components"]["schemas"].clone();
    for (name, value) in [
        ("Tenant", tenant.clone()),
        ("Environment", tenant["environments"][0].clone()),
        ("TenantPage", api.get("/v1/tenants").await.json()),
        ("Operation", api.get(&format!("/v1/operations/{operation}")).await.json()),
        ("Step", api.get(&format!("/v1/operations/{operation}")).await.json()["steps"][0].clone()),
        ("OperationPage", api.get("/v1/operations").await.json()),
        ("AccountMappingPage", api.get("/v1/account-mappings").await.json()),
        ("Problem", problem),
    ] {
        let described: BTreeSet<_> = schemas[name]["properties"].as_object().unwrap().keys().collect();
        let fields: BTreeSet<_> = value.as_object().unwrap().keys().collect();
        assert_eq!(fields, described, "{name}");
        let required = schemas[name]["required"].as_array().unwrap();
        let optional = described.into_iter().filter(|name| !required.contains(&json!(name)));
        let expected: &[&str] = match name {
            "Operation" => &["approvals", "steps"],
            "Problem" => &["errors", "operation_id"],
            _ => &[],
        };
        assert_eq!(optional.collect::<Vec<_>>(), expected, "{name}");
    }
}
