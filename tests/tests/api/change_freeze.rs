//! Tests of the change freeze, during which no update starts in any environment.

use freehold_tests::api_fixture::{ALL_SCOPES, ApiFixture, ApiResponse, send, signup_body};
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "/v1/change-freeze";

async fn set(api: &ApiFixture, body: &Value) -> ApiResponse {
    send(api.request(Method::PUT, PATH).json(body)).await
}

#[tokio::test]
async fn a_change_freeze_is_in_force_until_it_is_ended() {
    let api = ApiFixture::new().await;
    let none = json!({ "in_force": false, "reason": null, "until": null, "set_by": null, "set_at": null });
    assert_eq!(api.get(PATH).await.json(), none);
    let body = json!({ "reason": "The shop season.", "until": "2100-01-02T00:00:00Z" });
    let frozen = set(&api, &body).await;
    assert_eq!(frozen.status, 200, "{}", frozen.text);
    let shown = frozen.json();
    assert_eq!((&shown["in_force"], &shown["reason"]), (&json!(true), &body["reason"]));
    assert_eq!((&shown["until"], shown["set_by"].is_string()), (&body["until"], true));
    assert_eq!(set(&api, &body).await.json(), shown, "a repeated request changed the freeze");
    assert_eq!(set(&api, &json!({ "reason": "Audit." })).await.json()["until"], Value::Null);
    assert_eq!(api.get(PATH).await.json()["reason"], "Audit.");
    for _ in 0..2 {
        let ended = api.delete(PATH).await;
        assert_eq!(ended.status, 200);
        assert_eq!(ended.json(), none);
    }

    let events = api.get("/v1/events").await.json();
    let events = events["events"].as_array().unwrap();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["change_freeze.started", "change_freeze.ended"]);
    assert_eq!((&events[0]["subject"], &events[0]["data"]), (&json!("change-freeze"), &json!({})));
    let audited = api.get("/v1/audit-events?action=endChangeFreeze").await.json();
    let changes = &audited["audit_events"][0]["record"]["outcome"]["changes"];
    let expected = json!({ "old": { "reason": "Audit.", "until": null }, "new": null });
    assert_eq!(changes["change_freeze"], expected, "{audited}");
}

#[tokio::test]
async fn a_change_freeze_that_has_reached_its_end_is_not_in_force() {
    let api = ApiFixture::new().await;
    assert_eq!(set(&api, &json!({ "reason": "Short.", "until": "2100-01-02T00:00:00Z" })).await.status, 200);
    sqlx::query("update change_freeze set until = now() - interval '1 second'")
        .execute(&api.database.pool)
        .await
        .unwrap();
    assert_eq!(api.get(PATH).await.json()["in_force"], false);
    assert_eq!(api.delete(PATH).await.status, 200);
    let events = api.get("/v1/events?types=change_freeze.ended").await.json();
    assert_eq!(events["events"], json!([]), "an event reports the end of a freeze that was not in force");
}

#[tokio::test]
async fn an_invalid_change_freeze_is_refused() {
    let api = ApiFixture::new().await;
    for (body, field) in [
        (json!({}), "reason"),
        (json!({ "reason": "x", "until": "2001-01-01T00:00:00Z" }), "until"),
        (json!({ "reason": "x", "until": 7 }), "until"),
        (json!({ "reason": "x", "environments": [] }), "environments"),
    ] {
        let refused = set(&api, &body).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{body}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{body}");
    }
}

#[tokio::test]
async fn a_change_freeze_needs_the_scopes_of_rollouts_and_the_fleet() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let of_tenant = json!({ "scope": ALL_SCOPES, "tenant_id": tenant["id"] });
    for (claims, get, delete) in [
        (json!({ "scope": "fleet rollouts:read" }), 200, 403),
        (json!({ "scope": "fleet operations:write releases:write" }), 403, 403),
        (json!({ "scope": "fleet rollouts:write" }), 403, 200),
        (of_tenant, 403, 403),
    ] {
        let token = api.issuer.token_with("", &claims);
        for (method, status) in [(Method::GET, get), (Method::DELETE, delete)] {
            let sent = send(api.request_without_token(method.clone(), PATH).bearer_auth(&token)).await;
            assert_eq!(sent.status, status, "{method} with {claims}: {}", sent.text);
        }
    }
}
