//! Tests of operations: steps, attention codes, retries and queue positions.

use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::db::lifecycle::StepDisposition;
use freehold_tenancy::db::notify::WorkListener;
use freehold_tests::api_fixture::{ApiFixture, send, signup_body, signup_body_with};
use serde_json::{Value, json};

#[tokio::test]
async fn a_step_shows_its_wait_reason_and_its_deadline() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().unwrap());
    assert_eq!(api.get(&path).await.json()["steps"], json!([]), "no worker has run the operation");

    let claim = api.claim_operation().await;
    let check_at = api.clock.now() + TimeDelta::minutes(1);
    api.record_step(&claim, StepDisposition::Waiting { why: "the account to be created".to_owned(), check_at }, None)
        .await;
    let operation = api.get(&path).await.json();
    assert_eq!(operation["state"], "running");
    assert_eq!(operation["tenant_id"], tenant["id"]);
    assert_eq!(operation["environment"], "production");
    let step = &operation["steps"][0];
    assert_eq!(step["name"], "request-account");
    assert_eq!((&step["state"], &step["attempts"]), (&json!("waiting"), &json!(1)));
    assert_eq!(step["waits_for"], "the account to be created");
    let sentence = "Your account is being created. The work continues by itself after that.";
    assert_eq!(step["tell_customer"], sentence);
    assert_eq!(step["check_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap(), check_at);
    assert_ne!(step["started_at"], Value::Null);
    assert_eq!(step["finished_at"], Value::Null);
    let listed = api.get("/v1/operations").await.json();
    assert_eq!(listed["operations"][0].get("steps"), None, "a list leaves the steps out");
}

#[tokio::test]
async fn operations_that_need_attention_are_found_by_code_and_retried() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let id = tenant["environments"][0]["operation_id"].as_str().unwrap();
    let retry = format!("/v1/operations/{id}/retry");

    let pending = api.post(&retry).await;
    assert_eq!(pending.status_and_code(), (409, "operation_not_parked".into()));
    assert!(pending.json()["detail"].as_str().unwrap().contains("pending"));

    api.park("account_email_taken").await;
    let found = api.get("/v1/operations?state=needs_attention&code=account_email_taken").await.json();
    assert_eq!(found["operations"][0]["id"], id);
    assert_eq!(
        found["operations"][0]["attention"],
        json!({
            "code": "account_email_taken", "message": "A person must check this.",
            "tell_customer": AttentionCode::AccountEmailTaken.customer_sentence(), "remedies": ["retry"],
            "aws_request_id": null,
        })
    );
    assert_eq!(api.get("/v1/operations?code=stack_failed").await.json()["operations"], json!([]));

    let retried = api.post(&retry).await;
    assert_eq!(retried.status, 202);
    assert_eq!(retried.header("location"), format!("/v1/operations/{id}"));
    assert_eq!((&retried.json()["state"], &retried.json()["attention"]), (&json!("running"), &Value::Null));
    assert_eq!(
        api.post(&retry).await.status_and_code(),
        (409, "operation_not_parked".into()),
        "the retry was accepted twice"
    );
    assert_eq!(api.get(&format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())).await.json()["state"], "onboarding");
    api.claim_operation().await;
}

#[tokio::test]
async fn operations_are_found_by_their_tenant() {
    let api = ApiFixture::new().await;
    let one = api.sign_up(&signup_body_with(json!({ "environments": ["production", "staging"] }))).await;
    api.sign_up(&signup_body_with(json!({ "company_name": "Another GmbH" }))).await;
    let found = api.get(&format!("/v1/operations?tenant={}", one["id"].as_str().unwrap())).await.json();
    let tenants: Vec<_> = found["operations"].as_array().unwrap().iter().map(|one| &one["tenant_id"]).collect();
    assert_eq!(tenants, [&one["id"], &one["id"]]);
}

#[tokio::test]
async fn a_signup_and_a_retry_notify_the_workers() {
    let api = ApiFixture::new().await;
    let mut listener = WorkListener::new(api.database.worker_pool.clone());
    // The first notification means that the listener is connected.
    listener.notified().await;
    let wait_for_notification = async |listener: &mut WorkListener| {
        tokio::time::timeout(Duration::from_secs(30), listener.notified()).await.expect("no worker was woken");
    };
    let tenant = api.sign_up(&signup_body()).await;
    wait_for_notification(&mut listener).await;
    api.park("account_email_taken").await;
    let id = tenant["environments"][0]["operation_id"].as_str().unwrap();
    let request = api.request(reqwest::Method::POST, &format!("/v1/operations/{id}/retry"));
    assert_eq!(send(request.header("Idempotency-Key", "7f3a")).await.status, 202);
    wait_for_notification(&mut listener).await;
}

#[tokio::test]
async fn a_queued_signup_shows_its_position_and_estimated_time() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().unwrap());
    let queue = api.get(&path).await.json()["queue"].clone();
    assert_eq!(queue["position"], 1);
    let ready: chrono::DateTime<chrono::Utc> = queue["estimated_ready_at"].as_str().unwrap().parse().unwrap();
    let expected = ready - api.clock.now();
    assert!((TimeDelta::minutes(2)..TimeDelta::minutes(5)).contains(&expected), "ready in {expected}");
    assert_eq!(api.get("/v1/operations").await.json()["operations"][0]["queue"]["position"], 1);

    api.succeed_operation("123456789012").await;
    assert_eq!(api.get(&path).await.json()["queue"], Value::Null);
    let second = api.sign_up(&signup_body_with(json!({ "environments": ["production", "staging"] }))).await;
    for (position, environment) in [1, 2].into_iter().zip(second["environments"].as_array().unwrap()) {
        let path = format!("/v1/operations/{}", environment["operation_id"].as_str().unwrap());
        assert_eq!(api.get(&path).await.json()["queue"]["position"], position);
    }
}
