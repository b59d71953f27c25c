//! Stores the front doors of environments.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{PgPool, Result, parse_text};
use crate::environment::Environment;
use crate::front_door::{FrontDoor, FrontDoorState};
use crate::{EnvironmentId, OperationId, Region};

/// Returns the ids of the environments that have a front door.
pub(super) fn ids_of(environments: &[Environment]) -> Vec<Uuid> {
    environments.iter().filter(|one| one.front_door.is_some()).map(|one| one.id.as_uuid()).collect()
}

/// Inserts the front door of an environment, in the state in which it is requested.
pub(super) async fn insert(tx: &mut PgConnection, environment: EnvironmentId, front_door: &FrontDoor) -> Result<()> {
    sqlx::query!(
        r#"/* db::environment_front_doors::insert */
        insert into environment_front_doors (environment_id, created_at, state, since) values ($1, $2, $3, $2)"#,
        environment.as_uuid(),
        front_door.since,
        front_door.state.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Row of a front door, as the queries read it.
struct FrontDoorRow {
    state: FrontDoorState,
    since: DateTime<Utc>,
    message: Option<String>,
    domain: Option<String>,
    url: Option<String>,
    failover_region: Option<String>,
    deployed_at: Option<DateTime<Utc>>,
}

impl FrontDoorRow {
    fn front_door(self) -> Result<FrontDoor> {
        Ok(FrontDoor {
            state: self.state,
            since: self.since,
            message: self.message,
            domain: self.domain,
            url: self.url,
            failover_region: self.failover_region.map(parse_text).transpose()?,
            deployed_at: self.deployed_at,
        })
    }
}

/// Returns the front door of each environment that has one.
pub(super) async fn of_environments(pool: &PgPool, environments: &[Uuid]) -> Result<HashMap<EnvironmentId, FrontDoor>> {
    let rows = sqlx::query!(
        r#"/* db::environment_front_doors::of_environments */
        select d.environment_id, d.domain, d.url, d.failover_region, d.deployed_at,
            case when f.message is not null then 'failed' else d.state end as "state!: FrontDoorState",
            case when f.message is not null then f.first_seen_at else d.since end as "since!",
            coalesce(f.message, d.message) as message
        from environment_front_doors d
        left join lateral (
            -- Reconcile has found the stack missing or broken since it was verified.
            select f.message, f.first_seen_at from findings f
            where f.environment_id = d.environment_id and f.resolved_at is null and d.state = 'deployed'
                and f.kind in ('stack_missing', 'stack_failed') and f.subject like '%/front-door/%'
            order by f.id limit 1
        ) f on true
        where d.environment_id = any($1)"#,
        environments,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let front_door = FrontDoorRow {
                state: row.state,
                since: row.since,
                message: row.message,
                domain: row.domain,
                url: row.url,
                failover_region: row.failover_region,
                deployed_at: row.deployed_at,
            };
            Ok((row.environment_id.into(), front_door.front_door()?))
        })
        .collect()
}

/// Locks and returns the front door of an environment, or `None` if it has none.
pub(super) async fn lock(tx: &mut PgConnection, environment: EnvironmentId) -> Result<Option<FrontDoor>> {
    let row = sqlx::query_as!(
        FrontDoorRow,
        r#"/* db::environment_front_doors::lock */
        select state as "state: FrontDoorState", since, message, domain, url, failover_region, deployed_at
        from environment_front_doors where environment_id = $1 for no key update"#,
        environment.as_uuid(),
    );
    row.fetch_optional(tx).await?.map(FrontDoorRow::front_door).transpose()
}

/// Front door of an environment with an operation.
pub(super) struct FrontDoorOfOperation {
    pub(super) environment: EnvironmentId,
    pub(super) state: FrontDoorState,
    /// Whether the front door has been verified before.
    pub(super) was_deployed: bool,
}

/// Returns the front door of the environment of an operation, or `None` if there is none.
pub(super) async fn of_operation(
    tx: &mut PgConnection,
    operation: OperationId,
) -> Result<Option<FrontDoorOfOperation>> {
    let row = sqlx::query!(
        r#"/* db::environment_front_doors::of_operation */
        select d.environment_id, d.state as "state: FrontDoorState", d.deployed_at is not null as "was_deployed!"
        from environment_front_doors d join operations o on o.environment_id = d.environment_id
        where o.id = $1"#,
        operation.as_uuid(),
    );
    Ok(row.fetch_optional(tx).await?.map(|row| FrontDoorOfOperation {
        environment: row.environment_id.into(),
        state: row.state,
        was_deployed: row.was_deployed,
    }))
}

/// Addresses of a distribution after its deployment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses<'a> {
    pub(super) domain: &'a str,
    pub(super) url: &'a str,
    pub(super) failover_region: Option<Region>,
}

/// Sets the state of a front door. The addresses are kept if `addresses` is `None`.
pub(super) async fn set_state(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    state: FrontDoorState,
    message: Option<&str>,
    addresses: Option<Addresses<'_>>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::environment_front_doors::set_state */
        update environment_front_doors set since = case when state = $2 then since else $8 end, state = $2,
            message = $3, domain = coalesce($4, domain), url = coalesce($5, url),
            failover_region = case when $6 then $7 else failover_region end,
            deployed_at = case when $2 = 'deployed' then coalesce(deployed_at, $8) else deployed_at end
        where environment_id = $1"#,
        environment.as_uuid(),
        state.as_str(),
        message,
        addresses.map(|addresses| addresses.domain),
        addresses.map(|addresses| addresses.url),
        addresses.is_some(),
        addresses.and_then(|addresses| addresses.failover_region).map(Region::as_str),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Marks a front door as removed. An operation deletes its stack.
pub(super) async fn request_deletion(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::environment_front_doors::request_deletion */
        update environment_front_doors set state = $2, since = $3 where environment_id = $1"#,
        environment.as_uuid(),
        FrontDoorState::Deleting.as_str(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes a front door, whose stack is deleted.
pub(super) async fn delete(tx: &mut PgConnection, environment: EnvironmentId) -> Result<()> {
    sqlx::query!(
        "/* db::environment_front_doors::delete */ delete from environment_front_doors where environment_id = $1",
        environment.as_uuid(),
    )
    .execute(tx)
    .await?;
    Ok(())
}
