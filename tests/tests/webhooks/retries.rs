//! Tests of failed webhook deliveries: retries, pauses and disabled endpoints.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_tests::receiver::{Receiver, Reply};
use freehold_tests::webhook_fixture::{WebhookFixture, id, parse_time};
use serde_json::json;

/// Delay of each attempt after the previous attempt, in seconds (Standard Webhooks 1.0).
const RETRY_DELAYS_SECONDS: [i64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

#[tokio::test]
async fn a_delivery_has_ten_attempts_and_failing_endpoints_are_disabled() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    receiver.set_reply(Reply::Status(500, String::new()));
    let endpoint = hooks.create_endpoint(&receiver.url(), &[]).await;
    hooks.sign_up_tenant().await;
    let (worker, start) = (Arc::new(hooks.worker()), hooks.clock().now());
    for (number, interval) in (1..).zip(RETRY_DELAYS_SECONDS) {
        assert_eq!(worker.drain_webhooks().await.unwrap(), 1, "attempt {number}");
        let [delivery] = &hooks.deliveries(&endpoint).await[..] else { panic!("expected one delivery") };
        assert_eq!((&delivery["state"], &delivery["attempt_count"]), (&json!("pending"), &json!(number)));
        let attempt = hooks.last_attempt(&endpoint, delivery).await;
        assert_eq!((&attempt["response_status"], &attempt["error"]), (&json!(500), &json!("status")));
        assert_eq!(attempt["message"], "The receiver answered 500, not 2xx.");
        assert_eq!(attempt["next_attempt_at"], delivery["next_attempt_at"]);
        let wait = parse_time(&delivery["next_attempt_at"]) - hooks.clock().now();
        let interval = TimeDelta::seconds(interval);
        assert!(wait >= interval * 9 / 10 && wait <= interval * 11 / 10, "attempt {number} waits {wait}");
        hooks.advance_to(&delivery["next_attempt_at"]);
    }
    worker.drain_webhooks().await.unwrap();
    let [delivery] = &hooks.deliveries(&endpoint).await[..] else { panic!("expected one delivery") };
    assert_eq!((&delivery["state"], &delivery["attempt_count"]), (&json!("failed"), &json!(10)));
    assert_eq!(delivery["next_attempt_at"], json!(null));
    let shown = hooks.get(&endpoint, "").await;
    assert_eq!((&shown["state"], parse_time(&shown["failing_since"])), (&json!("enabled"), start));

    // Further deliveries fail, until the endpoint has had only failures for five days.
    hooks.sign_up_tenant().await;
    let mut attempts = 0;
    while hooks.get(&endpoint, "").await["state"] == "enabled" {
        attempts += worker.drain_webhooks().await.unwrap();
        let deliveries = hooks.deliveries(&endpoint).await;
        if deliveries[0]["next_attempt_at"].is_string() {
            hooks.advance_to(&deliveries[0]["next_attempt_at"]);
        }
        assert!(attempts < 11, "too many attempts");
    }
    let shown = hooks.get(&endpoint, "").await;
    assert_eq!(shown["disabled_reason"], "failing");
    assert!(shown["disabled_message"].as_str().unwrap().contains("five days"), "{shown}");
    assert!(parse_time(&shown["disabled_at"]) - start >= TimeDelta::days(5), "{shown}");
    let metrics = hooks.api.get("/metrics").await.text;
    for line in [r#"freehold_webhook_endpoints{state="failing"} 1"#, r#"freehold_webhook_endpoints{state="enabled"} 0"#]
    {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    assert_eq!(receiver.received().len(), 10 + attempts);
}

#[tokio::test]
async fn a_success_between_failures_keeps_an_endpoint_enabled() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let endpoint = hooks.create_endpoint(&receiver.url(), &[]).await;
    let worker = Arc::new(hooks.worker());
    for day in 0..12 {
        let answer = if day % 3 == 1 { 200 } else { 500 };
        receiver.set_reply(Reply::Status(answer, String::new()));
        hooks.sign_up_tenant().await;
        worker.drain_webhooks().await.unwrap();
        let failing = hooks.get(&endpoint, "").await["failing_since"].is_string();
        assert_eq!(failing, answer == 500, "day {day}");
        hooks.advance(Duration::from_hours(24));
    }
    assert_eq!(hooks.get(&endpoint, "").await["state"], "enabled");
}

#[tokio::test]
async fn an_endpoint_that_returns_status_410_is_disabled() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    receiver.set_reply(Reply::Status(410, String::new()));
    let endpoint = hooks.create_endpoint(&receiver.url(), &[]).await;
    hooks.sign_up_tenant().await;
    let worker = Arc::new(hooks.worker());
    worker.drain_webhooks().await.unwrap();
    let shown = hooks.get(&endpoint, "").await;
    assert_eq!((&shown["state"], &shown["disabled_reason"]), (&json!("disabled"), &json!("gone")));
    assert_eq!(
        hooks.deliveries(&endpoint).await[0]["next_attempt_at"],
        json!(null),
        "a disabled endpoint has no next attempt"
    );
    hooks.advance(Duration::from_hours(48));
    hooks.sign_up_tenant().await;
    assert_eq!(worker.drain_webhooks().await.unwrap(), 0);
    // Pending deliveries are sent after the endpoint is enabled again.
    receiver.set_reply(Reply::Status(200, String::new()));
    hooks.post(&endpoint, "/enable", &json!({})).await;
    assert_eq!(worker.drain_webhooks().await.unwrap(), 1);
}

