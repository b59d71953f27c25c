//! Streams of whole lists. A list is read batch by batch, so that neither the list is in memory nor a database
//! transaction is open while a slow client reads.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Version, header};
use axum::response::{IntoResponse, Response};
use freehold_tenancy::db::DbError;
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::app::App;
use crate::problem::{ApiError, Code};

/// Maximum number of batches that are buffered for a slow client.
const CHANNEL_CAPACITY: usize = 2;

/// Time after which an export is aborted if its client does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Number of rows in a batch.
pub(crate) const BATCH_ROWS: i64 = 1000;

/// Batch of an export with the cursor of the next batch, or `None` at the end of the list.
pub(crate) type Batch<C> = Option<(Vec<u8>, C)>;

/// Returns the permit of one export. Fails if the process runs its maximum number of exports, or if the client speaks
/// HTTP/1.0, which cannot signal an incomplete response.
pub(crate) fn admit(app: &App, version: Version) -> Result<OwnedSemaphorePermit, ApiError> {
    if version < Version::HTTP_11 {
        return Err(ApiError::new(
            Code::HttpVersionNotSupported,
            "Use HTTP/1.1 or later, also between your proxy and this server (nginx: proxy_http_version 1.1): earlier \
             versions cannot signal an incomplete export.",
        ));
    }
    Arc::clone(&app.exports).try_acquire_owned().map_err(|_| {
        app.metrics.count_refusal("exports");
        ApiError::new(Code::TooManyExports, "Too many exports are running; retry in a moment.").retry_after(10)
    })
}

/// Responds with `head`, followed by the batches that `read_batch` returns. If a batch cannot be read, the connection
/// is aborted, so that the client detects an incomplete export.
pub(crate) fn respond<C, F>(
    app: &App,
    version: Version,
    media_type: &'static str,
    head: Vec<u8>,
    start: C,
    read_batch: impl Fn(C) -> F + Send + 'static,
) -> Result<Response, ApiError>
where
    C: Send + 'static,
    F: Future<Output = Result<Batch<C>, DbError>> + Send,
{
    let permit = admit(app, version)?;
    let (sender, receiver) = mpsc::channel::<io::Result<Option<Vec<u8>>>>(CHANNEL_CAPACITY);
    tokio::spawn(async move {
        let _permit = permit;
        let mut batch = Ok(Some((head, start)));
        loop {
            let (chunk, cursor) = match batch {
                Ok(Some((chunk, cursor))) => (Ok(Some(chunk)), Some(cursor)),
                Ok(None) => (Ok(None), None),
                Err(error) => {
                    tracing::error!(%error, "an export failed: {error}");
                    (Err(io::Error::other(error)), None)
                }
            };
            let is_sent = sender.send_timeout(chunk, SEND_TIMEOUT).await.is_ok();
            let Some(cursor) = cursor.filter(|_| is_sent) else { return };
            batch = read_batch(cursor).await;
        }
    });
    let chunks = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Ok(None)) => None,
            Some(Ok(Some(batch))) => Some((Ok(batch), Some(receiver))),
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Err(io::Error::other("the export failed")), None)),
        }
    });
    Ok(([(header::CONTENT_TYPE, media_type)], Body::from_stream(chunks)).into_response())
}
