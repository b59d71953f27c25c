//! Makes the release of a rollout the default, and adds the wave of the environments that were created meanwhile.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ReleaseId;
use crate::db::rollout_waves::InsertedWave;
use crate::db::{Result, default_release, rollout_members, rollout_waves, rollouts};
use crate::rollout::{Member, Rollout};

/// Changes the default release and inserts the catch-up wave in one transaction. An onboarding reads the default when
/// it deploys its stack: it either reads the new default, or the environment is seen here. Returns whether there is
/// such an environment.
pub(super) async fn make_default(tx: &mut PgConnection, rollout: &Rollout, now: DateTime<Utc>) -> Result<bool> {
    let before = default_release::lock(tx).await?;
    default_release::set(tx, Some(rollout.release_id), now).await?;
    rollouts::record_default(tx, rollout.id, before, now).await?;
    let members = new_environments(tx, rollout).await?;
    let number = rollout.plan.waves.len();
    let Some(wave) = rollout.plan.wave(number).filter(|_| !members.is_empty()) else { return Ok(false) };
    let wave = InsertedWave { number, name: &wave.name, approval_sha256: None };
    rollout_waves::insert(tx, rollout.id, &wave).await?;
    rollout_members::insert(tx, rollout.id, number, &members).await?;
    Ok(true)
}

/// Restores the default release that the rollout has replaced, unless it was changed since.
pub(super) async fn restore_default(tx: &mut PgConnection, rollout: &Rollout, now: DateTime<Utc>) -> Result<()> {
    let Some(before) = rollouts::take_default(tx, rollout.id).await? else { return Ok(()) };
    if default_release::lock(tx).await? == Some(rollout.release_id) {
        default_release::set(tx, before, now).await?;
    }
    Ok(())
}

/// Returns the environments that are being onboarded, or that were onboarded since the rollout was created, and that
/// may have another release.
async fn new_environments(tx: &mut PgConnection, rollout: &Rollout) -> Result<Vec<Member>> {
    let rows = sqlx::query!(
        r#"/* db::lifecycle::new_environments */
        select distinct on (e.id) e.id, s.release_id as "release_id?: Uuid"
        from environments e join tenants t on t.id = e.tenant_id
            left join environment_stacks s
                on s.environment_id = e.id and s.kind = 'tenant' and s.slot = 0 and s.state <> 'deleted'
        where e.state not in ('offboarding', 'offboarded') and t.suspended_at is null
            and (e.ready_at is null or e.ready_at >= $2) and s.release_id is distinct from $3
            and not exists (
                select from rollout_members m where m.rollout_id = $1 and m.environment_id = e.id
            )
        order by e.id"#,
        rollout.id.as_uuid(),
        rollout.created_at,
        rollout.release_id.as_uuid(),
    );
    let to_member = |id: Uuid, release: Option<Uuid>| Member {
        environment_id: id.into(),
        previous_release: release.map(ReleaseId::from),
    };
    Ok(rows.fetch_all(tx).await?.into_iter().map(|row| to_member(row.id, row.release_id)).collect())
}
