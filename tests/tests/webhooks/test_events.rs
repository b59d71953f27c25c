//! Tests of test events, and of the described request compared with the sent ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use freehold_tenancy::feed::FeedType;
use freehold_tests::receiver::{ReceivedRequest, Receiver, Reply};
use freehold_tests::webhook_fixture::{WebhookFixture, id};
use serde_json::{Value, json};

#[tokio::test]
async fn a_test_event_is_sent_to_its_endpoint_only() {
    let hooks = WebhookFixture::new().await;
    let (tested, other) = (Receiver::start().await, Receiver::start().await);
    let endpoint = hooks.create_endpoint(&tested.url(), &["environment.ready"]).await;
    hooks.create_endpoint(&other.url(), &[]).await;
    let queued = hooks.post(&endpoint, "/test", &json!({})).await;
    assert_eq!((queued.status.as_u16(), &queued.json()["state"]), (202, &json!("pending")), "{}", queued.text);
    hooks.advance(std::time::Duration::from_millis(2));
    let second = hooks.post(&endpoint, "/test", &json!({})).await;
    assert_eq!(second.status, 202, "a second test was refused: {}", second.text);
    let worker = Arc::new(hooks.worker());
    assert_eq!(worker.drain_webhooks().await.unwrap(), 2);

    let received = tested.received();
    let received = received.iter().find(|one| one.id() == id(&queued.json())).expect("the first test event");
    assert_eq!(received.signatures(), [received.expected_signature(endpoint["secret"].as_str().unwrap())]);
    let event = received.json();
    assert_eq!(
        (&event["type"], &event["subject"], &event["data"]),
        (&json!("webhook.test"), &endpoint["id"], &json!({}))
    );
    assert_eq!(event["sequence"], "0000000000000000000");
    assert_eq!(other.received().len(), 0, "another endpoint received the test event");
    assert_eq!(hooks.api.get("/v1/events").await.json()["events"], json!([]), "the test event is in the feed");

    let deliveries = hooks.deliveries(&endpoint).await;
    let delivery = deliveries.iter().find(|one| one["id"] == queued.json()["id"]).expect("the delivery");
    assert_eq!(
        (&delivery["type"], &delivery["position"], &delivery["state"], &delivery["attempt_count"]),
        (&json!("webhook.test"), &json!(0), &json!("delivered"), &json!(1))
    );
    assert_eq!(hooks.last_attempt(&endpoint, delivery).await["message"], "Delivered (204).");
    let audited = hooks.api.get("/v1/audit-events?action=testWebhookEndpoint").await.json();
    assert_eq!(audited["audit_events"].as_array().map(Vec::len), Some(2), "{audited}");
}

#[tokio::test]
async fn a_test_event_is_retried_and_replayed_with_the_same_body() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    receiver.set_reply(Reply::Status(500, String::new()));
    let endpoint = hooks.create_endpoint(&receiver.url(), &[]).await;
    let queued = hooks.post(&endpoint, "/test", &json!({})).await.json();
    let worker = Arc::new(hooks.worker());
    assert_eq!(worker.drain_webhooks().await.unwrap(), 1);
    let [delivery] = &hooks.deliveries(&endpoint).await[..] else { panic!("expected one delivery") };
    assert_eq!(delivery["state"], "pending");
    hooks.advance_to(&delivery["next_attempt_at"]);
    receiver.set_reply(Reply::Status(204, String::new()));
    assert_eq!(worker.drain_webhooks().await.unwrap(), 1);
    assert_eq!(hooks.post(&endpoint, &format!("/deliveries/{}/replay", id(&queued)), &json!({})).await.status, 202);
    assert_eq!(worker.drain_webhooks().await.unwrap(), 1);
    let bodies: BTreeSet<_> = receiver.received().iter().map(|one| one.body.clone()).collect();
    assert_eq!((receiver.received().len(), bodies.len()), (3, 1), "(requests, bodies)");

    hooks.post(&endpoint, "/disable", &json!({})).await;
    let refused = hooks.post(&endpoint, "/test", &json!({})).await;
    assert_eq!(refused.status_and_code(), (409, "webhook_disabled".into()));
    let unknown = json!({ "id": "whe_01k2m8v3x9e7rt4s5q6w7y8z9f" });
    assert_eq!(hooks.post(&unknown, "/test", &json!({})).await.status_and_code(), (404, "webhook_not_found".into()));
}

#[tokio::test]
async fn a_delivery_matches_the_described_request() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let endpoint = hooks.create_endpoint(&receiver.url(), &[]).await;
    hooks.sign_up_tenant().await;
    hooks.api.succeed_operation("111122223333").await;
    hooks.post(&endpoint, "/test", &json!({})).await;
    Arc::new(hooks.worker()).drain_webhooks().await.unwrap();
    let received = receiver.received();
    assert_eq!(received.len(), 5);

    let document: Value = serde_json::from_str(&freehold_api::openapi_json()).unwrap();
    let request = &document["webhooks"]["event"]["post"];
    let described = request["requestBody"]["content"]["application/json"]["schema"].clone();
    assert_eq!(described["oneOf"].as_array().map(Vec::len), Some(FeedType::ALL.len() + 1));
    for one in &received {
        assert_headers_match(one, request);
        let event = one.json();
        let reference = format!("#/components/schemas/{}", event["type"].as_str().unwrap());
        assert!(described["oneOf"].as_array().unwrap().contains(&json!({ "$ref": reference })), "{event}");
        assert_fields_match(&event, &document["components"]["schemas"]);
    }
    for status in ["2XX", "410", "429", "503", "default"] {
        assert!(request["responses"][status]["description"].is_string(), "{status}");
    }
}

/// Panics unless the request has each described header, with a value of the described form.
fn assert_headers_match(received: &ReceivedRequest, described: &Value) {
    let parameters = described["parameters"].as_array().unwrap();
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap();
        let pattern = regex_lite::Regex::new(parameter["schema"]["pattern"].as_str().unwrap()).unwrap();
        assert!(pattern.is_match(&received.headers[name]), "{name}: {}", received.headers[name]);
        assert!(pattern.is_match(parameter["example"].as_str().unwrap()), "the example of {name}");
    }
    let described: BTreeSet<_> = parameters.iter().filter_map(|parameter| parameter["name"].as_str()).collect();
    let sent = received.headers.keys().map(String::as_str).filter(|name| name.starts_with("webhook-"));
    assert_eq!(sent.collect::<BTreeSet<_>>(), described);
}

/// Panics unless the event has exactly the described fields, and the data the fields of its type.
fn assert_fields_match(event: &Value, schemas: &Value) {
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(event), names(&schemas["FeedEvent"]["properties"]));
    let undescribed: Vec<_> =
        names(&event["data"]).difference(&names(&schemas["FeedEventData"]["properties"])).cloned().collect();
    assert_eq!(undescribed, [""; 0]);
    let narrowed = &schemas[event["type"].as_str().unwrap()]["allOf"][1];
    for required in narrowed["properties"]["data"]["required"].as_array().into_iter().flatten() {
        assert!(event["data"].get(required.as_str().unwrap()).is_some(), "{required} is missing in {event}");
    }
}
