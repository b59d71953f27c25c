//! Reads the maintenance windows of tenants. PostgreSQL converts local times, because it has the time
//! zones.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use super::Result;
use crate::TenantId;

/// Code of PostgreSQL for a time zone that does not exist ("Error Codes", `invalid_parameter_value`).
const UNKNOWN_TIME_ZONE: &str = "22023";

/// Start of the next update of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextWindow {
    /// A window is open, or the tenant has none.
    Open,
    /// The next window starts at this time.
    From(DateTime<Utc>),
    /// No window ever starts, because its time zone or its days are not known.
    Never,
}

/// Returns whether an update of the tenant may start, or when. The transaction stays usable if a time zone is not
/// known.
pub(super) async fn next(tx: &mut PgConnection, tenant: TenantId, now: DateTime<Utc>) -> Result<NextWindow> {
    let mut savepoint = tx.begin().await?;
    // A window that started on one of the last two local days can still be open.
    let row = sqlx::query!(
        r#"/* db::maintenance_windows::next */
        with windows as (
            select w ->> 'time_zone' as zone, (w ->> 'start')::time as start, (w ->> 'minutes')::integer as minutes,
                w -> 'days' as days
            from tenants t, jsonb_array_elements(t.maintenance_windows) w where t.id = $1
        ),
        starts as (
            select ((($2::timestamptz at time zone zone)::date + d) + start) at time zone zone as starts_at, minutes
            from windows, generate_series(-2, 8) d
            where days ? trim(to_char(($2::timestamptz at time zone zone)::date + d, 'day'))
        )
        select exists (select from windows) as "has_windows!",
            (select min(starts_at) from starts where starts_at + make_interval(mins => minutes) > $2) as starts_at"#,
        tenant.as_uuid(),
        now,
    );
    let row = row.fetch_one(&mut *savepoint).await;
    let is_unknown = |error: &sqlx::Error| {
        error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .is_some_and(|code| code == UNKNOWN_TIME_ZONE)
    };
    match row {
        Ok(row) => {
            savepoint.commit().await?;
            Ok(match row.starts_at {
                _ if !row.has_windows => NextWindow::Open,
                Some(at) if at > now => NextWindow::From(at),
                Some(_) => NextWindow::Open,
                None => NextWindow::Never,
            })
        }
        Err(error) if is_unknown(&error) => {
            savepoint.rollback().await?;
            Ok(NextWindow::Never)
        }
        Err(error) => Err(error.into()),
    }
}
