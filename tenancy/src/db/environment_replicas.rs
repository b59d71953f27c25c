//! Stores the replica regions of environments.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{DbError, PgPool, Result, parse_text};
use crate::environment::Environment;
use crate::replica::{Replica, ReplicaSlot, ReplicaState};
use crate::{EnvironmentId, OperationId, Region};

/// Replicas of new environments, as arrays for one statement.
#[derive(Debug, Default)]
pub(super) struct ReplicaColumns {
    pub(super) environments: Vec<Uuid>,
    pub(super) slots: Vec<i16>,
    pub(super) regions: Vec<String>,
}

impl ReplicaColumns {
    pub(super) fn of(environments: &[Environment]) -> Self {
        let mut columns = Self::default();
        for (environment, replica) in environments.iter().flat_map(|one| one.replicas.iter().map(move |r| (one, r))) {
            columns.environments.push(environment.id.as_uuid());
            columns.slots.push(replica.slot.number());
            columns.regions.push(replica.region.to_string());
        }
        columns
    }
}

/// Inserts replicas of an environment, in the state in which they are requested.
pub(super) async fn insert(tx: &mut PgConnection, environment: EnvironmentId, replicas: &[Replica]) -> Result<()> {
    for replica in replicas {
        sqlx::query!(
            r#"/* db::environment_replicas::insert */
            insert into environment_replicas (environment_id, slot, region, created_at, state, since)
            values ($1, $2, $3, $4, $5, $4)"#,
            environment.as_uuid(),
            replica.slot.number(),
            replica.region.as_str(),
            replica.since,
            replica.state.as_str(),
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Returns the replicas of each environment, in the order of their slots.
pub(super) async fn of_environments(
    pool: &PgPool,
    environments: &[Uuid],
) -> Result<HashMap<EnvironmentId, Vec<Replica>>> {
    let rows = sqlx::query!(
        r#"/* db::environment_replicas::of_environments */
        select r.environment_id, r.slot, r.region, s.stack_id as "stack_id?", s.release_id as "release_id?",
            r.url, r.ready_at, r.leaving_at,
            case when f.message is not null then f.first_seen_at else r.since end as "since!",
            coalesce(f.message, r.message) as message,
            case
                when r.leaving_at is not null then 'leaving'
                when f.message is not null then 'failed'
                else r.state
            end as "state!: ReplicaState"
        from environment_replicas r
        left join lateral (
            -- Reconcile has found the stack missing or broken since it was verified.
            select f.message, f.first_seen_at from findings f
            where f.environment_id = r.environment_id and f.resolved_at is null and r.state = 'ready'
                and f.kind in ('stack_missing', 'stack_failed') and f.subject like '%/' || r.region || '/%'
            order by f.id limit 1
        ) f on true
        left join environment_stacks s on s.environment_id = r.environment_id and s.region = r.region
            and s.kind = 'tenant' and s.state <> 'deleted'
        where r.environment_id = any($1) order by r.environment_id, r.slot"#,
        environments,
    )
    .fetch_all(pool)
    .await?;
    let mut replicas: HashMap<EnvironmentId, Vec<Replica>> = HashMap::new();
    for row in rows {
        replicas.entry(row.environment_id.into()).or_default().push(Replica {
            slot: parse_slot(row.slot)?,
            region: parse_text(row.region)?,
            state: row.state,
            since: row.since,
            message: row.message,
            stack_id: row.stack_id,
            release: row.release_id.map(Into::into),
            url: row.url,
            ready_at: row.ready_at,
            leaving_at: row.leaving_at,
        });
    }
    Ok(replicas)
}

/// Locks and returns the replicas of an environment, in the order of their slots, without the ARNs of their stacks.
pub(super) async fn lock(tx: &mut PgConnection, environment: EnvironmentId) -> Result<Vec<Replica>> {
    let rows = sqlx::query!(
        r#"/* db::environment_replicas::lock */
        select slot, region, since, message, url, ready_at, leaving_at,
            case when leaving_at is null then state else 'leaving' end as "state!: ReplicaState"
        from environment_replicas where environment_id = $1 order by slot for no key update"#,
        environment.as_uuid(),
    );
    let rows = rows.fetch_all(tx).await?.into_iter();
    rows.map(|row| {
        Ok(Replica {
            slot: parse_slot(row.slot)?,
            region: parse_text(row.region)?,
            state: row.state,
            since: row.since,
            message: row.message,
            stack_id: None,
            release: None,
            url: row.url,
            ready_at: row.ready_at,
            leaving_at: row.leaving_at,
        })
    })
    .collect()
}

/// Sets the time at which a removed replica leaves, or keeps the replica if `leaving_at` is `None`.
pub(super) async fn set_leaving(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    slot: ReplicaSlot,
    leaving_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::environment_replicas::set_leaving */
        update environment_replicas set leaving_at = $3, since = $4 where environment_id = $1 and slot = $2"#,
        environment.as_uuid(),
        slot.number(),
        leaving_at,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Replica of an environment with an operation.
pub(super) struct ReplicaOfOperation {
    pub(super) environment: EnvironmentId,
    pub(super) region: Region,
    /// State in the database; never [`ReplicaState::Leaving`].
    pub(super) state: ReplicaState,
    /// Whether the replica has been verified before.
    pub(super) was_ready: bool,
}

/// Returns the replica in `slot` of the environment of an operation, or `None` if there is none.
pub(super) async fn of_operation(
    tx: &mut PgConnection,
    operation: OperationId,
    slot: ReplicaSlot,
) -> Result<Option<ReplicaOfOperation>> {
    let row = sqlx::query!(
        r#"/* db::environment_replicas::of_operation */
        select r.environment_id, r.region, r.state as "state: ReplicaState", r.ready_at is not null as "was_ready!"
        from environment_replicas r join operations o on o.environment_id = r.environment_id
        where o.id = $1 and r.slot = $2"#,
        operation.as_uuid(),
        slot.number(),
    );
    let Some(row) = row.fetch_optional(tx).await? else { return Ok(None) };
    Ok(Some(ReplicaOfOperation {
        environment: row.environment_id.into(),
        region: parse_text(row.region)?,
        state: row.state,
        was_ready: row.was_ready,
    }))
}

/// Sets the state of a replica. The URL is kept if `url` is `None`.
pub(super) async fn set_state(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    slot: ReplicaSlot,
    state: ReplicaState,
    message: Option<&str>,
    url: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::environment_replicas::set_state */
        update environment_replicas set since = case when state = $3 then since else $6 end, state = $3, message = $4,
            url = coalesce($5, url), ready_at = case when $3 = 'ready' then coalesce(ready_at, $6) else ready_at end
        where environment_id = $1 and slot = $2"#,
        environment.as_uuid(),
        slot.number(),
        state.as_str(),
        message,
        url,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes a replica, whose stack is deleted.
pub(super) async fn delete(tx: &mut PgConnection, environment: EnvironmentId, slot: ReplicaSlot) -> Result<()> {
    sqlx::query!(
        r#"/* db::environment_replicas::delete */
        delete from environment_replicas where environment_id = $1 and slot = $2"#,
        environment.as_uuid(),
        slot.number(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the replicas of an environment, in the order of their slots.
pub async fn list(pool: &PgPool, environment: EnvironmentId) -> Result<Vec<Replica>> {
    Ok(of_environments(pool, &[environment.as_uuid()]).await?.remove(&environment).unwrap_or_default())
}

fn parse_slot(number: i16) -> Result<ReplicaSlot> {
    ReplicaSlot::new(number).ok_or_else(|| DbError::UnexpectedValue(format!("the slot {number} of a replica")))
}
