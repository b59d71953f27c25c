//! Tests of environments that are added after the signup.

use freehold_tenancy::baseline::BaselineVersion;
use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body};
use reqwest::Method;
use serde_json::{Value, json};

async fn add(api: &ApiFixture, tenant: &str, key: &str, body: &Value) -> ApiResponse {
    let request = api.request(Method::POST, &format!("{tenant}/environments"));
    send(request.header("Idempotency-Key", key).json(body)).await
}

async fn tenant(api: &ApiFixture) -> String {
    format!("/v1/tenants/{}", api.sign_up(&signup_body()).await["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_repeated_request_adds_one_environment() {
    let api = ApiFixture::new().await;
    let tenant = tenant(&api).await;
    let body = json!({ "name": "staging" });
    let added = add(&api, &tenant, "one", &body).await;
    assert_eq!(added.status, 202, "{}", added.text);
    assert_eq!(added.header("location"), format!("{tenant}/environments/staging"));
    let environment = added.json();
    assert_eq!((&environment["state"], &environment["home_region"]), (&json!("onboarding"), &json!("eu-central-1")));
    let again = add(&api, &tenant, "one", &body).await;
    assert_eq!((&again.text, again.header("idempotency-replayed")), (&added.text, "true"));
    let reused = add(&api, &tenant, "one", &json!({ "name": "test" })).await;
    assert_eq!(reused.status_and_code(), (422, "idempotency_key_reused".into()));
    let same_name = add(&api, &tenant, "two", &body).await;
    assert_eq!(same_name.status_and_code(), (409, "environment_exists".into()));

    let shown = api.get(&format!("{tenant}/environments/staging")).await.json();
    assert_eq!(shown, environment);
    let operation = api.get(&format!("/v1/operations/{}", environment["operation_id"].as_str().unwrap())).await.json();
    assert_eq!((&operation["kind"], &operation["environment"]), (&json!("onboard"), &json!("staging")));
    assert_eq!(operation["queue"]["position"], 2);
    assert_eq!(api.get(&tenant).await.json()["environments"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn sixty_four_identical_requests_add_one_environment() {
    let api = ApiFixture::new().await;
    let tenant = tenant(&api).await;
    let body = json!({ "name": "staging", "home_region": "us-east-1" });
    let requests = (0..64).map(|_| add(&api, &tenant, "one", &body));
    for response in futures::future::join_all(requests).await {
        let outcome = response.status_and_code();
        let in_flight = outcome == (409, "idempotency_key_in_flight".to_owned());
        assert!(in_flight || response.status == 202, "{outcome:?}: {}", response.text);
    }
    let environments = api.get(&tenant).await.json()["environments"].clone();
    assert_eq!(environments.as_array().unwrap().len(), 2);
    assert_eq!(environments[1]["home_region"], "us-east-1");
}

#[tokio::test]
async fn invalid_fields_are_reported_and_nothing_is_written() {
    let api = ApiFixture::new().await;
    let tenant = tenant(&api).await;
    let before = api.row_counts().await;
    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": "Staging" }), "name"),
        (json!({ "name": "x".repeat(33) }), "name"),
        (json!({ "name": 7 }), "name"),
        (json!({ "name": "staging", "home_region": "mars-north-1" }), "home_region"),
        (json!({ "name": "staging", "home_region": "ap-northeast-1" }), "home_region"),
        (json!({ "name": "staging", "size": "large" }), "size"),
    ] {
        let refused = add(&api, &tenant, "one", &body).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{body}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{body}");
    }
    let without = api.send_as("ann", Method::POST, &format!("{tenant}/environments"), &json!({ "name": "test" })).await;
    assert_eq!(without.status_and_code(), (400, "idempotency_key_required".into()));
    let unknown = add(&api, "/v1/tenants/ten_01k2m8v3x9e7rt4s5q6w7y8z9b", "one", &json!({ "name": "staging" })).await;
    assert_eq!(unknown.status_and_code(), (404, "tenant_not_found".into()));
    assert_eq!(api.row_counts().await, before);
}

#[tokio::test]
async fn environments_are_limited_to_twenty_and_to_active_tenants() {
    let api = ApiFixture::new().await;
    let tenant = tenant(&api).await;
    for number in 2..=20 {
        let added = add(&api, &tenant, &format!("key-{number}"), &json!({ "name": format!("e{number}") })).await;
        assert_eq!(added.status, 202, "{}", added.text);
    }
    let body = json!({ "name": "e21" });
    assert_eq!(add(&api, &tenant, "more", &body).await.status_and_code(), (409, "too_many_environments".into()));
    // No AWS call was made yet, so offboarding finishes immediately.
    assert_eq!(api.delete(&tenant).await.json()["state"], "offboarded");
    assert_eq!(add(&api, &tenant, "more", &body).await.status_and_code(), (409, "tenant_offboarded".into()));
}

#[tokio::test]
async fn the_baseline_of_a_ready_environment_is_upgraded_by_one_operation() {
    let statement = "[[access_role.statements]]\nEffect = \"Allow\"\nAction = \"sqs:*\"\nResource = \"*\"";
    let api = ApiFixture::with_config(statement).await;
    let tenant = tenant(&api).await;
    let path = format!("{tenant}/environments/production");
    assert_eq!(api.get(&path).await.json()["baseline_version"], json!(null));
    let upgrade = format!("{path}/baseline-upgrades");
    let busy = api.post(&upgrade).await;
    assert_eq!(busy.status_and_code(), (409, "operation_in_progress".into()));
    let onboarding = api.get(&path).await.json()["operation_id"].as_str().unwrap().to_owned();
    assert!(busy.text.contains(&format!("The operation {onboarding} (onboard)")), "{}", busy.text);

    // The first release recorded no version.
    api.succeed_operation("111122223333").await;
    assert_eq!(api.get(&path).await.json()["baseline_version"], "1");
    let started = api.post(&upgrade).await;
    let body = started.json();
    let operation = body["operation_id"].as_str().unwrap();
    assert_eq!((started.status.as_u16(), started.header("location")), (202, &*format!("/v1/operations/{operation}")));
    let target = BaselineVersion::current(&api.config.access_role).to_string();
    assert_eq!((&body["version"], &body["target_version"]), (&json!("1"), &json!(target)));
    assert_eq!(api.post(&upgrade).await.json(), body, "a repeated request has the same operation");
    let shown = api.get(&format!("/v1/operations/{operation}")).await.json();
    assert_eq!((&shown["kind"], &shown["failure"]), (&json!("upgrade_baseline"), &json!(null)));
    assert_eq!(api.get(&path).await.json()["state"], "ready");
}

#[tokio::test]
async fn a_current_baseline_needs_no_operation() {
    let api = ApiFixture::new().await;
    let tenant = tenant(&api).await;
    api.succeed_operation("111122223333").await;
    let version = BaselineVersion::current(&api.config.access_role).to_string();
    let install = sqlx::query("update environments set baseline_version = $1").bind(&version);
    install.execute(&api.database.pool).await.unwrap();
    let before = api.row_counts().await;
    let current = api.post(&format!("{tenant}/environments/production/baseline-upgrades")).await;
    let body = json!({ "version": version, "target_version": version, "operation_id": null });
    assert_eq!((current.status.as_u16(), current.json()), (200, body));
    assert_eq!(api.row_counts().await, before);

    let unknown = api.post(&format!("{tenant}/environments/staging/baseline-upgrades")).await;
    assert_eq!(unknown.status_and_code(), (404, "environment_not_found".into()));
    api.delete(&tenant).await;
    let busy = api.post(&format!("{tenant}/environments/production/baseline-upgrades")).await;
    assert_eq!(busy.status_and_code(), (409, "operation_in_progress".into()));
}
