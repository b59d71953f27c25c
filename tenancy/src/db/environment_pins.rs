//! Stores the environments that keep their release.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Result, parse_json};
use crate::EnvironmentId;
use crate::operation::Requester;

/// Pin of an environment to its release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentPin {
    pub reason: String,
    /// End of the pin; `None` if it has no end.
    pub until: Option<DateTime<Utc>>,
    pub pinned_by: Requester,
    pub pinned_at: DateTime<Utc>,
}

/// Returns the pin of an environment that is in force, or `None` if its release may change.
pub(super) async fn in_force(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    now: DateTime<Utc>,
) -> Result<Option<EnvironmentPin>> {
    let row = sqlx::query!(
        r#"/* db::environment_pins::in_force */
        select reason, until, pinned_by, pinned_at from environment_pins
        where environment_id = $1 and (until is null or until > $2)"#,
        environment.as_uuid(),
        now,
    );
    let Some(row) = row.fetch_optional(tx).await? else { return Ok(None) };
    let pinned_by = parse_json(row.pinned_by, "the author of a pin")?;
    Ok(Some(EnvironmentPin { reason: row.reason, until: row.until, pinned_by, pinned_at: row.pinned_at }))
}
