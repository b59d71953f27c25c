//! Stores the environments of rollouts.

mod alarms;
mod outcomes;
mod summary;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{DbError, PgPool, Result, parse_text};
use crate::rollout::{Member, MemberState, RolloutMember};
use crate::{EnvironmentId, OperationId, ReleaseId, RolloutId, TenantId};

pub use alarms::{BakingMember, claim_alarms, record_alarms_read};
pub(super) use alarms::{count_unread_alarms, fail_by_alarm};
pub(super) use outcomes::{EndedUpdate, ended_updates, fail_in_bake, unblock};
pub use summary::{failures, releases};

/// Converts the number of a wave to its type in the database.
fn to_number(wave: usize) -> Result<i16> {
    i16::try_from(wave).map_err(|_| DbError::UnexpectedValue("the number of a wave".to_owned()))
}

/// Inserts the environments of a wave in the order of their updates.
pub(super) async fn insert(tx: &mut PgConnection, rollout: RolloutId, wave: usize, members: &[Member]) -> Result<()> {
    let environments: Vec<Uuid> = members.iter().map(|member| member.environment_id.as_uuid()).collect();
    let releases: Vec<Option<Uuid>> =
        members.iter().map(|member| member.previous_release.map(ReleaseId::as_uuid)).collect();
    sqlx::query!(
        r#"/* db::rollout_members::insert */
        insert into rollout_members (rollout_id, environment_id, wave, position, previous_release_id, state)
        select $1, m.environment_id, $2, m.n - 1, m.release_id, 'waiting'
        from unnest($3::uuid[], $4::uuid[]) with ordinality as m (environment_id, release_id, n)"#,
        rollout.as_uuid(),
        to_number(wave)?,
        &environments,
        &releases as &[Option<Uuid>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Numbers of environments by state.
pub(super) struct MemberCounts {
    pub(super) waiting: i64,
    /// Those of `waiting` that can be started now.
    pub(super) startable: i64,
    pub(super) updating: i64,
    pub(super) failed: i64,
    pub(super) failed_in_bake: i64,
    pub(super) next_check_at: Option<DateTime<Utc>>,
    /// Highest number of a wave with waiting environments.
    pub(super) last_waiting_wave: Option<i16>,
}

/// Counts the environments of a wave, or of all waves.
pub(super) async fn count(
    tx: &mut PgConnection,
    rollout: RolloutId,
    wave: Option<usize>,
    now: DateTime<Utc>,
) -> Result<MemberCounts> {
    let counts = sqlx::query_as!(
        MemberCounts,
        r#"/* db::rollout_members::count */
        select count(*) filter (where state = 'waiting') as "waiting!",
            count(*) filter (
                where state = 'waiting' and blocked_by is null and (check_at is null or check_at <= $3)
            ) as "startable!",
            count(*) filter (where state = 'updating') as "updating!",
            count(*) filter (where state = 'failed' and not failed_in_bake) as "failed!",
            count(*) filter (where state = 'failed' and failed_in_bake) as "failed_in_bake!",
            min(check_at) filter (where state = 'waiting' and blocked_by is null and check_at > $3) as next_check_at,
            max(wave) filter (where state = 'waiting') as last_waiting_wave
        from rollout_members where rollout_id = $1 and ($2::smallint is null or wave = $2)"#,
        rollout.as_uuid(),
        wave.map(to_number).transpose()?,
        now,
    );
    Ok(counts.fetch_one(tx).await?)
}

/// Environment whose update can be started.
pub(super) struct StartableMember {
    pub(super) environment_id: EnvironmentId,
    pub(super) tenant_id: TenantId,
    pub(super) wave: i16,
    pub(super) previous_release_id: Option<ReleaseId>,
    /// Latest update of the environment in the rollout.
    pub(super) operation_id: Option<OperationId>,
    /// Open operation of the environment that waits for a person, with its message.
    pub(super) parked_operation: Option<(OperationId, String)>,
}

/// Row of a startable environment, as the query reads it.
struct StartableRow {
    environment_id: Uuid,
    tenant_id: Uuid,
    wave: i16,
    previous_release_id: Option<Uuid>,
    operation_id: Option<Uuid>,
    parked_id: Option<Uuid>,
    parked_message: Option<String>,
}

/// Returns at most `limit` environments that can be started now: those of a wave in its order, or those of all waves in
/// reverse order.
pub(super) async fn startable(
    tx: &mut PgConnection,
    rollout: RolloutId,
    wave: Option<usize>,
    limit: u32,
    now: DateTime<Utc>,
) -> Result<Vec<StartableMember>> {
    let rows = sqlx::query_as!(
        StartableRow,
        r#"/* db::rollout_members::startable */
        select m.environment_id, e.tenant_id, m.wave, m.previous_release_id, m.operation_id, o.id as "parked_id?",
            o.attention_message as parked_message
        from rollout_members m join environments e on e.id = m.environment_id
            left join operations o on o.environment_id = e.id and o.state = 'needs_attention'
        where m.rollout_id = $1 and m.state = 'waiting' and m.blocked_by is null
            and (m.check_at is null or m.check_at <= $4) and ($2::smallint is null or m.wave = $2)
        order by case when $2 is null then -m.wave else m.wave end,
            case when $2 is null then -m.position else m.position end
        limit $3"#,
        rollout.as_uuid(),
        wave.map(to_number).transpose()?,
        i64::from(limit),
        now,
    );
    let to_member = |row: StartableRow| StartableMember {
        environment_id: row.environment_id.into(),
        tenant_id: row.tenant_id.into(),
        wave: row.wave,
        previous_release_id: row.previous_release_id.map(ReleaseId::from),
        operation_id: row.operation_id.map(OperationId::from),
        parked_operation: row.parked_id.map(|id| (id.into(), row.parked_message.unwrap_or_default())),
    };
    Ok(rows.fetch_all(tx).await?.into_iter().map(to_member).collect())
}

/// Change of an environment that waits, or whose update has ended.
#[derive(Debug, Clone, Default)]
pub(super) struct MemberChange<'a> {
    /// New state; `None` if the environment keeps waiting.
    pub(super) state: Option<MemberState>,
    pub(super) reason: Option<&'a str>,
    /// Update that has started.
    pub(super) started: Option<OperationId>,
    /// Operation that must end before the update starts.
    pub(super) blocked_by: Option<OperationId>,
    /// Time at which the update can start.
    pub(super) check_at: Option<DateTime<Utc>>,
    pub(super) failed_in_bake: bool,
}

/// Writes the change of one environment.
pub(super) async fn change(
    tx: &mut PgConnection,
    rollout: RolloutId,
    environment: EnvironmentId,
    change: &MemberChange<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    let is_ended = change.state.is_some_and(|state| !matches!(state, MemberState::Waiting | MemberState::Updating));
    sqlx::query!(
        r#"/* db::rollout_members::change */
        update rollout_members set state = coalesce($3, state), reason = $4, operation_id = coalesce($5, operation_id),
            started_at = case when $5::uuid is not null then $8 else started_at end,
            blocked_by = $6, check_at = $7, failed_in_bake = $9,
            finished_at = case when $10 then $8::timestamptz end
        where rollout_id = $1 and environment_id = $2"#,
        rollout.as_uuid(),
        environment.as_uuid(),
        change.state.map(MemberState::as_str),
        change.reason,
        change.started.map(OperationId::as_uuid),
        change.blocked_by.map(OperationId::as_uuid),
        change.check_at,
        now,
        change.failed_in_bake,
        is_ended,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Replaces one state of all environments of a rollout, or of one wave, with another, and writes the reason of
/// the new state.
pub(super) async fn replace_state(
    tx: &mut PgConnection,
    rollout: RolloutId,
    wave: Option<usize>,
    [from, to]: [MemberState; 2],
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<u64> {
    let done = sqlx::query!(
        r#"/* db::rollout_members::replace_state */
        update rollout_members set state = $4, reason = $5, blocked_by = null, check_at = null, failed_in_bake = false,
            finished_at = case when $4 <> 'waiting' then coalesce(finished_at, $6) end
        where rollout_id = $1 and ($2::smallint is null or wave = $2) and state = $3"#,
        rollout.as_uuid(),
        wave.map(to_number).transpose()?,
        from.as_str(),
        to.as_str(),
        reason,
        now,
    );
    Ok(done.execute(tx).await?.rows_affected())
}

/// Makes the environments wait again whose update was ever started, also if it has failed or its retry was skipped.
pub(super) async fn queue_rollback(tx: &mut PgConnection, rollout: RolloutId, reason: &str) -> Result<u64> {
    let done = sqlx::query!(
        r#"/* db::rollout_members::queue_rollback */
        update rollout_members set state = 'waiting', reason = $2, blocked_by = null, check_at = null,
            failed_in_bake = false, finished_at = null
        where rollout_id = $1 and state in ('baking', 'succeeded', 'failed', 'skipped') and started_at is not null"#,
        rollout.as_uuid(),
        reason,
    );
    Ok(done.execute(tx).await?.rows_affected())
}

/// Returns the first wave with an environment in a state.
pub(super) async fn first_wave_in(
    tx: &mut PgConnection,
    rollout: RolloutId,
    state: MemberState,
) -> Result<Option<usize>> {
    let wave = sqlx::query_scalar!(
        r#"/* db::rollout_members::first_wave_in */
        select min(wave) from rollout_members where rollout_id = $1 and state = $2"#,
        rollout.as_uuid(),
        state.as_str(),
    );
    Ok(wave.fetch_one(tx).await?.and_then(|wave| usize::try_from(wave).ok()))
}

/// Filter of the environments in [`page`].
#[derive(Debug, Clone, Copy, Default)]
pub struct MemberFilter {
    pub wave: Option<usize>,
    pub state: Option<MemberState>,
}

/// Returns at most `limit` environments of a rollout in the order of their updates, after the environment `after`.
pub async fn page(
    pool: &PgPool,
    rollout: RolloutId,
    filter: MemberFilter,
    after: Option<EnvironmentId>,
    limit: i64,
) -> Result<Vec<RolloutMember>> {
    let rows = sqlx::query!(
        r#"/* db::rollout_members::page */
        -- The page is taken before the join: without statistics, PostgreSQL would join all members and sort them.
        with page as materialized (
            select * from rollout_members m
            where m.rollout_id = $1 and ($2::smallint is null or m.wave = $2) and ($3::text is null or m.state = $3)
                and ($4::uuid is null or (m.wave, m.position) > (
                    select a.wave, a.position from rollout_members a where a.rollout_id = $1 and a.environment_id = $4
                ))
            order by m.wave, m.position limit $5
        )
        select m.environment_id as "environment_id!", e.name, e.tenant_id, m.wave as "wave!", m.position as "position!",
            m.previous_release_id, m.state as "state!: MemberState", m.reason, m.operation_id, m.started_at,
            m.finished_at
        from page m join environments e on e.id = m.environment_id order by m.wave, m.position"#,
        rollout.as_uuid(),
        filter.wave.map(to_number).transpose()?,
        filter.state.map(MemberState::as_str),
        after.map(EnvironmentId::as_uuid),
        limit,
    );
    rows.fetch_all(pool)
        .await?
        .into_iter()
        .map(|row| {
            Ok(RolloutMember {
                environment_id: row.environment_id.into(),
                environment_name: parse_text(row.name)?,
                tenant_id: row.tenant_id.into(),
                wave: usize::try_from(row.wave).unwrap_or(0),
                position: row.position,
                previous_release_id: row.previous_release_id.map(ReleaseId::from),
                state: row.state,
                reason: row.reason,
                operation_id: row.operation_id.map(OperationId::from),
                started_at: row.started_at,
                finished_at: row.finished_at,
            })
        })
        .collect()
}
