//! Tests of pins: an environment keeps its release until a date.

use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body};
use reqwest::Method;
use serde_json::{Value, json};

fn path(tenant: &Value) -> String {
    format!("/v1/tenants/{}/environments/production/pin", tenant["id"].as_str().unwrap())
}

async fn pin(api: &ApiFixture, tenant: &Value, body: &Value) -> ApiResponse {
    send(api.request(Method::PUT, &path(tenant)).json(body)).await
}

#[tokio::test]
async fn a_pin_is_shown_until_it_is_deleted() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    assert_eq!(tenant["environments"][0]["pin"], Value::Null);
    let body = json!({ "reason": "The customer tests.", "until": "2100-03-01T00:00:00Z" });
    let pinned = pin(&api, &tenant, &body).await;
    assert_eq!(pinned.status, 200, "{}", pinned.text);
    let shown = pinned.json()["pin"].clone();
    assert_eq!((&shown["reason"], &shown["until"]), (&body["reason"], &body["until"]));
    assert!(shown["pinned_by"].is_string(), "{shown}");
    let read = api.get(&format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())).await.json();
    assert_eq!(read["environments"][0]["pin"], shown);

    // A repeated request changes nothing; another one replaces the pin.
    assert_eq!(pin(&api, &tenant, &body).await.json()["pin"], shown);
    let other = pin(&api, &tenant, &json!({ "reason": "Audit." })).await.json();
    assert_eq!((&other["pin"]["reason"], &other["pin"]["until"]), (&json!("Audit."), &Value::Null));
    for _ in 0..2 {
        let unpinned = api.delete(&path(&tenant)).await;
        assert_eq!(unpinned.status, 200);
        assert_eq!(unpinned.json()["pin"], Value::Null);
    }
    let events = api.get("/v1/events?types=environment.pinned,environment.unpinned").await.json();
    let events = events["events"].as_array().unwrap();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["environment.pinned", "environment.pinned", "environment.unpinned"]);
    let id = &tenant["environments"][0]["id"];
    let expected = json!({
        "tenant_id": tenant["id"], "environment_id": id, "environment": "production", "home_region": "eu-central-1",
    });
    assert_eq!(events[0]["data"], expected);
    let audited = api.get("/v1/audit-events?action=unpinEnvironment").await.json();
    let changes = &audited["audit_events"][0]["record"]["outcome"]["changes"];
    assert_eq!(changes["pin"], json!({ "old": { "reason": "Audit.", "until": null }, "new": null }), "{audited}");
}

#[tokio::test]
async fn an_invalid_pin_is_refused() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    for (body, field) in [
        (json!({}), "reason"),
        (json!({ "reason": " " }), "reason"),
        (json!({ "reason": "x", "until": "2001-01-01T00:00:00Z" }), "until"),
        (json!({ "reason": "x", "until": "tomorrow" }), "until"),
        (json!({ "reason": "x", "release": "rel_1" }), "release"),
    ] {
        let refused = pin(&api, &tenant, &body).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{body}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{body}");
    }
    let missing = path(&tenant).replace("production", "staging");
    let refused = send(api.request(Method::PUT, &missing).json(&json!({ "reason": "x" }))).await;
    assert_eq!(refused.status_and_code(), (404, "environment_not_found".into()));
    assert_eq!(api.delete(&missing).await.status_and_code(), (404, "environment_not_found".into()));
}

#[tokio::test]
async fn a_tenant_sees_that_it_is_pinned_and_cannot_change_it() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    assert_eq!(pin(&api, &tenant, &json!({ "reason": "Secret of staff." })).await.status, 200);
    let claims = json!({ "scope": "tenants:read tenants:write", "tenant_id": tenant["id"] });
    let token = api.issuer.token_with("", &claims);
    let as_tenant = |method: Method, path: &str| api.request_without_token(method, path).bearer_auth(&token);
    let environment = path(&tenant).replace("/pin", "");
    let seen = send(as_tenant(Method::GET, &environment)).await;
    let fields: Vec<_> = seen.json()["pin"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["until", "pinned_at"], "{}", seen.text);
    assert_eq!(send(as_tenant(Method::DELETE, &path(&tenant))).await.status, 403);
}

#[tokio::test]
async fn an_offboarded_environment_is_not_pinned() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    assert_eq!(pin(&api, &tenant, &json!({ "reason": "x" })).await.status, 200);
    // A signup without an account is offboarded at once when it is cancelled.
    let operation = tenant["environments"][0]["operation_id"].as_str().unwrap();
    assert_eq!(api.post(&format!("/v1/operations/{operation}/cancel")).await.status, 202);
    let shown = api.get(&path(&tenant).replace("/pin", "")).await.json();
    assert_eq!((&shown["state"], &shown["pin"]), (&json!("offboarded"), &Value::Null));
    let refused = pin(&api, &tenant, &json!({ "reason": "x" })).await;
    assert_eq!(refused.status_and_code(), (409, "environment_not_ready".into()));
}
