//! Reader of event streams (server-sent events).

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::Value;

/// Reader of the server-sent events in a response.
pub struct EventStream {
    response: Response,
    rest: String,
}

/// Server-sent event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: String,
    pub name: String,
    pub data: Value,
}

impl EventStream {
    /// Sends the request, which must be answered with a stream.
    pub async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, rest: String::new() }
    }

    /// Returns the next event, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
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

    /// Returns the ids and names of all events until the end of the stream.
    pub async fn names(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(event) = self.next().await {
            names.push(format!("{} {}", event.id, event.name).trim().to_owned());
        }
        names
    }
}
