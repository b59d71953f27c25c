//! Stores fleet holds: starts a hold, queues operations while it is active, lets one operation probe, and lifts the
//! hold.

pub mod templates;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::fence::{Claim, begin_fenced};
use super::quotas::QuotaSlot;
use super::{PgPool, Result, vending, workers};
use crate::OperationId;
use crate::fleet_hold::{ALL_WORK, FleetHold, HoldKind};
use crate::operation::{Operation, OperationState};
use crate::quota::Quota;
use crate::vending::{AccountCeilings, VendingStop};

/// Interval between the wake-ups of queued operations, so that they keep their order. It causes no delay, because AWS
/// allows only one account creation every ten seconds.
pub const WAKE_SPACING: TimeDelta = TimeDelta::milliseconds(500);

/// Delay before the next probe: `first` after the first refusal, doubled after each failed probe, at most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeBackoff {
    pub first: TimeDelta,
    pub max: TimeDelta,
}

impl ProbeBackoff {
    fn after(self, probes: i32) -> TimeDelta {
        let doubled = 2_i32.saturating_pow(probes.clamp(0, 16).unsigned_abs());
        (self.first * doubled).min(self.max)
    }
}

/// Result of recording that AWS refused a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldStarted {
    /// Whether this refusal has started the hold.
    pub is_new: bool,
    /// Time of the next probe.
    pub probe_at: DateTime<Utc>,
}

/// Result of [`admit`], which decides whether an operation may make the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// No fleet hold is active, so the operation may make the call.
    Free,
    /// A fleet hold is active, and this operation makes the call as a probe.
    Probe,
    /// A fleet hold is active, and the operation is queued.
    Held {
        kind: HoldKind,
        /// Time of the next probe.
        probe_at: DateTime<Utc>,
        /// Number of operations ahead in the queue.
        ahead: i64,
    },
    /// An operator has paused vending, or a configured maximum is reached. The operation is queued.
    Stopped(VendingStop),
}

