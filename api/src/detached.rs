//! Writes of safe routes that a disconnected caller must not interrupt. Routes that change something run in a task of
//! their own as a whole (`pipeline.rs`).

use freehold_tenancy::db::{DbError, Result};
use tracing::Instrument;

/// Runs `work` in a task of its own: a caller that disconnects must not leave a connection in an open transaction.
pub(crate) async fn detached<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work.in_current_span()).await.unwrap_or_else(|error| Err(DbError::UnexpectedValue(error.to_string())))
}
