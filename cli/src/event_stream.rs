//! Following an operation: its events as they happen, over server-sent events, however often the connection breaks.

use std::time::Duration;

use freehold_api::schema::{Operation, OperationEvent};
use reqwest::Response;

use crate::client::{Api, in_path};
use crate::exit::{Exit, ExitError};

/// How often in a row the API may be unreachable before that is told.
const TRIES: u32 = 10;

/// Follows an operation until it has ended or waits for a person, and answers how it stands then.
pub(crate) async fn follow(
    api: &Api,
    operation: &str,
    mut seen: impl FnMut(&OperationEvent) -> anyhow::Result<()>,
) -> anyhow::Result<Operation> {
    let path = format!("/v1/operations/{}", in_path(operation));
    let mut latest = 0;
    let mut failures = 0;
    loop {
        match api.events(operation, latest).await {
            Ok(stream) => {
                failures = 0;
                let mut events = Events { stream, text: Vec::new() };
                while let Some(event) = events.next().await {
                    latest = event.seq;
                    let may_be_parked = event.r#type == "operation.needs_attention";
                    seen(&event)?;
                    if may_be_parked {
                        // Somebody may have had it tried again since.
                        let operation: Operation = api.get(&path, &[]).await?;
                        if operation.state == "needs_attention" {
                            return Ok(operation);
                        }
                    }
                }
            }
            Err(error) if failures < TRIES && is_passing(&error) => failures += 1,
            Err(error) => return Err(error),
        }
        match api.get::<Operation>(&path, &[]).await {
            Ok(operation) if operation.finished_at.is_some() => return Ok(operation),
            Ok(_) => {}
            Err(error) if failures < TRIES && is_passing(&error) => failures += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Whether the API may be reachable a moment later.
fn is_passing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ExitError>().is_some_and(|ended| ended.exit == Exit::Unreachable)
}

/// The events of one connection.
struct Events {
    stream: Response,
    text: Vec<u8>,
}

impl Events {
    /// The next event; none when the stream has ended or broken off.
    async fn next(&mut self) -> Option<OperationEvent> {
        loop {
            while let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                if let Some(event) = read(&String::from_utf8_lossy(&block)) {
                    return Some(event);
                }
            }
            self.text.extend_from_slice(&self.stream.chunk().await.ok()??);
        }
    }
}

/// The event in one block of the stream; comments and `event: end` are none.
fn read(block: &str) -> Option<OperationEvent> {
    let data: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
    serde_json::from_str(&data.join("\n")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_from_its_block() {
        let block = "id: 4\nevent: step.waiting\ndata: {\"operation_id\":\"op_1\",\"seq\":4,\"type\":\"step.waiting\",\
                     \"step\":\"deploy-stack\",\"waits_for\":\"the stack\",\"occurred_at\":\"2026-01-01T00:00:00Z\"}\n\n";
        let event = read(block).unwrap();
        assert_eq!((event.seq, event.step.as_deref()), (4, Some("deploy-stack")));
        assert_eq!(event.more["waits_for"], "the stack");
    }

    #[test]
    fn a_comment_and_the_end_are_no_events() {
        assert!(read(":\n\n").is_none());
        assert!(read("event: end\ndata: {}\n\n").is_none());
    }
}
