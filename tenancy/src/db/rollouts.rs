//! Stores the rollouts: claims, reads and changes of state. [`super::lifecycle`] has their transitions.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{DbError, PgPool, Result, parse_json};
use crate::operation::Requester;
use crate::rollout::{Rollout, RolloutPlan, RolloutState};
use crate::{PlanName, ReleaseId, RolloutId};

/// Row of a rollout, as the queries read it.
struct RolloutRow {
    id: Uuid,
    release_id: Uuid,
    plan_name: Option<String>,
    plan: Value,
    created_by: Value,
    created_at: DateTime<Utc>,
    state: RolloutState,
    wave: i16,
    since: DateTime<Utc>,
    reason: Option<String>,
    wake_at: Option<DateTime<Utc>>,
    made_default_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

impl RolloutRow {
    fn rollout(self) -> Result<Rollout> {
        Ok(Rollout {
            id: self.id.into(),
            release_id: self.release_id.into(),
            plan_name: self.plan_name,
            plan: parse_json(self.plan, "the plan of a rollout")?,
            created_by: parse_json(self.created_by, "the author of a rollout")?,
            created_at: self.created_at,
            state: self.state,
            wave: usize::try_from(self.wave).unwrap_or(0),
            since: self.since,
            reason: self.reason,
            wake_at: self.wake_at,
            has_made_default: self.made_default_at.is_some(),
            finished_at: self.finished_at,
            updated_at: self.updated_at,
        })
    }
}

/// Claim of a worker on a rollout. Writes that use the claim fail with [`DbError::LeaseLost`] once another worker has
/// claimed the rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutClaim {
    pub rollout_id: RolloutId,
    /// Fence of the rollout at the time of the claim.
    pub fence: i64,
}

/// Claims the rollout that is due, or returns `None`. A rollout is due at its wake-up, and as soon as an operation that
/// it waits for has ended or needs a person.
pub async fn claim_due(
    pool: &PgPool,
    worker: &str,
    now: DateTime<Utc>,
    lease: TimeDelta,
) -> Result<Option<RolloutClaim>> {
    let row = sqlx::query!(
        r#"/* db::rollouts::claim_due */
        with due as (
            select r.id from rollouts r
            where r.finished_at is null and (r.lease_until is null or r.lease_until <= $1) and (
                r.wake_at <= $1
                or exists (
                    select from rollout_members m join operations o on o.id = m.operation_id
                    where m.rollout_id = r.id and m.state = 'updating'
                        and (o.finished_at is not null or o.state = 'needs_attention')
                )
                or exists (
                    select from rollout_members m join operations o on o.id = m.blocked_by
                    where m.rollout_id = r.id and m.blocked_by is not null
                        and (o.finished_at is not null or o.state = 'needs_attention')
                )
            )
            limit 1 for no key update of r skip locked
        )
        update rollouts r set fence = r.fence + 1, leased_by = $2, lease_until = $3,
            -- Should the worker die, the rollout is due when the lease is over.
            wake_at = $3
        from due where r.id = due.id
        returning r.id, r.fence"#,
        now,
        worker,
        now + lease,
    );
    let row = row.fetch_optional(pool).await?;
    Ok(row.map(|row| RolloutClaim { rollout_id: row.id.into(), fence: row.fence }))
}

/// Unfinished rollout and its wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnfinishedRollout {
    pub id: RolloutId,
    /// Time at which a worker can claim the rollout; `None` if it waits for a person or for an operation.
    pub due_at: Option<DateTime<Utc>>,
}

/// Returns the unfinished rollout, or `None` if there is none.
pub async fn unfinished(pool: &PgPool) -> Result<Option<UnfinishedRollout>> {
    let row = sqlx::query!(
        r#"/* db::rollouts::unfinished */
        select id, greatest(wake_at, lease_until) as due_at from rollouts where finished_at is null"#,
    );
    let row = row.fetch_optional(pool).await?;
    Ok(row.map(|row| UnfinishedRollout { id: row.id.into(), due_at: row.due_at }))
}

/// Returns a rollout, or `None` if there is none with this id.
pub async fn find(pool: &PgPool, id: RolloutId) -> Result<Option<Rollout>> {
    let row = sqlx::query_as!(
        RolloutRow,
        r#"/* db::rollouts::find */
        select id, release_id, plan_name, plan, created_by, created_at, state as "state: RolloutState", wave, since,
            reason, wake_at, made_default_at, finished_at, updated_at
        from rollouts where id = $1"#,
        id.as_uuid(),
    );
    row.fetch_optional(pool).await?.map(RolloutRow::rollout).transpose()
}

/// Returns at most `limit` rollouts, the latest first, below the rollout `before`.
pub async fn list(pool: &PgPool, before: Option<RolloutId>, limit: i64) -> Result<Vec<Rollout>> {
    let rows = sqlx::query_as!(
        RolloutRow,
        r#"/* db::rollouts::list */
        select id, release_id, plan_name, plan, created_by, created_at, state as "state: RolloutState", wave, since,
            reason, wake_at, made_default_at, finished_at, updated_at
        from rollouts where $1::uuid is null or id < $1 order by id desc limit $2"#,
        before.map(RolloutId::as_uuid),
        limit,
    );
    rows.fetch_all(pool).await?.into_iter().map(RolloutRow::rollout).collect()
}

