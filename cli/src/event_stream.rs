//! Client of the event stream of an operation (server-sent events). It reconnects after connection failures.

use std::time::Duration;

use freehold_api::schema::{Operation, OperationEvent};
use reqwest::Response;

use crate::client::{ApiClient, encode_path_segment};
use crate::exit::{Exit, ExitError};

/// Number of consecutive connection failures after which the command fails.
const MAX_FAILURES: u32 = 10;

/// Calls `on_event` for each event of an operation until the operation has finished or needs attention. Returns the
/// latest state of the operation.
pub(crate) async fn follow_operation(
    api: &ApiClient,
    operation: &str,
    mut on_event: impl FnMut(&OperationEvent) -> anyhow::Result<()>,
) -> anyhow::Result<Operation> {
    let path = format!("/v1/operations/{}", encode_path_segment(operation));
    let mut last_seen = 0;
    let mut failures = 0;
    loop {
        match api.open_event_stream(operation, last_seen).await {
            Ok(stream) => {
                failures = 0;
                let mut events = EventReader { stream, buffer: Vec::new() };
                while let Some(event) = events.next().await {
                    last_seen = event.seq;
                    on_event(&event)?;
                    if event.r#type == "operation.needs_attention" {
                        // The operation may have been retried after this event.
                        let operation: Operation = api.get(&path, &[]).await?;
                        if operation.state == "needs_attention" {
                            return Ok(operation);
                        }
                    }
                }
            }
            Err(error) if failures < MAX_FAILURES && is_retryable(&error) => failures += 1,
            Err(error) => return Err(error),
        }
        match api.get::<Operation>(&path, &[]).await {
            Ok(operation) if operation.finished_at.is_some() => return Ok(operation),
            Ok(_) => {}
            Err(error) if failures < MAX_FAILURES && is_retryable(&error) => failures += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn is_retryable(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ExitError>().is_some_and(|error| error.exit == Exit::Unreachable)
}

/// Reader of the server-sent events of one HTTP response.
struct EventReader {
    stream: Response,
    buffer: Vec<u8>,
}

impl EventReader {
    /// Returns the next event, or `None` after the end of the stream or a connection failure.
    async fn next(&mut self) -> Option<OperationEvent> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(event) = parse_event(&String::from_utf8_lossy(&block)) {
                    return Some(event);
                }
            }
            self.buffer.extend_from_slice(&self.stream.chunk().await.ok()??);
        }
    }
}

/// Parses one event block of the stream. Returns `None` for a comment and for `event: end`.
fn parse_event(block: &str) -> Option<OperationEvent> {
    let data: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
    serde_json::from_str(&data.join("\n")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_parsed_from_its_block() {
        let block = "id: 4\nevent: step.waiting\ndata: {\"operation_id\":\"op_1\",\"seq\":4,\"type\":\"step.waiting\",\
                     \"step\":\"deploy-stack\",\"waits_for\":\"the stack\",\
                     \"occurred_at\":\"2026-01-01T00:00:00Z\"}\n\n";
        let event = parse_event(block).unwrap();
        assert_eq!((event.seq, event.step.as_deref()), (4, Some("deploy-stack")));
        assert_eq!(event.more["waits_for"], "the stack");
    }

    #[test]
    fn a_comment_and_the_end_are_not_events() {
        assert!(parse_event(":\n\n").is_none());
        assert!(parse_event("event: end\ndata: {}\n\n").is_none());
    }
}
