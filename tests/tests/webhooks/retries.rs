//! When a receiver does not take what it is sent.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_tests::receiver::{Receiver, StoredResponse};
use freehold_tests::webhook_fixture::{WebhookFixture, at, id};
use serde_json::json;

/// When an attempt comes after the one before, in seconds (Standard Webhooks 1.0).
const INTERVALS: [i64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

#[tokio::test]
async fn a_delivery_is_tried_ten_times_further_and_further_apart_and_an_endpoint_that_only_fails_is_disabled() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    receiver.answers(StoredResponse::Status(500, String::new()));
    let endpoint = hooks.endpoint(&receiver.url(), &[]).await;
    hooks.sign_up_tenant().await;
    let (worker, begin) = (Arc::new(hooks.worker()), hooks.clock().now());
    for (number, interval) in (1..).zip(INTERVALS) {
        assert_eq!(worker.drain_webhooks().await.unwrap(), 1, "attempt {number}");
        let [delivery] = &hooks.deliveries(&endpoint).await[..] else { panic!("not one delivery") };
        assert_eq!((&delivery["state"], &delivery["attempt_count"]), (&json!("pending"), &json!(number)));
        let attempt = hooks.last_attempt(&endpoint, delivery).await;
        assert_eq!((&attempt["response_status"], &attempt["error"]), (&json!(500), &json!("status")));
        assert_eq!(attempt["message"], "The receiver answered 500, not 2xx.");
        assert_eq!(attempt["next_attempt_at"], delivery["next_attempt_at"]);
        let wait = at(&delivery["next_attempt_at"]) - hooks.clock().now();
        let usual = TimeDelta::seconds(interval);
        assert!(wait >= usual * 9 / 10 && wait <= usual * 11 / 10, "attempt {number} waits {wait}");
        hooks.wait_until(&delivery["next_attempt_at"]);
    }
    worker.drain_webhooks().await.unwrap();
    let [delivery] = &hooks.deliveries(&endpoint).await[..] else { panic!("not one delivery") };
    assert_eq!((&delivery["state"], &delivery["attempt_count"]), (&json!("failed"), &json!(10)));
    assert_eq!(delivery["next_attempt_at"], json!(null));
    let shown = hooks.get(&endpoint, "").await;
    assert_eq!((&shown["state"], at(&shown["failing_since"])), (&json!("enabled"), begin));

    // The next one fails as well, until there have been five days of nothing else.
    hooks.sign_up_tenant().await;
    let mut attempts = 0;
    while hooks.get(&endpoint, "").await["state"] == "enabled" {
        attempts += worker.drain_webhooks().await.unwrap();
        let deliveries = hooks.deliveries(&endpoint).await;
        if deliveries[0]["next_attempt_at"].is_string() {
            hooks.wait_until(&deliveries[0]["next_attempt_at"]);
        }
        assert!(attempts < 11, "nobody gives it up");
    }
    let shown = hooks.get(&endpoint, "").await;
    assert_eq!(shown["disabled_reason"], "failing");
    assert!(shown["disabled_message"].as_str().unwrap().contains("five days"), "{shown}");
    assert!(at(&shown["disabled_at"]) - begin >= TimeDelta::days(5), "{shown}");
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
    let endpoint = hooks.endpoint(&receiver.url(), &[]).await;
    let worker = Arc::new(hooks.worker());
    for day in 0..12 {
        let answer = if day % 3 == 1 { 200 } else { 500 };
        receiver.answers(StoredResponse::Status(answer, String::new()));
        hooks.sign_up_tenant().await;
        worker.drain_webhooks().await.unwrap();
        let failing = hooks.get(&endpoint, "").await["failing_since"].is_string();
        assert_eq!(failing, answer == 500, "day {day}");
        hooks.wait(Duration::from_hours(24));
    }
    assert_eq!(hooks.get(&endpoint, "").await["state"], "enabled");
}