/// Locks and returns a rollout. With the fence of a claim, fails with [`DbError::LeaseLost`] if another worker has
/// claimed it.
pub(super) async fn lock(tx: &mut PgConnection, id: RolloutId, fence: Option<i64>) -> Result<Option<Rollout>> {
    let row = sqlx::query_as!(
        RolloutRow,
        r#"/* db::rollouts::lock */
        select id, release_id, plan_name, plan, created_by, created_at, state as "state: RolloutState", wave, since,
            reason, wake_at, made_default_at, finished_at, updated_at
        from rollouts where id = $1 and ($2::bigint is null or fence = $2) for no key update"#,
        id.as_uuid(),
        fence,
    );
    let row = row.fetch_optional(tx).await?;
    if row.is_none() && fence.is_some() {
        return Err(DbError::LeaseLost);
    }
    row.map(RolloutRow::rollout).transpose()
}

/// Returns the id of the unfinished rollout in the transaction of the caller.
pub(super) async fn unfinished_in_tx(tx: &mut PgConnection) -> Result<Option<RolloutId>> {
    let id =
        sqlx::query_scalar!("/* db::rollouts::unfinished_in_tx */ select id from rollouts where finished_at is null");
    Ok(id.fetch_optional(tx).await?.map(RolloutId::from))
}

/// Returns the id of the rollout that was created last.
pub(super) async fn latest_in_tx(tx: &mut PgConnection) -> Result<Option<RolloutId>> {
    let id = sqlx::query_scalar!(
        "/* db::rollouts::latest_in_tx */ select id from rollouts order by created_at desc, id desc limit 1"
    );
    Ok(id.fetch_optional(tx).await?.map(RolloutId::from))
}

/// Fields of a new rollout.
pub(super) struct InsertedRollout<'a> {
    pub(super) id: RolloutId,
    pub(super) release: ReleaseId,
    pub(super) plan_name: Option<&'a PlanName>,
    pub(super) plan: &'a RolloutPlan,
    pub(super) by: &'a Requester,
}

/// Inserts a rollout that is due now. Returns false if another one has not finished.
pub(super) async fn insert(tx: &mut PgConnection, new: &InsertedRollout<'_>, now: DateTime<Utc>) -> Result<bool> {
    let done = sqlx::query!(
        r#"/* db::rollouts::insert */
        insert into rollouts (id, release_id, plan_name, plan, created_by, created_at, state, since, wake_at,
            updated_at)
        values ($1, $2, $3, $4, $5, $6, 'pending', $6, $6, $6)
        on conflict do nothing"#,
        new.id.as_uuid(),
        new.release.as_uuid(),
        new.plan_name.map(PlanName::as_str),
        json!(new.plan),
        json!(new.by),
        now,
    );
    Ok(done.execute(tx).await?.rows_affected() > 0)
}

/// New state of a rollout.
#[derive(Debug, Clone, Copy)]
pub(super) struct StateChange<'a> {
    pub(super) state: RolloutState,
    pub(super) wave: usize,
    pub(super) reason: Option<&'a str>,
    pub(super) is_finished: bool,
    /// Next wake-up; `None` if the rollout waits for a person.
    pub(super) wake_at: Option<DateTime<Utc>>,
    /// Whether the worker that has claimed the rollout releases it.
    pub(super) releases_claim: bool,
}

/// Writes the state of a rollout. The caller must have locked the rollout.
pub(super) async fn write_state(
    tx: &mut PgConnection,
    id: RolloutId,
    change: &StateChange<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    let wave = i16::try_from(change.wave).map_err(|_| DbError::UnexpectedValue("the number of a wave".to_owned()))?;
    sqlx::query!(
        r#"/* db::rollouts::write_state */
        update rollouts set since = case when state = $2 then since else $3 end, state = $2, wave = $4, reason = $5,
            finished_at = case when $6 then coalesce(finished_at, $3) end, wake_at = $7, updated_at = $3,
            lease_until = case when not $8 then lease_until end, leased_by = case when not $8 then leased_by end
        where id = $1"#,
        id.as_uuid(),
        change.state.as_str(),
        now,
        wave,
        change.reason,
        change.is_finished,
        change.wake_at,
        change.releases_claim,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Records that the release became the default. The default before is kept for a rollback.
pub(super) async fn record_default(
    tx: &mut PgConnection,
    id: RolloutId,
    before: Option<ReleaseId>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::rollouts::record_default */
        update rollouts set made_default_at = $2, default_before = $3 where id = $1"#,
        id.as_uuid(),
        now,
        before.map(ReleaseId::as_uuid),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Clears the record of [`record_default`] and returns the default before; `None` if the release was not made the
/// default.
pub(super) async fn take_default(tx: &mut PgConnection, id: RolloutId) -> Result<Option<Option<ReleaseId>>> {
    let row = sqlx::query!(
        r#"/* db::rollouts::take_default */
        with before as (select id, default_before from rollouts where id = $1 and made_default_at is not null)
        update rollouts r set made_default_at = null, default_before = null from before where r.id = before.id
        returning before.default_before"#,
        id.as_uuid(),
    );
    Ok(row.fetch_optional(tx).await?.map(|row| row.default_before.map(ReleaseId::from)))
}

/// Makes the unfinished rollout due now, for example because a change freeze has ended.
pub async fn wake(pool: &PgPool, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::rollouts::wake */
        update rollouts set wake_at = least(wake_at, $1)
        where finished_at is null and wake_at is not null and lease_until is null"#,
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}
