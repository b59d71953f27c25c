//! Stores the installation that the database belongs to: its kind, organisation and clock.

use chrono::{DateTime, Utc};

use super::{DbError, PgPool, Result, parse_text};
use crate::clock::{Clock, Scale};
use crate::string_enum::string_enum;
use crate::{AwsAccountId, InstallationId};

string_enum! {
    /// Kind of an installation, stored as text.
    InstallationKind {
        /// Installation with a simulated AWS organisation.
        Sandbox = "sandbox",
        /// Installation with a real AWS organisation.
        Real = "real",
    }
}

/// Installation that a database belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Installation {
    /// Id of the installation: `ins_` and 26 characters.
    pub id: InstallationId,
    pub kind: InstallationKind,
    /// Management account of the organisation.
    pub management_account_id: AwsAccountId,
    /// Parameters of the sandbox clock; `None` for a real installation.
    pub scale: Option<Scale>,
}

impl Installation {
    /// Returns the clock of the installation.
    pub fn clock(&self) -> Clock {
        self.scale.map_or_else(Clock::real, Clock::scaled)
    }
}

/// Returns the installation of the database; `None` if it has none yet.
pub async fn read(pool: &PgPool) -> Result<Option<Installation>> {
    let row = sqlx::query!(
        r#"/* db::installation::read */
        select id, kind as "kind: InstallationKind", management_account_id, clock_anchored_at, clock_origin, clock_speed
        from installation"#
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        let scale = match (row.clock_anchored_at, row.clock_origin, row.clock_speed) {
            (Some(anchored_at), Some(origin), Some(speed)) => Some(Scale { anchored_at, origin, speed }),
            _ => None,
        };
        Ok(Installation {
            id: row.id.into(),
            kind: row.kind,
            management_account_id: parse_text(row.management_account_id)?,
            scale,
        })
    })
    .transpose()
}

/// Returns the installation of the database, and creates it if there is none. Sets the clock of a sandbox to `scale`.
///
/// Fails with [`DbError::OtherInstallation`] if the database belongs to another installation.
pub async fn ensure(
    pool: &PgPool,
    kind: InstallationKind,
    management_account: &AwsAccountId,
    scale: Option<Scale>,
    now: DateTime<Utc>,
) -> Result<Installation> {
    sqlx::query!(
        r#"/* db::installation::ensure */
        insert into installation
            (id, kind, management_account_id, clock_anchored_at, clock_origin, clock_speed, created_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (singleton) do update
        set clock_anchored_at = excluded.clock_anchored_at, clock_origin = excluded.clock_origin,
            clock_speed = excluded.clock_speed
        where installation.kind = 'sandbox' and excluded.kind = 'sandbox'"#,
        InstallationId::new(now).as_uuid(),
        kind.as_str(),
        management_account.as_str(),
        scale.map(|scale| scale.anchored_at),
        scale.map(|scale| scale.origin),
        scale.map(|scale| scale.speed),
        now,
    )
    .execute(pool)
    .await?;
    check(pool, kind, management_account).await
}

/// Returns the installation of the database. Fails unless it has this `kind` and this `management_account`.
pub async fn check(pool: &PgPool, kind: InstallationKind, management_account: &AwsAccountId) -> Result<Installation> {
    let Some(found) = read(pool).await? else {
        return Err(DbError::OtherInstallation(
            "this database belongs to no installation yet; run `freehold migrate` first".to_owned(),
        ));
    };
    if found.kind != kind {
        return Err(DbError::OtherInstallation(format!(
            "this database belongs to a {} installation, but this process needs a {kind} one; use another database",
            found.kind
        )));
    }
    if found.management_account_id != *management_account {
        return Err(DbError::OtherInstallation(format!(
            "this database belongs to the organisation of management account {}, but the configuration names {}",
            found.management_account_id, management_account
        )));
    }
    Ok(found)
}

/// Returns the latest time that is stored in the database. The clock of a restarted sandbox continues from it.
pub async fn latest_time(pool: &PgPool) -> Result<Option<DateTime<Utc>>> {
    let latest = sqlx::query_scalar!(
        r#"/* db::installation::latest_time */
        select greatest((select max(updated_at) from operations), (select max(created_at) from installation))"#
    );
    Ok(latest.fetch_one(pool).await?)
}