#[tokio::test]
async fn who_says_gone_is_left_alone() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    receiver.answers(StoredResponse::Status(410, String::new()));
    let endpoint = hooks.endpoint(&receiver.url(), &[]).await;
    hooks.sign_up_tenant().await;
    let worker = Arc::new(hooks.worker());
    worker.drain_webhooks().await.unwrap();
    let shown = hooks.get(&endpoint, "").await;
    assert_eq!((&shown["state"], &shown["disabled_reason"]), (&json!("disabled"), &json!("gone")));
    assert_eq!(hooks.deliveries(&endpoint).await[0]["next_attempt_at"], json!(null), "it is not tried next");
    hooks.wait(Duration::from_hours(48));
    hooks.sign_up_tenant().await;
    assert_eq!(worker.drain_webhooks().await.unwrap(), 0);
    // Once it is back, what was on its way is sent.
    receiver.answers(StoredResponse::Status(200, String::new()));
    hooks.post(&endpoint, "/enable", &json!({})).await;
    assert_eq!(worker.drain_webhooks().await.unwrap(), 1);
}

#[tokio::test]
async fn who_is_busy_is_left_alone_for_as_long_as_it_asks_and_at_most_a_day() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let endpoint = hooks.endpoint(&receiver.url(), &[]).await;
    let worker = Arc::new(hooks.worker());
    for (status, header, wait) in [(429, "7200", 7200), (503, "999999999", 86_400)] {
        receiver.answers(StoredResponse::Status(status, format!("retry-after: {header}\r\n")));
        hooks.sign_up_tenant().await;
        let begin = hooks.clock().now();
        assert!(worker.drain_webhooks().await.unwrap() >= 1);
        let before = receiver.received().len();
        let until = begin + TimeDelta::seconds(wait);
        assert_eq!(at(&hooks.get(&endpoint, "").await["paused_until"]), until, "{status}");
        // Neither this one nor another is sent meanwhile.
        assert_eq!(at(&hooks.deliveries(&endpoint).await[0]["next_attempt_at"]), until, "{status}");
        hooks.sign_up_tenant().await;
        hooks.clock().advance_to(until - TimeDelta::seconds(1));
        assert_eq!(worker.drain_webhooks().await.unwrap(), 0, "{status}");
        receiver.answers(StoredResponse::Status(200, String::new()));
        hooks.clock().advance_to(until);
        assert_eq!(worker.drain_webhooks().await.unwrap(), 2, "{status}");
        assert_eq!(receiver.received().len(), before + 2);
        assert_eq!(hooks.get(&endpoint, "").await["paused_until"], json!(null));
    }
}

#[tokio::test]
async fn whatever_goes_wrong_is_told_in_plain_words_and_nothing_of_the_answer_is_kept() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let worker = Arc::new(hooks.worker_with_lease(Duration::from_secs(1)));
    let closed = {
        let taken = Receiver::start().await;
        taken.url()
    };
    hooks.names.set("moved.example.com", &["203.0.113.7"]);
    for (url, answer, error, says) in [
        (
            receiver.url(),
            StoredResponse::Status(302, "location: http://127.0.0.1:1/\r\n".into()),
            "status",
            "redirects are not followed",
        ),
        (receiver.url(), StoredResponse::Silence, "timeout", "did not answer within"),
        (receiver.url(), StoredResponse::HangUp, "connection_closed", "before the receiver had answered"),
        (closed, StoredResponse::HangUp, "unreachable", "takes no connection"),
        (receiver.url(), StoredResponse::Status(404, "x-canary: body-canary\r\n".into()), "status", "404"),
    ] {
        receiver.answers(answer);
        let endpoint = hooks.endpoint(&url, &[]).await;
        hooks.sign_up_tenant().await;
        let connections = receiver.connections();
        assert_eq!(worker.drain_webhooks().await.unwrap(), 1, "{error}");
        assert!(receiver.connections() <= connections + 1, "it was tried more than once");
        let [delivery] = &hooks.deliveries(&endpoint).await[..] else { panic!("not one delivery") };
        let attempt = hooks.last_attempt(&endpoint, delivery).await;
        assert_eq!(attempt["error"], error, "{attempt}");
        assert!(attempt["message"].as_str().unwrap().contains(says), "{attempt}");
        assert!(!attempt.to_string().contains("canary") && !attempt.to_string().contains("of=billing"), "{attempt}");
        assert!(attempt["duration_ms"].as_i64().unwrap() < 2000, "{attempt}");
        let path = format!("/v1/webhook-endpoints/{}", id(&endpoint));
        assert_eq!(hooks.api.delete(&path).await.status, 204);
        assert_eq!(hooks.api.get(&path).await.outcome(), (404, "webhook_not_found".into()));
    }
    assert_eq!(worker.drain_webhooks().await.unwrap(), 0, "something of a deleted endpoint was sent");
}
