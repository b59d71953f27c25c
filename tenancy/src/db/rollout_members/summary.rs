//! Summaries of the environments of a rollout: reasons of failures, and releases by region.

use uuid::Uuid;

use crate::db::{PgPool, Result, parse_text};
use crate::rollout::ReleaseCount;
use crate::{ReleaseId, RolloutId};

/// Maximum number of reasons that [`failures`] returns.
const MAX_REASONS: i64 = 20;

/// Returns the reasons of failed environments with the numbers of environments, the most frequent first.
pub async fn failures(pool: &PgPool, rollout: RolloutId) -> Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"/* db::rollout_members::failures */
        select coalesce(reason, 'no reason is known') as "reason!", count(*) as "count!" from rollout_members
        where rollout_id = $1 and state = 'failed' group by 1 order by 2 desc, 1 limit $2"#,
        rollout.as_uuid(),
        MAX_REASONS,
    );
    Ok(rows.fetch_all(pool).await?.into_iter().map(|row| (row.reason, row.count)).collect())
}

/// Returns the numbers of environments of a rollout by region and present release.
pub async fn releases(pool: &PgPool, rollout: RolloutId) -> Result<Vec<ReleaseCount>> {
    let rows = sqlx::query!(
        r#"/* db::rollout_members::releases */
        select s.region, s.release_id as "release_id?: Uuid", count(*) as "count!"
        from rollout_members m join environment_stacks s on s.environment_id = m.environment_id
        where m.rollout_id = $1 and s.kind = 'tenant' and s.state <> 'deleted'
        group by s.region, s.release_id order by s.region, 3 desc, s.release_id"#,
        rollout.as_uuid(),
    );
    rows.fetch_all(pool)
        .await?
        .into_iter()
        .map(|row| {
            let release = row.release_id.map(ReleaseId::from);
            Ok(ReleaseCount { region: parse_text(row.region)?, release, environments: row.count })
        })
        .collect()
}
