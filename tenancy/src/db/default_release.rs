//! Stores the release that new environments get.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Result;
use crate::ReleaseId;

/// Returns the default release and locks it until the transaction ends; `None` means the `[stack]` of the
/// configuration.
pub(super) async fn lock(tx: &mut PgConnection) -> Result<Option<ReleaseId>> {
    let id =
        sqlx::query_scalar!("/* db::default_release::lock */ select release_id from default_release for no key update");
    Ok(id.fetch_optional(tx).await?.flatten().map(ReleaseId::from))
}

/// Changes the default release. An environment whose onboarding reads it afterwards gets the new one.
pub(super) async fn set(tx: &mut PgConnection, release: Option<ReleaseId>, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "/* db::default_release::set */ update default_release set release_id = $1, since = $2",
        release.map(ReleaseId::as_uuid),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
