//! Tests of the request that signs up a tenant.

use freehold_tests::api_fixture::{ApiFixture, send, signup_body, signup_body_with};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_signup_returns_the_tenant_and_the_path_of_its_operation() {
    let api = ApiFixture::new().await;
    let body = signup_body_with(json!({
        "tier": "enterprise", "external_id": "customer-4711", "labels": { "team": "north" },
        "environments": ["production", "staging"],
    }));
    let response = send(api.signup_request("7f3a", &body)).await;
    assert_eq!(response.status, 202, "{}", response.text);
    assert_eq!(response.header("retry-after"), "5");
    assert_eq!(response.header("content-type"), "application/json");

    let tenant = response.json();
    assert_eq!(response.header("location"), format!("/v1/tenants/{}", tenant["id"].as_str().unwrap()));
    for field in ["company_name", "admin_email", "tier", "external_id", "labels"] {
        assert_eq!(tenant[field], body[field], "{field}");
    }
    assert_eq!(tenant["state"], "onboarding");
    let environments = tenant["environments"].as_array().unwrap();
    let names: Vec<_> = environments.iter().map(|environment| &environment["name"]).collect();
    assert_eq!(names, ["production", "staging"]);
    for environment in environments {
        assert_eq!(environment["state"], "onboarding");
        assert_eq!(environment["residency"], "eu");
        assert_eq!(environment["home_region"], "eu-central-1");
        assert_eq!(environment["aws_account_id"], Value::Null);
        let operation = api.get(&format!("/v1/operations/{}", environment["operation_id"].as_str().unwrap())).await;
        assert_eq!(operation.json()["state"], "pending");
        assert_eq!(operation.json()["environment_id"], environment["id"]);
    }
}

#[tokio::test]
async fn the_response_of_a_signup_equals_the_stored_tenant() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body_with(json!({ "environments": ["dev", "production"] }))).await;
    let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
    assert_eq!(api.get(&path).await.json(), tenant);
    assert_eq!(api.get(&format!("{path}/environments/dev")).await.json(), tenant["environments"][0]);
    assert_eq!(
        api.get(&format!("{path}/environments/staging")).await.status_and_code(),
        (404, "environment_not_found".into())
    );
}

#[tokio::test]
async fn a_tenant_is_ready_when_its_operation_has_succeeded() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    api.succeed_operation("001122223333").await;
    let ready = api.get(&format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())).await.json();
    assert_eq!(ready["state"], "ready");
    assert_eq!(ready["environments"][0]["aws_account_id"], "001122223333");
    assert_ne!(ready["environments"][0]["ready_at"], Value::Null);
}

#[tokio::test]
async fn omitted_fields_get_the_configured_defaults() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body_with(json!({ "home_region": "eu-central-2" }))).await;
    assert_eq!(tenant["tier"], "standard");
    assert_eq!(tenant["external_id"], Value::Null);
    assert_eq!(tenant["environments"].as_array().unwrap().len(), 1);
    assert_eq!(tenant["environments"][0]["name"], "production");
    assert_eq!(tenant["environments"][0]["residency"], "ch");
}

#[tokio::test]
async fn each_invalid_field_of_a_signup_is_reported() {
    let api = ApiFixture::new().await;
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("label-{n}"), json!("x"))).collect();
    let long_email = format!("{}@{}.example.com", "x".repeat(64), "y".repeat(60));
    let cases = [
        (json!({ "company_name": null }), "company_name", "missing"),
        (json!({ "company_name": "" }), "company_name", "invalid"),
        (json!({ "company_name": "x".repeat(121) }), "company_name", "invalid"),
        (json!({ "company_name": "Exam\u{0}ple" }), "company_name", "invalid"),
        (json!({ "company_name": 7 }), "company_name", "wrong_type"),
        (json!({ "admin_email": "admin" }), "admin_email", "invalid"),
        (json!({ "admin_email": format!("{}@example.com", "x".repeat(250)) }), "admin_email", "invalid"),
        // The tier has a tenant group, whose user has the e-mail address as its name.
        (json!({ "admin_email": long_email, "tier": "enterprise" }), "admin_email", "invalid"),
        (json!({ "company_name": "\u{200b}" }), "company_name", "invalid"),
        (json!({ "company_name": "Example \u{202e}HbmG" }), "company_name", "invalid"),
        (json!({ "home_region": "mars-north-1" }), "home_region", "unknown_region"),
        (json!({ "home_region": "sa-east-1" }), "home_region", "region_not_offered"),
        (json!({ "residency": "us" }), "home_region", "region_outside_residency"),
        (json!({ "residency": "mars" }), "residency", "unknown_residency"),
        (json!({ "residency": "EU!" }), "residency", "invalid"),
        (json!({ "tier": "platinum" }), "tier", "unknown_tier"),
        (json!({ "tier": ["standard"] }), "tier", "wrong_type"),
        (json!({ "external_id": "with blank" }), "external_id", "invalid"),
        (json!({ "environments": [] }), "environments", "invalid"),
        (json!({ "environments": ["a", "b", "c", "d", "e", "f"] }), "environments", "invalid"),
        (json!({ "environments": ["production", "production"] }), "environments[1]", "repeated"),
        (json!({ "environments": ["production", "Staging"] }), "environments[1]", "invalid"),
        (json!({ "environments": [7] }), "environments[0]", "wrong_type"),
        (json!({ "environments": "production" }), "environments", "wrong_type"),
        (json!({ "labels": many }), "labels", "too_many"),
        (json!({ "labels": { "": "x" } }), "labels.", "invalid"),
        (json!({ "labels": { "team": "x".repeat(256) } }), "labels.team", "invalid"),
        (json!({ "labels": { "team": "\u{0}" } }), "labels.team", "invalid"),
        (json!({ "labels": { "team": 7 } }), "labels.team", "wrong_type"),
        (json!({ "labels": ["team"] }), "labels", "wrong_type"),
        (json!({ "colour": "blue" }), "colour", "unknown_field"),
    ];
    for (change, field, code) in cases {
        let response = send(api.signup_request("7f3a", &signup_body_with(change.clone()))).await;
        assert_eq!(response.status_and_code(), (422, "validation_failed".into()), "{change}: {}", response.text);
        let errors = response.json()["errors"].clone();
        assert_eq!(errors.as_array().unwrap().len(), 1, "{change}: {errors}");
        assert_eq!((&errors[0]["field"], &errors[0]["code"]), (&json!(field), &json!(code)), "{change}");
    }
    assert_eq!(api.row_counts().await, [0; 5]);
}

