//! Moves the home of an environment to one of its replicas. The step `move-home` swaps the two roles in one
//! transaction; the old home stays as a replica.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use super::change_regions::SLOTS_FIELD;
use super::open_operation::open_operation;
use super::queries::{is_suspended, lock_tenant, open};
use super::step_record::{StepDisposition, StepRecord};
use crate::db::{
    PgPool, Result, environment_front_doors, environment_replicas, findings, finish_transaction, parse_text,
};
use crate::environment::EnvironmentState;
use crate::event::{EventType, NewEvent};
use crate::front_door::{FRONT_DOOR_FIELD, FrontDoorChange, FrontDoorState};
use crate::operation::{OperationKind, Requester};
use crate::replica::ReplicaState;
use crate::step::StepName;
use crate::{EnvironmentId, EnvironmentName, OperationId, Region, TenantId};

/// Field of the input of an operation with the region that becomes the home.
pub const NEW_HOME_FIELD: &str = "region";

/// Fact of the step `move-home` with the state of the old home as a replica.
pub const OLD_HOME_STATE_FACT: &str = "old_home_state";

/// Fact of the step `move-home` with the reason of that state.
pub const OLD_HOME_MESSAGE_FACT: &str = "old_home_message";

/// Fact of the step `move-home` with the URL of the old home.
pub const OLD_HOME_URL_FACT: &str = "old_home_url";

/// Result of [`move_home`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoveHomeResult {
    /// A new operation moves the home, which is now in the region `from`.
    Started {
        operation: OperationId,
        from: Region,
    },
    /// A move to the same region that was requested before is still open.
    AlreadyOpen {
        operation: OperationId,
        from: Region,
    },
    /// The region is the home.
    IsHome,
    /// Another operation is open.
    Busy {
        operation: OperationId,
        kind: OperationKind,
    },
    /// The environment is in this state, in which its home does not move.
    NotReady(EnvironmentState),
    /// The environment has no replica in the region.
    NotAReplica,
    /// The replica is in this state.
    ReplicaNotReady(ReplicaState),
    NotFound,
}

/// Opens an operation that makes the replica in `region` the home of the environment `name`.
pub async fn move_home(
    pool: &PgPool,
    tenant: TenantId,
    name: &EnvironmentName,
    region: Region,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<MoveHomeResult> {
    let mut tx = pool.begin().await?;
    let result = move_in_tx(&mut tx, tenant, name, region, by, now).await;
    finish_transaction(tx, result, |result| matches!(result, MoveHomeResult::Started { .. })).await
}

async fn move_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: &EnvironmentName,
    region: Region,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<MoveHomeResult> {
    lock_tenant(tx, tenant).await?;
    // The name of an offboarded environment can be used again.
    let row = sqlx::query!(
        r#"/* db::lifecycle::move_home */
        select e.id, e.state as "state: EnvironmentState", e.home_region, (
                select o.input ->> 'region' from operations o
                where o.environment_id = e.id and o.state in ('pending', 'running', 'needs_attention')
                    and o.kind = 'move_home'
            ) as moving_to
        from environments e where e.tenant_id = $1 and e.name = $2 order by e.id desc limit 1"#,
        tenant.as_uuid(),
        name.as_str(),
    );
    let Some(row) = row.fetch_optional(&mut *tx).await? else { return Ok(MoveHomeResult::NotFound) };
    let (environment, from): (_, Region) = (EnvironmentId::from(row.id), parse_text(row.home_region)?);
    if let Some(open) = open(tx, environment).await? {
        let (operation, kind) = (open.id, open.kind);
        return Ok(match row.moving_to {
            Some(to) if to == region.as_str() => MoveHomeResult::AlreadyOpen { operation, from },
            _ => MoveHomeResult::Busy { operation, kind },
        });
    }
    if from == region {
        return Ok(MoveHomeResult::IsHome);
    }
    if is_suspended(tx, tenant).await? {
        return Ok(MoveHomeResult::NotReady(EnvironmentState::Suspended));
    }
    if row.state != EnvironmentState::Ready {
        return Ok(MoveHomeResult::NotReady(row.state));
    }
    let replicas = environment_replicas::lock(tx, environment).await?;
    let Some(replica) = replicas.iter().find(|replica| replica.region == region) else {
        return Ok(MoveHomeResult::NotAReplica);
    };
    if replica.state != ReplicaState::Ready {
        return Ok(MoveHomeResult::ReplicaNotReady(replica.state));
    }
    let front_door = environment_front_doors::lock(tx, environment).await?;
    let has_front_door = front_door.is_some_and(|one| one.state != FrontDoorState::Deleting);
    let mut input = Map::from_iter([
        (SLOTS_FIELD.to_owned(), json!([replica.slot.number()])),
        (NEW_HOME_FIELD.to_owned(), json!(region)),
    ]);
    input.extend(has_front_door.then(|| (FRONT_DOOR_FIELD.to_owned(), json!(FrontDoorChange::Deploy))));
    let kind = OperationKind::MoveHome;
    let operation = open_operation(tx, kind, environment, &Value::Object(input), by, now, now).await?;
    Ok(MoveHomeResult::Started { operation, from })
}

/// Swaps the roles of the home region and the new home once the step `move-home` is done. Returns the event. The
/// caller must have locked the operation, and no row of an environment: this function locks the environment after the
/// lock of the findings.
pub(super) async fn record_home_move(
    tx: &mut PgConnection,
    id: OperationId,
    outcome: &StepRecord,
    now: DateTime<Utc>,
) -> Result<Option<NewEvent>> {
    if outcome.step != StepName::MoveHome || outcome.state != StepDisposition::Done {
        return Ok(None);
    }
    let row = sqlx::query!(
        r#"/* db::lifecycle::record_home_move */
        select e.id, e.home_region, o.input ->> 'region' as "to!" from operations o
            join environments e on e.id = o.environment_id where o.id = $1"#,
        id.as_uuid(),
    );
    let row = row.fetch_one(&mut *tx).await?;
    let (environment, from, to): (_, Region, Region) = (row.id, parse_text(row.home_region)?, parse_text(row.to)?);
    if from == to {
        return Ok(None);
    }
    let text = |fact: &str| outcome.facts.get(fact).and_then(Value::as_str);
    let state: ReplicaState =
        text(OLD_HOME_STATE_FACT).and_then(|state| state.parse().ok()).unwrap_or(ReplicaState::Unreachable);
    let environments = findings::LockedEnvironments::lock(tx, vec![environment]).await?;
    sqlx::query!(
        r#"/* db::lifecycle::record_home_move */
        with home as (
            update environments set home_region = $3, updated_at = $4 where id = $1
        ),
        front_door as (
            -- The distribution still asks the old home first.
            update environment_front_doors set state = 'updating', since = $4
            where environment_id = $1 and state = 'deployed'
        ),
        replica as (
            update environment_replicas set region = $2, state = $5, since = $4, message = $6, url = $7, ready_at = $4
            where environment_id = $1 and region = $3 returning slot
        )
        update environment_stacks s set slot = case s.region when $3 then 0 else replica.slot end
        from replica where s.environment_id = $1 and s.kind = 'tenant' and s.region in ($2, $3)"#,
        environment,
        from.as_str(),
        to.as_str(),
        now,
        state.as_str(),
        text(OLD_HOME_MESSAGE_FACT),
        text(OLD_HOME_URL_FACT),
    )
    .execute(&mut *tx)
    .await?;
    environments.write_changes(tx, now).await?;
    Ok(Some(NewEvent { event_type: EventType::HomeMoved, data: json!({ "from": from, "to": to }) }))
}
