//! Stores the waves of rollouts.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{DbError, PgPool, Result, parse_json, parse_text};
use crate::operation::Requester;
use crate::rollout::{MemberState, RolloutWave, WaveApproval};
use crate::{RolloutId, WaveName};

/// Converts the number of a wave to its type in the database.
fn to_number(wave: usize) -> Result<i16> {
    i16::try_from(wave).map_err(|_| DbError::UnexpectedValue("the number of a wave".to_owned()))
}

/// New wave of a rollout.
pub(super) struct InsertedWave<'a> {
    pub(super) number: usize,
    pub(super) name: &'a WaveName,
    /// Hash to which the approval is bound; `None` if the wave needs none.
    pub(super) approval_sha256: Option<&'a str>,
}

pub(super) async fn insert(tx: &mut PgConnection, rollout: RolloutId, wave: &InsertedWave<'_>) -> Result<()> {
    sqlx::query!(
        r#"/* db::rollout_waves::insert */
        insert into rollout_waves (rollout_id, number, name, approval_sha256) values ($1, $2, $3, $4)"#,
        rollout.as_uuid(),
        to_number(wave.number)?,
        wave.name.as_str(),
        wave.approval_sha256,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Times and approval of a wave.
pub(super) struct WaveTimes {
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) bake_until: Option<DateTime<Utc>>,
    pub(super) finished_at: Option<DateTime<Utc>>,
    pub(super) approval_sha256: Option<String>,
    pub(super) is_approved: bool,
    /// Whether a person has ended the bake early.
    pub(super) is_promoted: bool,
    /// Whether another wave follows.
    pub(super) has_next: bool,
}

/// Returns the times of a wave, or `None` if the rollout has no such wave.
pub(super) async fn times(tx: &mut PgConnection, rollout: RolloutId, wave: usize) -> Result<Option<WaveTimes>> {
    let row = sqlx::query_as!(
        WaveTimes,
        r#"/* db::rollout_waves::times */
        select started_at, bake_until, finished_at, approval_sha256, approved_at is not null as "is_approved!",
            promotion_reason is not null as "is_promoted!",
            exists (
                select from rollout_waves n where n.rollout_id = w.rollout_id and n.number > w.number
            ) as "has_next!"
        from rollout_waves w where rollout_id = $1 and number = $2"#,
        rollout.as_uuid(),
        to_number(wave)?,
    );
    Ok(row.fetch_optional(tx).await?)
}

/// Records the start of a wave. Returns false if it had started before.
pub(super) async fn start(tx: &mut PgConnection, rollout: RolloutId, wave: usize, now: DateTime<Utc>) -> Result<bool> {
    let done = sqlx::query!(
        r#"/* db::rollout_waves::start */
        update rollout_waves set started_at = $3 where rollout_id = $1 and number = $2 and started_at is null"#,
        rollout.as_uuid(),
        to_number(wave)?,
        now,
    );
    Ok(done.execute(tx).await?.rows_affected() > 0)
}

/// Records that the updates of a wave have ended, and the end of its bake.
pub(super) async fn start_bake(
    tx: &mut PgConnection,
    rollout: RolloutId,
    wave: usize,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::rollout_waves::start_bake */
        update rollout_waves set updated_at = coalesce(updated_at, $4), bake_until = $3
        where rollout_id = $1 and number = $2"#,
        rollout.as_uuid(),
        to_number(wave)?,
        until,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Records that a person ends the bake of a wave now.
pub(super) async fn promote(
    tx: &mut PgConnection,
    rollout: RolloutId,
    wave: usize,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::rollout_waves::promote */
        update rollout_waves set updated_at = coalesce(updated_at, $4), bake_until = $4, promotion_reason = $3
        where rollout_id = $1 and number = $2"#,
        rollout.as_uuid(),
        to_number(wave)?,
        reason,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Records the end of a wave. Returns false if it had ended before.
pub(super) async fn finish(tx: &mut PgConnection, rollout: RolloutId, wave: usize, now: DateTime<Utc>) -> Result<bool> {
    let done = sqlx::query!(
        r#"/* db::rollout_waves::finish */
        update rollout_waves set updated_at = coalesce(updated_at, $3), finished_at = $3
        where rollout_id = $1 and number = $2 and finished_at is null"#,
        rollout.as_uuid(),
        to_number(wave)?,
        now,
    );
    Ok(done.execute(tx).await?.rows_affected() > 0)
}

/// Deletes the ends of the waves that have waiting environments again. Their approvals and starts stay.
pub(super) async fn reopen(tx: &mut PgConnection, rollout: RolloutId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::rollout_waves::reopen */
        update rollout_waves w set updated_at = null, bake_until = null, finished_at = null, promotion_reason = null,
            -- The deadline of the wave counts from the retry.
            started_at = case when w.started_at is not null then $2::timestamptz end
        where w.rollout_id = $1 and exists (
            select from rollout_members m
            where m.rollout_id = w.rollout_id and m.wave = w.number and m.state = 'waiting'
        )"#,
        rollout.as_uuid(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Records the approval of a wave.
pub(super) async fn approve(
    tx: &mut PgConnection,
    rollout: RolloutId,
    wave: usize,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::rollout_waves::approve */
        update rollout_waves set approved_by = $3, approved_at = $4 where rollout_id = $1 and number = $2"#,
        rollout.as_uuid(),
        to_number(wave)?,
        json!(by),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the waves of a rollout with the numbers of their environments by state.
pub async fn list(pool: &PgPool, rollout: RolloutId) -> Result<Vec<RolloutWave>> {
    let rows = sqlx::query!(
        r#"/* db::rollout_waves::list */
        select number, name, started_at, updated_at, bake_until, promotion_reason, finished_at, approval_sha256,
            approved_by, approved_at
        from rollout_waves where rollout_id = $1 order by number"#,
        rollout.as_uuid(),
    );
    let rows = rows.fetch_all(pool).await?;
    let counts = sqlx::query!(
        r#"/* db::rollout_waves::list */
        select wave, state as "state: MemberState", count(*) as "count!" from rollout_members where rollout_id = $1
        group by wave, state order by wave, state"#,
        rollout.as_uuid(),
    );
    let counts = counts.fetch_all(pool).await?;
    rows.into_iter()
        .map(|row| {
            let by = row.approved_by.map(|by| parse_json(by, "the approver of a wave")).transpose()?;
            let of_wave = counts.iter().filter(|count| count.wave == row.number);
            Ok(RolloutWave {
                number: usize::try_from(row.number).unwrap_or(0),
                name: parse_text(row.name)?,
                started_at: row.started_at,
                updated_at: row.updated_at,
                bake_until: row.bake_until,
                promotion_reason: row.promotion_reason,
                finished_at: row.finished_at,
                approval_sha256: row.approval_sha256,
                approval: by.zip(row.approved_at).map(|(by, at)| WaveApproval { by, at }),
                counts: of_wave.map(|count| (count.state, count.count)).collect(),
            })
        })
        .collect()
}
