//! Tests of the event stream of an operation.

use std::time::Duration;

use freehold_tenancy::db::lifecycle::StepDisposition;
use freehold_tests::api_fixture::{ApiFixture, send, signup_body};
use freehold_tests::event_stream::EventStream;
use freehold_tests::tokens::now;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

async fn operation(api: &ApiFixture) -> String {
    let tenant = api.sign_up(&signup_body()).await;
    tenant["environments"][0]["operation_id"].as_str().unwrap().to_owned()
}

fn event_stream_request(api: &ApiFixture, id: &str) -> RequestBuilder {
    api.request(Method::GET, &format!("/v1/operations/{id}/events"))
}

/// Ids and names of the events that the stream of an operation contains after [`run_to_success`].
const SUCCESS_EVENTS: [&str; 9] = [
    "1 operation.accepted",
    "2 operation.started",
    "3 step.started",
    "4 step.waiting",
    "5 environment.account.assigned",
    "6 step.succeeded",
    "7 environment.ready",
    "8 operation.succeeded",
    "end",
];

#[tokio::test]
async fn a_skipped_step_is_reported_with_its_reason() {
    let api = ApiFixture::new().await;
    let id = operation(&api).await;
    let claim = api.claim_operation().await;
    api.record_step(&claim, StepDisposition::Skipped("region eu-central-1 needs no opt-in".to_owned()), None).await;
    let reason = json!("region eu-central-1 needs no opt-in");
    let step = &api.get(&format!("/v1/operations/{id}")).await.json()["steps"][0];
    assert_eq!((&step["state"], &step["reason"], &step["waits_for"]), (&json!("skipped"), &reason, &Value::Null));
    assert!(step["finished_at"].is_string(), "{step}");
    // The previous version reads the same row as a step that is done.
    let stored: (String, String) =
        sqlx::query_as("select s.state, e.type from operation_steps s, events e where e.seq = 4")
            .fetch_one(&api.database.pool)
            .await
            .unwrap();
    assert_eq!(stored, ("done".to_owned(), "step.succeeded".to_owned()));

    let mut stream = EventStream::open(event_stream_request(&api, &id)).await;
    let skipped = loop {
        let event = stream.next().await.unwrap();
        if event.name != "operation.accepted" && event.name != "operation.started" && event.name != "step.started" {
            break event;
        }
    };
    assert_eq!((skipped.name.as_str(), &skipped.data["type"]), ("step.skipped", &json!("step.skipped")));
    assert_eq!((&skipped.data["step"], &skipped.data["reason"]), (&json!("request-account"), &reason));
}

/// Runs the only operation until it succeeds.
async fn run_to_success(api: &ApiFixture) {
    let claim = api.claim_operation().await;
    let check_at = api.clock.now();
    api.record_step(&claim, StepDisposition::Waiting { why: "a while".to_owned(), check_at }, None).await;
    api.record_step(&claim, StepDisposition::Done, Some("111122223333")).await;
    freehold_tenancy::db::lifecycle::succeed(&api.database.pool, &claim, check_at).await.unwrap();
}

#[tokio::test]
async fn events_arrive_as_they_occur_until_the_operation_ends() {
    let api = ApiFixture::new().await;
    let id = operation(&api).await;
    let mut stream = EventStream::open(event_stream_request(&api, &id)).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.id.as_str(), first.name.as_str()), ("1", "operation.accepted"));
    assert_eq!(first.data["operation_id"], id);
    assert_eq!((&first.data["seq"], &first.data["type"]), (&json!(1), &json!("operation.accepted")));
    assert_eq!((&first.data["environment"], &first.data["step"]), (&json!("production"), &Value::Null));

    run_to_success(&api).await;
    let mut arrived = Vec::new();
    let waiting = loop {
        let event = stream.next().await.unwrap();
        if event.name == "step.waiting" {
            break event;
        }
        arrived.push(format!("{} {}", event.id, event.name));
    };
    assert_eq!((&waiting.data["step"], &waiting.data["waits_for"]), (&json!("request-account"), &json!("a while")));
    assert_eq!(arrived, SUCCESS_EVENTS[1..3]);
    let rest = stream.names().await;
    assert_eq!(sorted(&rest), sorted(&SUCCESS_EVENTS.map(String::from)[4..]));
}

fn sorted(names: &[String]) -> Vec<&str> {
    let mut names: Vec<_> = names.iter().map(|name| name.split(' ').next_back().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_event_id() {
    let api = ApiFixture::new().await;
    let id = operation(&api).await;
    run_to_success(&api).await;
    let all = EventStream::open(event_stream_request(&api, &id)).await.names().await;
    assert_eq!(all.len(), SUCCESS_EVENTS.len());
    assert_eq!(all.last().unwrap(), "end");
    for last_event in 0..=8 {
        let rest = EventStream::open(event_stream_request(&api, &id).header("Last-Event-ID", last_event.to_string()))
            .await
            .names()
            .await;
        assert_eq!(rest, all[last_event..], "after event {last_event}");
    }
    for last_event in ["-1", "x", "1.5", "99999999999999999999"] {
        let response = send(event_stream_request(&api, &id).header("Last-Event-ID", last_event)).await;
        assert_eq!(response.status_and_code(), (400, "invalid_last_event_id".into()));
    }
}

#[tokio::test]
async fn a_stream_ends_when_the_token_expires() {
    let api = ApiFixture::new().await;
    let id = operation(&api).await;
    let token = api.issuer.token_with("fleet operations:read", &json!({ "exp": now() + 1 }));
    let request = api.request_without_token(Method::GET, &format!("/v1/operations/{id}/events")).bearer_auth(token);
    // The operation is still open, so there is no `end` event.
    assert_eq!(EventStream::open(request).await.names().await, SUCCESS_EVENTS[..1]);
}

#[tokio::test]
async fn an_open_stream_does_not_delay_shutdown() {
    let mut api = ApiFixture::new().await;
    let id = operation(&api).await;
    let mut stream = EventStream::open(event_stream_request(&api, &id)).await;
    assert_eq!(stream.next().await.unwrap().name, "operation.accepted");
    api.shutdown.cancel();
    assert_eq!(stream.next().await, None);
    tokio::time::timeout(Duration::from_secs(9), &mut api.server).await.expect("a stopped API").unwrap();
}