#[tokio::test]
async fn all_invalid_fields_are_reported_together() {
    let api = ApiFixture::new().await;
    let body = json!({ "company_name": "", "admin_email": 7, "tier": "platinum", "environments": ["A", "B"], "x": 1 });
    let problem = send(api.signup_request("7f3a", &body)).await.json();
    let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    let expected = ["company_name", "admin_email", "home_region", "tier", "environments[0]", "environments[1]", "x"];
    assert_eq!(fields, expected, "{problem}");
}

#[tokio::test]
async fn a_signup_with_fields_of_maximum_length_is_accepted() {
    let api = ApiFixture::new().await;
    let labels: serde_json::Map<_, _> = (0..32).map(|n| (format!("{n:0>63}"), json!("ü".repeat(255)))).collect();
    api.sign_up(&signup_body_with(json!({
        "company_name": "ü".repeat(120), "admin_email": format!("{}@example.com", "x".repeat(64)),
        "external_id": "x".repeat(128), "environments": ["a", "b", "c", "d", "e"], "labels": labels,
    })))
    .await;
    assert_eq!(api.row_counts().await, [1, 5, 5, 5, 1]);
}

#[tokio::test]
async fn an_external_id_is_unique_among_active_tenants() {
    let api = ApiFixture::new().await;
    let body = signup_body_with(json!({ "external_id": "customer-4711" }));
    assert_eq!(send(api.signup_request("one", &body)).await.status, 202);
    let rows = api.row_counts().await;
    assert_eq!(send(api.signup_request("two", &body)).await.status_and_code(), (409, "external_id_taken".into()));
    assert_eq!(api.row_counts().await, rows);
}

#[tokio::test]
async fn a_dry_run_shows_the_result_and_writes_nothing() {
    let api = ApiFixture::new().await;
    api.sign_up(&signup_body_with(json!({ "external_id": "c-1" }))).await;
    let rows = api.row_counts().await;
    let dry_run = async |body: Value| send(api.request(Method::POST, "/v1/tenants?dry_run=true").json(&body)).await;
    let body = json!({
        "company_name": "Other GmbH", "admin_email": "other@example.com", "home_region": "us-east-1",
        "environments": ["production", "staging"],
    });
    let response = dry_run(body.clone()).await;
    assert_eq!(response.status, 200, "{}", response.text);
    let preview = response.json();
    let named = |name: &str| preview[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        ["tier", "residency", "home_region", "organizational_unit", "guardrail", "stack"].map(named),
        ["standard", "us", "us-east-1", "freehold-us", "freehold-region-us", "freehold-tenant"]
    );
    assert_eq!((&preview["accepted"], &preview["collisions"]), (&json!(true), &json!([])));
    let queue_positions = |preview: &Value| {
        preview["environments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["queue"]["position"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(queue_positions(&preview), [2, 3], "one operation is queued already");

    // All conflicts are listed; only those that reject a signup set `accepted` to false.
    let again = dry_run(signup_body_with(json!({ "external_id": "c-1", "company_name": "EXAMPLE GmbH" }))).await.json();
    let collisions: Vec<_> = again["collisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["field"].as_str().unwrap(), one["refused"].as_bool().unwrap()))
        .collect();
    assert_eq!(collisions, [("external_id", true), ("company_name", false), ("admin_email", false)]);
    assert_eq!(again["accepted"], false);

    // A name that looks the same is the same name.
    let same = json!({ "company_name": "Ｅxample\u{200b} Gmb\u{200d}H", "admin_email": "other@example.com" });
    let same = dry_run(signup_body_with(same)).await.json();
    assert_eq!(same["collisions"][0]["field"], "company_name", "{same}");

    let refused = dry_run(signup_body_with(json!({ "home_region": "mars-north-1" }))).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["errors"][0]["field"]), (422, &json!("home_region")));
    assert_eq!(api.row_counts().await, rows, "the dry run wrote rows");

    // The signup itself gives the same result.
    let tenant = api.sign_up(&body).await;
    let operation = tenant["environments"][0]["operation_id"].as_str().unwrap();
    let operation = api.get(&format!("/v1/operations/{operation}")).await.json();
    assert_eq!(operation["queue"]["position"], 2);
    let parse_time = |at: &Value| chrono::DateTime::parse_from_rfc3339(at.as_str().unwrap()).unwrap();
    let difference = parse_time(&operation["queue"]["estimated_ready_at"])
        - parse_time(&preview["environments"][0]["queue"]["estimated_ready_at"]);
    assert!(difference.num_seconds().abs() <= 5, "{difference}");
    let invalid = send(api.request(Method::POST, "/v1/tenants?dry_run=maybe").json(&body)).await;
    assert_eq!((invalid.status.as_u16(), &invalid.json()["errors"][0]["field"]), (400, &json!("dry_run")));
}
