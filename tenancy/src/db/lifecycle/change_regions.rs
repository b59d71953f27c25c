//! Changes the replica regions and the front door of an environment. New replicas are deployed by an operation. A
//! removed replica keeps serving until its time to leave, and is then deleted by an operation of its own. A removed
//! front door is deleted at once: it has no data.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use super::open_operation::open_operation;
use super::queries::{is_suspended, legal_hold, lock_tenant, open};
use crate::db::{PgPool, Result, environment_front_doors, environment_replicas, finish_transaction};
use crate::environment::EnvironmentState;
use crate::front_door::{FRONT_DOOR_FIELD, FrontDoor, FrontDoorChange, FrontDoorState};
use crate::operation::{OperationKind, Requester};
use crate::replica::{Replica, ReplicaSlot, ReplicaState};
use crate::{EnvironmentId, EnvironmentName, OperationId, Region, TenantId};

/// Field of the input of an operation with the slots of the replicas that it concerns.
pub const SLOTS_FIELD: &str = "slots";

/// Result of [`change_regions`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeRegionsResult {
    /// The change was written. The operation deploys the new regions and changes the front door; `None` if nothing has
    /// to be done now.
    Changed(Option<OperationId>),
    /// The environment has these regions and this front door, and each of them is in order.
    Unchanged,
    /// The environment has another open operation.
    Busy {
        operation: OperationId,
        kind: OperationKind,
    },
    /// The environment is in this state, in which its regions do not change.
    NotReady(EnvironmentState),
    /// A region or the front door would be removed, and the tenant is on legal hold for the given reason.
    LegalHold(String),
    /// The environment would have more than three replicas, including those that are leaving.
    TooMany,
    /// The environment no longer has the known regions and front door. Nothing was written.
    Outdated,
    NotFound,
}

/// Requested change of the replica regions and the front door of an environment.
#[derive(Debug, Clone, Copy)]
pub struct RegionChange<'a> {
    pub tenant: TenantId,
    pub environment: &'a EnvironmentName,
    /// Replica regions that the client has seen, without those that are leaving; `None` to overwrite other changes.
    pub known_regions: Option<&'a [Region]>,
    /// All replica regions that the environment should have. The caller has checked them against the residency.
    pub replica_regions: &'a [Region],
    /// Whether the client has seen a front door; `None` to overwrite other changes.
    pub known_front_door: Option<bool>,
    /// Whether the environment should have a front door. The caller has checked that the residency allows it.
    pub front_door: bool,
    /// Time at which the stacks of removed replicas are deleted.
    pub leaving_at: DateTime<Utc>,
    pub requested_by: &'a Requester,
}

/// Writes the change, and opens an operation that deploys the regions that are not ready and changes the front door.
pub async fn change_regions(
    pool: &PgPool,
    change: &RegionChange<'_>,
    now: DateTime<Utc>,
) -> Result<ChangeRegionsResult> {
    let mut tx = pool.begin().await?;
    let result = change_in_tx(&mut tx, change, now).await;
    finish_transaction(tx, result, |result| matches!(result, ChangeRegionsResult::Changed(_))).await
}

async fn change_in_tx(
    tx: &mut PgConnection,
    change: &RegionChange<'_>,
    now: DateTime<Utc>,
) -> Result<ChangeRegionsResult> {
    lock_tenant(tx, change.tenant).await?;
    // The name of an offboarded environment can be used again.
    let row = sqlx::query!(
        r#"/* db::lifecycle::change_regions */
        select id, state as "state: EnvironmentState" from environments
        where tenant_id = $1 and name = $2 order by id desc limit 1"#,
        change.tenant.as_uuid(),
        change.environment.as_str(),
    );
    let Some(row) = row.fetch_optional(&mut *tx).await? else { return Ok(ChangeRegionsResult::NotFound) };
    let environment = EnvironmentId::from(row.id);
    if let Some(open) = open(tx, environment).await? {
        return Ok(ChangeRegionsResult::Busy { operation: open.id, kind: open.kind });
    }
    if is_suspended(tx, change.tenant).await? {
        return Ok(ChangeRegionsResult::NotReady(EnvironmentState::Suspended));
    }
    if row.state != EnvironmentState::Ready {
        return Ok(ChangeRegionsResult::NotReady(row.state));
    }
    let before = environment_replicas::lock(tx, environment).await?;
    let remaining = before.iter().filter(|replica| replica.leaving_at.is_none()).map(|replica| replica.region);
    if change.known_regions.is_some_and(|known| !remaining.eq(known.iter().copied())) {
        return Ok(ChangeRegionsResult::Outdated);
    }
    let front_door = environment_front_doors::lock(tx, environment).await?;
    let has_front_door = front_door.as_ref().is_some_and(|one| one.state != FrontDoorState::Deleting);
    if change.known_front_door.is_some_and(|known| known != has_front_door) {
        return Ok(ChangeRegionsResult::Outdated);
    }
    let is_wanted = |replica: &&Replica| change.replica_regions.contains(&replica.region);
    let removed: Vec<_> = before.iter().filter(|one| !is_wanted(one) && one.leaving_at.is_none()).collect();
    let is_front_door_removed = front_door.is_some() && !change.front_door;
    if (!removed.is_empty() || is_front_door_removed)
        && let Some(reason) = legal_hold(tx, change.tenant).await?
    {
        return Ok(ChangeRegionsResult::LegalHold(reason));
    }
    let is_new = |region: &&Region| !before.iter().any(|replica| replica.region == **region);
    let new: Vec<Region> = change.replica_regions.iter().filter(is_new).copied().collect();
    let is_free = |slot: &&ReplicaSlot| !before.iter().any(|replica| replica.slot == **slot);
    let free: Vec<ReplicaSlot> = ReplicaSlot::ALL.iter().filter(is_free).copied().collect();
    if new.len() > free.len() {
        return Ok(ChangeRegionsResult::TooMany);
    }
    let added: Vec<_> = free.into_iter().zip(new).map(|(slot, region)| Replica::requested(slot, region, now)).collect();
    // A replica that has failed, and one that was leaving, is deployed and verified again.
    let repeated = before.iter().filter(is_wanted).filter(|one| one.state != ReplicaState::Ready);
    let mut slots: Vec<_> = added.iter().chain(repeated).map(|replica| replica.slot).collect();
    slots.sort_unstable();
    let front_door_change = front_door_change(front_door.as_ref(), change.front_door, !slots.is_empty());
    if slots.is_empty() && removed.is_empty() && front_door_change.is_none() {
        return Ok(ChangeRegionsResult::Unchanged);
    }
    for replica in removed {
        environment_replicas::set_leaving(tx, environment, replica.slot, Some(change.leaving_at), now).await?;
    }
    for replica in before.iter().filter(is_wanted).filter(|replica| replica.leaving_at.is_some()) {
        environment_replicas::set_leaving(tx, environment, replica.slot, None, now).await?;
    }
    environment_replicas::insert(tx, environment, &added).await?;
    match (&front_door, front_door_change) {
        (None, Some(_)) => {
            environment_front_doors::insert(tx, environment, &FrontDoor::requested(now)).await?;
        }
        (Some(_), Some(FrontDoorChange::Delete)) => {
            environment_front_doors::request_deletion(tx, environment, now).await?;
        }
        _ => {}
    }
    if slots.is_empty() && front_door_change.is_none() {
        return Ok(ChangeRegionsResult::Changed(None));
    }
    let kind = OperationKind::ChangeRegions;
    let id = open_for_slots(tx, kind, environment, &slots, front_door_change, change.requested_by, now).await?;
    Ok(ChangeRegionsResult::Changed(Some(id)))
}

