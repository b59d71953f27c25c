//! Reads which updates of a rollout have ended, and how.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::Result;
use crate::operation::OperationState;
use crate::{EnvironmentId, ReleaseId, RolloutId};

/// Update that has ended or needs a person.
pub(in crate::db) struct EndedUpdate {
    pub(in crate::db) environment_id: EnvironmentId,
    pub(in crate::db) wave: i16,
    pub(in crate::db) state: OperationState,
    /// Release of the update; `None` if its input does not name one.
    pub(in crate::db) release: Option<ReleaseId>,
    /// Code of the failure or of the attention.
    pub(in crate::db) code: Option<String>,
    pub(in crate::db) message: Option<String>,
}

/// Row of an ended update, as the query reads it.
struct EndedRow {
    environment_id: Uuid,
    wave: i16,
    state: OperationState,
    release: Option<String>,
    code: Option<String>,
    message: Option<String>,
}

/// Returns the updates in progress on record that have ended or need a person.
pub(in crate::db) async fn ended_updates(tx: &mut PgConnection, rollout: RolloutId) -> Result<Vec<EndedUpdate>> {
    let rows = sqlx::query_as!(
        EndedRow,
        r#"/* db::rollout_members::ended_updates */
        select m.environment_id, m.wave, o.state as "state: OperationState", o.input ->> 'release' as release,
            coalesce(o.attention_code, f.attention ->> 'code') as code,
            coalesce(o.attention_message, f.attention ->> 'message', f.last_error) as message
        from rollout_members m join operations o on o.id = m.operation_id
            left join lateral (
                select s.attention, s.last_error from operation_steps s
                where s.operation_id = o.id and s.state = 'failed' order by s.position limit 1
            ) f on true
        where m.rollout_id = $1 and m.state = 'updating' and (o.finished_at is not null or o.state = 'needs_attention')
        order by m.wave, m.position"#,
        rollout.as_uuid(),
    );
    let to_update = |row: EndedRow| EndedUpdate {
        environment_id: row.environment_id.into(),
        wave: row.wave,
        state: row.state,
        release: row.release.and_then(|release| release.parse().ok()),
        code: row.code,
        message: row.message,
    };
    Ok(rows.fetch_all(tx).await?.into_iter().map(to_update).collect())
}

/// Makes environments startable whose blocking operation has ended or needs a person.
pub(in crate::db) async fn unblock(tx: &mut PgConnection, rollout: RolloutId) -> Result<()> {
    sqlx::query!(
        r#"/* db::rollout_members::unblock */
        update rollout_members m set blocked_by = null from operations o
        where m.rollout_id = $1 and m.blocked_by = o.id
            and (o.finished_at is not null or o.state = 'needs_attention')"#,
        rollout.as_uuid(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Fails the environments in the bake that have a critical finding since the start of their update. Returns their
/// number.
pub(in crate::db) async fn fail_in_bake(tx: &mut PgConnection, rollout: RolloutId, now: DateTime<Utc>) -> Result<u64> {
    let done = sqlx::query!(
        r#"/* db::rollout_members::fail_in_bake */
        update rollout_members m set state = 'failed', failed_in_bake = true, reason = f.message, finished_at = $2
        from findings f
        where m.rollout_id = $1 and m.state = 'baking' and f.environment_id = m.environment_id
            and f.severity = 'critical' and f.resolved_at is null
            and f.first_seen_at >= coalesce(m.started_at, m.finished_at)"#,
        rollout.as_uuid(),
        now,
    );
    Ok(done.execute(tx).await?.rows_affected())
}
