//! Client of the event stream of an operation (server-sent events). It reconnects after connection failures.

use std::future::ready;
use std::time::Duration;

use freehold_api::schema::{Operation, OperationEvent};
use futures::{Stream, StreamExt};
use reqwest::Body;
use sse_stream::SseStream;

use crate::client::{ApiClient, encode_path_segment};
use crate::exit::{Exit, ExitError};

/// Number of consecutive connection failures after which the command fails.
const MAX_CONNECTION_FAILURES: u32 = 10;

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
                let mut events = operation_events(stream.into());
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
            Err(error) if failures < MAX_CONNECTION_FAILURES && is_retryable(&error) => failures += 1,
            Err(error) => return Err(error),
        }
        match api.get::<Operation>(&path, &[]).await {
            Ok(operation) if operation.finished_at.is_some() => return Ok(operation),
            Ok(_) => {}
            Err(error) if failures < MAX_CONNECTION_FAILURES && is_retryable(&error) => failures += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Returns whether the API may answer the same request later.
pub(crate) fn is_retryable(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ExitError>().is_some_and(|error| error.exit == Exit::Unreachable)
}

/// Returns the events of one connection until the connection ends or fails. Comments and `event: end` are skipped.
fn operation_events(body: Body) -> impl Stream<Item = OperationEvent> + Unpin {
    // The stream ends after its first error.
    let blocks = SseStream::new(body).filter_map(|block| ready(block.ok()));
    blocks.filter_map(|block| ready(block.data.as_deref().and_then(|data| serde_json::from_str(data).ok())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_are_read_and_comments_and_the_end_are_skipped() {
        let stream = ":\n\nid: 4\nevent: step.waiting\ndata: {\"operation_id\":\"op_1\",\"seq\":4,\
                      \"type\":\"step.waiting\",\"step\":\"deploy-stack\",\"waits_for\":\"the stack\",\
                      \"occurred_at\":\"2026-01-01T00:00:00Z\"}\n\nevent: end\ndata: {}\n\n";
        let events: Vec<_> = operation_events(stream.into()).collect().await;
        assert_eq!((events.len(), events[0].seq, events[0].step.as_deref()), (1, 4, Some("deploy-stack")));
        assert_eq!(events[0].more["waits_for"], "the stack");
    }
}