/// Returns what an operation must do with the front door, or `None` if it is in order. A front door also follows the
/// regions that the operation deploys.
fn front_door_change(
    front_door: Option<&FrontDoor>,
    is_wanted: bool,
    are_regions_deployed: bool,
) -> Option<FrontDoorChange> {
    match front_door {
        None => is_wanted.then_some(FrontDoorChange::Deploy),
        Some(_) if !is_wanted => Some(FrontDoorChange::Delete),
        Some(one) => (one.state != FrontDoorState::Deployed || are_regions_deployed).then_some(FrontDoorChange::Deploy),
    }
}

/// Opens an operation that concerns the replicas in `slots` and the front door.
async fn open_for_slots(
    tx: &mut PgConnection,
    kind: OperationKind,
    environment: EnvironmentId,
    slots: &[ReplicaSlot],
    front_door: Option<FrontDoorChange>,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<OperationId> {
    let numbers: Vec<i16> = slots.iter().map(|slot| slot.number()).collect();
    let mut input = Map::from_iter([(SLOTS_FIELD.to_owned(), json!(numbers))]);
    input.extend(front_door.map(|change| (FRONT_DOOR_FIELD.to_owned(), json!(change))));
    open_operation(tx, kind, environment, &Value::Object(input), by, now, now).await
}

/// Opens an operation that deletes the removed replicas of each environment whose time to leave has come, unless the
/// environment has an open operation, is not ready, or its tenant is on legal hold. Returns the operations.
pub async fn open_due_removals(pool: &PgPool, by: &Requester, now: DateTime<Utc>) -> Result<Vec<OperationId>> {
    let due = sqlx::query!(
        r#"/* db::lifecycle::open_due_removals */
        select distinct e.id, e.tenant_id
        from environment_replicas r join environments e on e.id = r.environment_id
            join tenants t on t.id = e.tenant_id
        where r.leaving_at <= $1 and e.state = 'ready' and t.legal_hold_at is null and t.suspended_at is null
            and not exists (
                select from operations o
                where o.environment_id = e.id and o.state in ('pending', 'running', 'needs_attention'))
        order by e.id"#,
        now,
    );
    let mut opened = Vec::new();
    for row in due.fetch_all(pool).await? {
        let mut tx = pool.begin().await?;
        let result = open_removal(&mut tx, row.tenant_id.into(), row.id.into(), by, now).await;
        opened.extend(finish_transaction(tx, result, Option::is_some).await?);
    }
    Ok(opened)
}

async fn open_removal(
    tx: &mut PgConnection,
    tenant: TenantId,
    environment: EnvironmentId,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<Option<OperationId>> {
    lock_tenant(tx, tenant).await?;
    let is_ready = sqlx::query_scalar!(
        r#"/* db::lifecycle::open_removal */ select state = 'ready' as "is_ready!" from environments where id = $1"#,
        environment.as_uuid(),
    );
    let is_ready = is_ready.fetch_one(&mut *tx).await?;
    let is_blocked = open(tx, environment).await?.is_some() || legal_hold(tx, tenant).await?.is_some();
    if !is_ready || is_blocked || is_suspended(tx, tenant).await? {
        return Ok(None);
    }
    let replicas = environment_replicas::lock(tx, environment).await?;
    let is_due = |replica: &&Replica| replica.leaving_at.is_some_and(|at| at <= now);
    let slots: Vec<_> = replicas.iter().filter(is_due).map(|replica| replica.slot).collect();
    if slots.is_empty() {
        return Ok(None);
    }
    let front_door = environment_front_doors::lock(tx, environment).await?;
    // The front door must not send requests to a replica that is deleted.
    let front_door = front_door.map(|_| FrontDoorChange::Deploy);
    open_for_slots(tx, OperationKind::RemoveRegions, environment, &slots, front_door, by, now).await.map(Some)
}
