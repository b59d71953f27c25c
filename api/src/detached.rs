//! Writing that no caller can break off, in routes that only look. Those that change something run in a task of their own
//! altogether (`audit.rs`).

use freehold_tenancy::db::{DbError, Result};
use tracing::Instrument;

/// Lets `work` come to its end in a task of its own: a caller that hangs up must not leave a connection in an open
/// transaction.
pub(crate) async fn detached<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work.in_current_span()).await.unwrap_or_else(|error| Err(DbError::UnexpectedValue(error.to_string())))
}
