//! Stores the replica regions of environments.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{DbError, PgPool, Result, parse_text};
use crate::EnvironmentId;
use crate::environment::Environment;
use crate::replica::{Replica, ReplicaSlot, ReplicaState};

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
        select r.environment_id, r.slot, r.region, s.stack_id as "stack_id?", r.url, r.ready_at, r.leaving_at,
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
            url: row.url,
            ready_at: row.ready_at,
            leaving_at: row.leaving_at,
        });
    }
    Ok(replicas)
}

/// Returns the replicas of an environment, in the order of their slots.
pub async fn list(pool: &PgPool, environment: EnvironmentId) -> Result<Vec<Replica>> {
    Ok(of_environments(pool, &[environment.as_uuid()]).await?.remove(&environment).unwrap_or_default())
}

fn parse_slot(number: i16) -> Result<ReplicaSlot> {
    ReplicaSlot::new(number).ok_or_else(|| DbError::UnexpectedValue(format!("the slot {number} of a replica")))
}
