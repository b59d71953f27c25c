//! Database writes of GET routes, which must not be interrupted when the client disconnects. Routes that change data
//! run completely in a separate task (`pipeline.rs`).

use freehold_tenancy::db::{DbError, Result};
use tracing::Instrument;

/// Runs `work` in a separate task, so that a client disconnect does not leave a connection in an open transaction.
pub(crate) async fn run_detached<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(work.in_current_span()).await.unwrap_or_else(|error| Err(DbError::UnexpectedValue(error.to_string())))
}