#[tokio::test]
async fn retry_after_pauses_an_endpoint_for_at_most_a_day() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let endpoint = hooks.create_endpoint(&receiver.url(), &[]).await;
    let worker = Arc::new(hooks.worker());
    for (status, header, wait) in [(429, "7200", 7200), (503, "999999999", 86_400)] {
        receiver.set_reply(Reply::Status(status, format!("retry-after: {header}\r\n")));
        hooks.sign_up_tenant().await;
        let start = hooks.clock().now();
        assert!(worker.drain_webhooks().await.unwrap() >= 1);
        let before = receiver.received().len();
        let until = start + TimeDelta::seconds(wait);
        assert_eq!(parse_time(&hooks.get(&endpoint, "").await["paused_until"]), until, "{status}");
        // No delivery is sent during the pause.
        assert_eq!(parse_time(&hooks.deliveries(&endpoint).await[0]["next_attempt_at"]), until, "{status}");
        hooks.sign_up_tenant().await;
        hooks.clock().advance_to(until - TimeDelta::seconds(1));
        assert_eq!(worker.drain_webhooks().await.unwrap(), 0, "{status}");
        receiver.set_reply(Reply::Status(200, String::new()));
        hooks.clock().advance_to(until);
        assert_eq!(worker.drain_webhooks().await.unwrap(), 2, "{status}");
        assert_eq!(receiver.received().len(), before + 2);
        assert_eq!(hooks.get(&endpoint, "").await["paused_until"], json!(null));
    }
}

#[tokio::test]
async fn failures_are_reported_without_the_body_of_the_response() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let worker = Arc::new(hooks.worker_with_lease(Duration::from_secs(1)));
    let closed = {
        let deleting = Receiver::start().await;
        deleting.url()
    };
    hooks.resolver.set("moved.example.com", &["203.0.113.7"]);
    for (url, answer, error, message) in [
        (
            receiver.url(),
            Reply::Status(302, "location: http://127.0.0.1:1/\r\n".into()),
            "status",
            "redirects are not followed",
        ),
        (receiver.url(), Reply::NoResponse, "timeout", "did not answer within"),
        (receiver.url(), Reply::CloseConnection, "connection_closed", "before the receiver responded"),
        (closed, Reply::CloseConnection, "unreachable", "Cannot connect to the receiver"),
        (receiver.url(), Reply::Status(404, "x-canary: body-canary\r\n".into()), "status", "404"),
    ] {
        receiver.set_reply(answer);
        let endpoint = hooks.create_endpoint(&url, &[]).await;
        hooks.sign_up_tenant().await;
        let connections = receiver.connections();
        assert_eq!(worker.drain_webhooks().await.unwrap(), 1, "{error}");
        assert!(receiver.connections() <= connections + 1, "the delivery was sent more than once");
        let [delivery] = &hooks.deliveries(&endpoint).await[..] else { panic!("expected one delivery") };
        let attempt = hooks.last_attempt(&endpoint, delivery).await;
        assert_eq!(attempt["error"], error, "{attempt}");
        assert!(attempt["message"].as_str().unwrap().contains(message), "{attempt}");
        assert!(!attempt.to_string().contains("canary") && !attempt.to_string().contains("of=billing"), "{attempt}");
        assert!(attempt["duration_ms"].as_i64().unwrap() < 2000, "{attempt}");
        let path = format!("/v1/webhook-endpoints/{}", id(&endpoint));
        assert_eq!(hooks.api.delete(&path).await.status, 204);
        assert_eq!(hooks.api.get(&path).await.status_and_code(), (404, "webhook_not_found".into()));
    }
    assert_eq!(worker.drain_webhooks().await.unwrap(), 0, "a delivery of a deleted endpoint was sent");
}
