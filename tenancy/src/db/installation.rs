//! What this database belongs to: a sandbox or the real thing, and of which organisation.

use chrono::{DateTime, Utc};

use super::{DbError, PgPool, Result, parsed};
use crate::clock::{Clock, Scale};
use crate::string_enum::string_enum;
use crate::{AwsAccountId, InstallationId};

string_enum! {
    /// Whether the AWS at the other end is real.
    InstallationKind {
        /// A simulated organisation.
        Sandbox = "sandbox",
        /// AWS.
        Real = "real",
    }
}

/// The one row that says what this database belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Installation {
    /// `ins_…`
    pub id: InstallationId,
    /// Sandbox or real.
    pub kind: InstallationKind,
    /// The organisation, by its management account.
    pub management_account_id: AwsAccountId,
    /// A sandbox's clock.
    pub scale: Option<Scale>,
}

impl Installation {
    /// The clock that every process of this installation shows.
    pub fn clock(&self) -> Clock {
        self.scale.map_or_else(Clock::real, Clock::scaled)
    }
}

/// The installation, if there is one yet.
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
            management_account_id: parsed(row.management_account_id)?,
            scale,
        })
    })
    .transpose()
}

/// The installation of `kind` in the organisation of `management_account`; made if there is none.
///
/// Fails with [`DbError::OtherInstallation`] where the database belongs to another one. A sandbox's clock is set to
/// `scale`.
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

/// The installation, if it is of `kind` and in the organisation of `management_account`.
pub async fn check(pool: &PgPool, kind: InstallationKind, management_account: &AwsAccountId) -> Result<Installation> {
    let Some(found) = read(pool).await? else {
        return Err(DbError::OtherInstallation(
            "this database belongs to no installation yet; run `freehold migrate` first".to_owned(),
        ));
    };
    if found.kind != kind {
        return Err(DbError::OtherInstallation(format!(
            "this database belongs to a {} installation, and this process is for a {kind} one; name another database",
            found.kind
        )));
    }
    if found.management_account_id != *management_account {
        return Err(DbError::OtherInstallation(format!(
            "this database belongs to the organisation of management account {}, and the configuration names {}",
            found.management_account_id, management_account
        )));
    }
    Ok(found)
}

/// The latest time that the journal knows: a sandbox that starts again goes on from there.
pub async fn latest_time(pool: &PgPool) -> Result<Option<DateTime<Utc>>> {
    let latest = sqlx::query_scalar!(
        r#"/* db::installation::latest_time */
        select greatest((select max(updated_at) from operations), (select max(created_at) from installation))"#
    );
    Ok(latest.fetch_one(pool).await?)
}
