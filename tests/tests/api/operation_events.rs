//! Following an operation.

use std::time::Duration;

use freehold_tenancy::db::lifecycle::StepDisposition;
use freehold_tests::api_fixture::{Served, send, signup};
use freehold_tests::tokens::now;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// The server-sent events of an answer, as they come.
struct Stream {
    response: Response,
    rest: String,
}

#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Stream {
    async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, rest: String::new() }
    }

    /// The next event, or `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.rest.clone().split_once("\n\n") {
                rest.clone_into(&mut self.rest);
                let field = |name: &str| {
                    let prefix = format!("{name}: ");
                    block.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
                };
                if !field("event").is_empty() {
                    let data = serde_json::from_str(&field("data")).unwrap();
                    return Some(Event { id: field("id"), name: field("event"), data });
                }
            }
            let chunk =
                tokio::time::timeout(Duration::from_mins(1), self.response.chunk()).await.expect("a silent stream");
            self.rest.push_str(std::str::from_utf8(&chunk.unwrap()?).unwrap());
        }
    }

    async fn names(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(event) = self.next().await {
            names.push(format!("{} {}", event.id, event.name).trim().to_owned());
        }
        names
    }
}

async fn operation(api: &Served) -> String {
    let tenant = api.signed_up(&signup()).await;
    tenant["environments"][0]["operation_id"].as_str().unwrap().to_owned()
}

fn follow(api: &Served, id: &str) -> RequestBuilder {
    api.request(Method::GET, &format!("/v1/operations/{id}/events"))
}

/// What happens to an operation that goes well, in [`Served`]'s telling.
const ALL: [&str; 9] = [
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

/// Carries the operation to its end.
async fn carry_on(api: &Served) {
    let claim = api.claim().await;
    let check_at = api.clock.now();
    api.record(&claim, StepDisposition::Waiting { why: "a while".to_owned(), check_at }, None).await;
    api.record(&claim, StepDisposition::Done, Some("111122223333")).await;
    freehold_tenancy::db::lifecycle::succeed(&api.database.pool, &claim, check_at).await.unwrap();
}

#[tokio::test]
async fn events_arrive_as_they_happen_until_the_operation_has_ended() {
    let api = Served::new().await;
    let id = operation(&api).await;
    let mut stream = Stream::open(follow(&api, &id)).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.id.as_str(), first.name.as_str()), ("1", "operation.accepted"));
    assert_eq!(first.data["operation_id"], id);
    assert_eq!((&first.data["seq"], &first.data["type"]), (&json!(1), &json!("operation.accepted")));
    assert_eq!((&first.data["environment"], &first.data["step"]), (&json!("production"), &Value::Null));

    carry_on(&api).await;
    let mut arrived = Vec::new();
    let waiting = loop {
        let event = stream.next().await.unwrap();
        if event.name == "step.waiting" {
            break event;
        }
        arrived.push(format!("{} {}", event.id, event.name));
    };
    assert_eq!((&waiting.data["step"], &waiting.data["waits_for"]), (&json!("request-account"), &json!("a while")));
    assert_eq!(arrived, ALL[1..3]);
    let rest = stream.names().await;
    assert_eq!(sorted(&rest), sorted(&ALL.map(String::from)[4..]));
}

fn sorted(names: &[String]) -> Vec<&str> {
    let mut names: Vec<_> = names.iter().map(|name| name.split(' ').next_back().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_stream_goes_on_where_it_broke_off() {
    let api = Served::new().await;
    let id = operation(&api).await;
    carry_on(&api).await;
    let all = Stream::open(follow(&api, &id)).await.names().await;
    assert_eq!(all.len(), ALL.len());
    assert_eq!(all.last().unwrap(), "end");
    for seen in 0..=8 {
        let rest = Stream::open(follow(&api, &id).header("Last-Event-ID", seen.to_string())).await.names().await;
        assert_eq!(rest, all[seen..], "after event {seen}");
    }
    for seen in ["-1", "x", "1.5", "99999999999999999999"] {
        let answered = send(follow(&api, &id).header("Last-Event-ID", seen)).await;
        assert_eq!(answered.outcome(), (400, "invalid_last_event_id".into()));
    }
}

#[tokio::test]
async fn a_stream_ends_when_the_token_does() {
    let api = Served::new().await;
    let id = operation(&api).await;
    let token = api.issuer.token_with("fleet operations:read", &json!({ "exp": now() + 1 }));
    let request = api.bare(Method::GET, &format!("/v1/operations/{id}/events")).bearer_auth(token);
    // The operation goes on, so there is no `end`.
    assert_eq!(Stream::open(request).await.names().await, ALL[..1]);
}

#[tokio::test]
async fn a_stream_does_not_hold_up_the_end_of_the_api() {
    let mut api = Served::new().await;
    let id = operation(&api).await;
    let mut stream = Stream::open(follow(&api, &id)).await;
    assert_eq!(stream.next().await.unwrap().name, "operation.accepted");
    api.shutdown.cancel();
    assert_eq!(stream.next().await, None);
    tokio::time::timeout(Duration::from_secs(9), &mut api.server).await.expect("an end").unwrap();
}
