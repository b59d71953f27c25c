//! Fencing: refuses the writes of a worker as soon as another worker has claimed the operation.

use sqlx::{Postgres, Transaction};

use super::{DbError, PgPool, Result};
use crate::OperationId;

/// Claim of a worker on an operation. Writes that use the claim fail with [`DbError::LeaseLost`] once another worker
/// has claimed the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub operation_id: OperationId,
    /// Fence of the operation at the time of the claim.
    pub fence: i64,
    /// Whether this is the first claim on the operation.
    pub first: bool,
}

/// Starts a transaction and locks the operation, so that the claim stays valid until the transaction ends.
pub(super) async fn begin_fenced(pool: &PgPool, claim: &Claim) -> Result<Transaction<'static, Postgres>> {
    let mut tx = pool.begin().await?;
    let held = sqlx::query_scalar!(
        "/* db::fence::begin_fenced */ select 1 from operations where id = $1 and fence = $2 for no key update",
        claim.operation_id.as_uuid(),
        claim.fence,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if held.is_some() { Ok(tx) } else { Err(DbError::LeaseLost) }
}
