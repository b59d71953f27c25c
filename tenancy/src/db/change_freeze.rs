//! Stores the change freeze, a time in which no update starts in any environment.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Result, parse_json};
use crate::operation::Requester;

/// Change freeze that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeFreeze {
    pub reason: String,
    /// End of the freeze; `None` if it ends by hand.
    pub until: Option<DateTime<Utc>>,
    pub set_by: Requester,
    pub set_at: DateTime<Utc>,
}

/// Returns the freeze that is in force, or `None` if updates may start.
pub(super) async fn in_force(tx: &mut PgConnection, now: DateTime<Utc>) -> Result<Option<ChangeFreeze>> {
    let row = sqlx::query!(
        r#"/* db::change_freeze::in_force */
        select reason as "reason!", until, set_by as "set_by!", set_at as "set_at!" from change_freeze
        where reason is not null and (until is null or until > $1)"#,
        now,
    );
    let Some(row) = row.fetch_optional(tx).await? else { return Ok(None) };
    let set_by = parse_json(row.set_by, "the author of the change freeze")?;
    Ok(Some(ChangeFreeze { reason: row.reason, until: row.until, set_by, set_at: row.set_at }))
}
