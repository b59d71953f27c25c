//! Tests of pausing and resuming account creation over the API.

use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body};
use reqwest::Method;
use serde_json::json;

async fn pause(api: &ApiFixture, reason: &str) -> ApiResponse {
    send(api.request(Method::PUT, "/v1/vending/pause").json(&json!({ "reason": reason }))).await
}

#[tokio::test]
async fn vending_can_be_paused_and_resumed() {
    let api = ApiFixture::with_config("[quotas]\nmax_accounts = 7\n").await;
    let active = api.get("/v1/vending").await.json();
    assert_eq!(
        (&active["stopped_by"], &active["pause"], &active["max_accounts"]),
        (&json!(null), &json!(null), &json!(7))
    );

    let refused = pause(&api, " ").await;
    assert_eq!(refused.status_and_code(), (422, "validation_failed".to_owned()));
    let paused = pause(&api, "The budget is spent.").await.json();
    assert_eq!(paused["stopped_by"], "vending_paused");
    assert_eq!(paused["pause"]["reason"], "The budget is spent.");
    assert!(paused["message"].as_str().expect("a message").contains("freehold fleet resume"), "{paused}");

    let signup = api.sign_up(&signup_body()).await;
    let id = signup["environments"][0]["operation_id"].as_str().expect("an id");
    let operation = api.get(&format!("/v1/operations/{id}")).await.json();
    let preview = send(api.request(Method::POST, "/v1/tenants?dry_run=true").json(&signup_body())).await.json();
    for queue in [&operation["queue"], &preview["environments"][0]["queue"]] {
        assert_eq!((&queue["stopped_by"], &queue["estimated_ready_at"]), (&json!("vending_paused"), &json!(null)));
    }
    assert_eq!(api.get("/readyz").await.json(), json!({ "status": "ok", "vending_stopped_by": "vending_paused" }));
    let metrics = api.get("/metrics").await.text;
    assert!(metrics.contains("freehold_vending_stopped{code=\"vending_paused\"} 1"), "{metrics}");

    let resumed = api.delete("/v1/vending/pause").await.json();
    assert_eq!((&resumed["stopped_by"], &resumed["waiting"]), (&json!(null), &json!(0)));
    assert_eq!(api.get("/readyz").await.json(), json!({ "status": "ok" }));
}