/// Records that AWS refused the call for which `slot` was granted. Starts a hold, or postpones the next probe if this
/// operation was the probe. The operation keeps its position in the queue.
pub async fn start(
    pool: &PgPool,
    claim: &Claim,
    slot: &QuotaSlot,
    kind: HoldKind,
    pause: ProbeBackoff,
    now: DateTime<Utc>,
) -> Result<HoldStarted> {
    let mut tx = begin_fenced(pool, claim).await?;
    enqueue(&mut tx, claim, slot, now).await?;
    let before = sqlx::query!(
        r#"/* db::fleet_holds::start */
        select probe_at, probes, probing_operation from fleet_holds where quota = $1 for update"#,
        slot.quota.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let started = match before {
        None => {
            let probe_at = now + pause.after(0);
            let inserted = sqlx::query!(
                r#"/* db::fleet_holds::start */
                insert into fleet_holds (quota, kind, started_at, probe_at) values ($1, $2, $3, $4)
                    on conflict do nothing"#,
                slot.quota.as_str(),
                kind.as_str(),
                now,
                probe_at,
            );
            HoldStarted { is_new: inserted.execute(&mut *tx).await?.rows_affected() == 1, probe_at }
        }
        Some(hold) if hold.probing_operation == Some(claim.operation_id.as_uuid()) => {
            let probe_at = now + pause.after(hold.probes + 1);
            sqlx::query!(
                r#"/* db::fleet_holds::start */
                update fleet_holds set kind = $2, probe_at = $3, probes = probes + 1,
                    probing_operation = null, probing_until = null
                where quota = $1"#,
                slot.quota.as_str(),
                kind.as_str(),
                probe_at,
            )
            .execute(&mut *tx)
            .await?;
            HoldStarted { is_new: false, probe_at }
        }
        Some(hold) => HoldStarted { is_new: false, probe_at: hold.probe_at },
    };
    tx.commit().await?;
    Ok(started)
}

/// Admits an operation, makes it the probe of an active hold, or queues it.
///
/// As soon as a probe is due, the first operation in the queue becomes the probe and remains it until `until` at the
/// latest. If the first operation does not run, any operation can become the probe after the additional delay
/// `takeover_delay`. Also queues the operation if an operator has paused vending or a maximum of `ceilings` is reached.
pub async fn admit(
    pool: &PgPool,
    claim: &Claim,
    slot: &QuotaSlot,
    until: DateTime<Utc>,
    takeover_delay: TimeDelta,
    ceilings: AccountCeilings,
    now: DateTime<Utc>,
) -> Result<Admission> {
    let mut connection = pool.acquire().await?;
    let stop = vending::stop_reason(&mut connection, ceilings, Some(claim.operation_id), now).await?;
    drop(connection);
    if let Some(stop) = stop {
        let mut tx = begin_fenced(pool, claim).await?;
        enqueue(&mut tx, claim, slot, now).await?;
        tx.commit().await?;
        return Ok(Admission::Stopped(stop));
    }
    // Usually there is no hold.
    let held = sqlx::query_scalar!(
        r#"/* db::fleet_holds::admit */ select exists (select from fleet_holds where quota = $1) as "held!""#,
        slot.quota.as_str(),
    );
    if !held.fetch_one(pool).await? {
        return Ok(Admission::Free);
    }
    let mut tx = begin_fenced(pool, claim).await?;
    let hold = sqlx::query!(
        r#"/* db::fleet_holds::admit */
        select kind as "kind: HoldKind", probe_at, probing_operation, probing_until
        from fleet_holds where quota = $1 for update"#,
        slot.quota.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(hold) = hold else {
        tx.rollback().await?;
        return Ok(Admission::Free);
    };
    let is_probe = hold.probing_operation == Some(claim.operation_id.as_uuid());
    let ahead = if is_probe { 0 } else { enqueue(&mut tx, claim, slot, now).await? };
    let other_is_probing = !is_probe && hold.probing_until.is_some_and(|until| now < until);
    let is_due = now >= hold.probe_at && (ahead == 0 || now >= hold.probe_at + takeover_delay);
    let admission = if is_probe || (is_due && !other_is_probing) {
        sqlx::query!(
            r#"/* db::fleet_holds::admit */
            with probe as (update fleet_holds set probing_operation = $2, probing_until = $3 where quota = $1)
            update slots set granted_at = coalesce(granted_at, $4) where quota = $1 and operation_id = $2
                and item = $5"#,
            slot.quota.as_str(),
            claim.operation_id.as_uuid(),
            until,
            now,
            slot.item,
        )
        .execute(&mut *tx)
        .await?;
        Admission::Probe
    } else {
        Admission::Held { kind: hold.kind, probe_at: hold.probe_at, ahead }
    };
    tx.commit().await?;
    Ok(admission)
}

/// Queues the operation without a slot, at its previous position if it had one. Returns the number of operations ahead.
async fn enqueue(tx: &mut PgConnection, claim: &Claim, slot: &QuotaSlot, now: DateTime<Utc>) -> Result<i64> {
    sqlx::query!(
        r#"/* db::fleet_holds::enqueue */
        insert into slots (quota, operation_id, item, requested_at, step, queued_at)
        select $1, id, $3, $4, $5, created_at from operations where id = $2
        on conflict (quota, operation_id, item) do update set granted_at = null, step = excluded.step"#,
        slot.quota.as_str(),
        claim.operation_id.as_uuid(),
        slot.item,
        now,
        slot.step.as_str(),
    )
    .execute(&mut *tx)
    .await?;
    let ahead = sqlx::query_scalar!(
        r#"/* db::fleet_holds::enqueue */
        select count(*) as "ahead!" from slots mine join slots ahead on ahead.quota = mine.quota
        where mine.quota = $1 and mine.operation_id = $2 and mine.item = $3 and ahead.granted_at is null
            and (ahead.queued_at, ahead.operation_id, ahead.item) < (mine.queued_at, mine.operation_id, mine.item)"#,
        slot.quota.as_str(),
        claim.operation_id.as_uuid(),
        slot.item,
    );
    Ok(ahead.fetch_one(tx).await?)
}

/// Lifts the fleet hold on `quota` if this operation is its probe. If `only` is given, lifts only a hold of that kind.
/// Returns the kind of the lifted hold.
pub async fn lift(pool: &PgPool, claim: &Claim, quota: Quota, only: Option<HoldKind>) -> Result<Option<HoldKind>> {
    let lifted = sqlx::query_scalar!(
        r#"/* db::fleet_holds::lift */
        delete from fleet_holds where quota = $1 and probing_operation = $2 and ($3::text is null or kind = $3)
        returning kind as "kind: HoldKind""#,
        quota.as_str(),
        claim.operation_id.as_uuid(),
        only.map(HoldKind::as_str),
    );
    Ok(lifted.fetch_optional(pool).await?)
}

/// Ends the probe of this operation, so that the next operation in the queue can probe. Returns whether this operation
/// was the probe.
pub async fn end_probe(pool: &PgPool, claim: &Claim, quota: Quota) -> Result<bool> {
    let done = sqlx::query!(
        r#"/* db::fleet_holds::end_probe */
        update fleet_holds set probing_operation = null, probing_until = null where quota = $1
            and probing_operation = $2"#,
        quota.as_str(),
        claim.operation_id.as_uuid(),
    );
    Ok(done.execute(pool).await?.rows_affected() == 1)
}

/// Wakes the first `limit` operations in the queue of `quota`, with an interval of `apart` between two wake-ups.
/// Returns their number.
pub async fn wake_in_order(
    pool: &PgPool,
    quota: Quota,
    limit: u16,
    apart: TimeDelta,
    now: DateTime<Utc>,
) -> Result<u64> {
    let woken = sqlx::query!(
        r#"/* db::fleet_holds::wake_in_order */
        with line as (
            select operation_id, step, $3::timestamptz
                + $4::float8 * interval '1 second' * (row_number() over (order by queued_at, operation_id, item) - 1) as at
            from slots where quota = $1 and granted_at is null
            order by queued_at, operation_id, item limit $2
        ),
        step as (
            update operation_steps s set check_at = line.at from line
            where s.operation_id = line.operation_id and s.name = line.step and s.state = 'waiting'
                and s.check_at > line.at
        )
        update operations o set wake_at = line.at from line where o.id = line.operation_id and o.wake_at > line.at"#,
        quota.as_str(),
        i64::from(limit),
        now,
        apart.as_seconds_f64(),
    )
    .execute(pool)
    .await?;
    Ok(woken.rows_affected())
}

/// Returns all active fleet holds. The hold on all work comes first.
pub async fn list_active(pool: &PgPool) -> Result<Vec<FleetHold>> {
    let rows = sqlx::query!(
        r#"/* db::fleet_holds::list_active */
        select quota, kind as "kind: HoldKind", started_at, probe_at, probing_operation,
            detail,
            (select count(distinct operation_id) from slots s where s.quota = h.quota and granted_at is null)
                as "waiting!"
        from fleet_holds h order by quota"#,
    )
    .fetch_all(pool)
    .await?;
    let on_quotas = rows.into_iter().map(|row| FleetHold {
        quota: row.quota,
        kind: row.kind,
        detail: row.detail,
        started_at: row.started_at,
        probe_at: row.probe_at,
        probing_operation: row.probing_operation.map(Into::into),
        waiting: row.waiting,
    });
    Ok(on_all_work(pool).await?.into_iter().chain(on_quotas).collect())
}

/// Returns the hold on all work while no running worker can call AWS.
///
/// The hold is not stored but follows from the workers' checks, so no process has to lift it, and it cannot remain
/// after the worker that caused it has died. It stops no worker: a worker that cannot call AWS claims nothing by
/// itself.
pub async fn on_all_work(pool: &PgPool) -> Result<Option<FleetHold>> {
    let Some(outage) = workers::aws_access_outage(pool).await? else { return Ok(None) };
    let waiting = sqlx::query_scalar!(
        r#"/* db::fleet_holds::on_all_work */
        select count(*) as "count!" from operations where state in ('pending', 'running')"#
    );
    Ok(Some(FleetHold {
        quota: ALL_WORK.to_owned(),
        kind: HoldKind::WorkersWithoutAwsAccess,
        detail: Some(outage.error),
        started_at: outage.since,
        probe_at: outage.next_check_at,
        probing_operation: None,
        waiting: waiting.fetch_one(pool).await?,
    }))
}

/// Returns the fleet hold that stops each operation; operations that no hold stops are left out.
pub async fn of(pool: &PgPool, operations: &[&Operation]) -> Result<HashMap<OperationId, FleetHold>> {
    let is_open = |one: &&&Operation| matches!(one.state, OperationState::Pending | OperationState::Running);
    let open: Vec<_> = operations.iter().filter(is_open).map(|one| one.id).collect();
    if open.is_empty() {
        return Ok(HashMap::new());
    }
    let holds = list_active(pool).await?;
    if let Some(hold) = holds.iter().find(|hold| hold.quota == ALL_WORK) {
        return Ok(open.into_iter().map(|id| (id, hold.clone())).collect());
    }
    if holds.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<_> = open.iter().map(|id| id.as_uuid()).collect();
    let queued = sqlx::query!(
        r#"/* db::fleet_holds::of */
        select distinct operation_id, quota from slots where operation_id = any($1) and granted_at is null"#,
        &ids,
    );
    let queued = queued.fetch_all(pool).await?.into_iter();
    Ok(queued
        .filter_map(|row| {
            let hold = holds.iter().find(|hold| hold.quota == row.quota)?;
            Some((row.operation_id.into(), hold.clone()))
        })
        .collect())
}
