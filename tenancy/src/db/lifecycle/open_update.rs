//! Starts the update of an environment to a release, or the preview of a release. Both keep the environment ready.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use super::change_regions::SLOTS_FIELD;
use super::open_operation::open_operation;
use super::queries::{is_suspended, lock_tenant, open};
use crate::db::{
    PgPool, Result, change_freeze, environment_front_doors, environment_pins, environment_replicas, environment_stacks,
    findings, finish_transaction, parse_json, releases,
};
use crate::environment::EnvironmentState;
use crate::environment_stack::{EnvironmentStack, StackKind};
use crate::finding::FindingKind;
use crate::front_door::{FRONT_DOOR_FIELD, FrontDoorChange, FrontDoorState};
use crate::maintenance_window::MaintenanceWindows;
use crate::operation::{OperationKind, Requester};
use crate::release::{PARAMETERS_FIELD, RELEASE_FIELD, ROLLOUT_FIELD, Release, ReleaseState, StackParameters};
use crate::{EnvironmentId, EnvironmentName, OperationId, ReleaseId, RolloutId, TenantId};

/// Request to update an environment to a release.
#[derive(Debug, Clone, Copy)]
pub struct UpdateRequest<'a> {
    pub release: ReleaseId,
    /// Rollout that starts the update; `None` for a request of a person.
    pub rollout: Option<RolloutId>,
    /// New parameters of the environment, for this update and all later ones; `None` keeps them.
    pub parameters: Option<&'a StackParameters>,
    /// Whether the release may lack an approval, because the configuration calls the environment non-production.
    pub allows_unapproved: bool,
    /// Whether the update may start outside the maintenance windows of the tenant.
    pub ignores_window: bool,
    /// Reason that the requester has given.
    pub reason: Option<&'a str>,
    pub by: &'a Requester,
}

/// Result of [`open_update`] and [`open_preview`].
#[derive(Debug, Clone, PartialEq)]
pub enum UpdateResult {
    /// A new operation carries out the request.
    Started(OperationId),
    /// An operation for the same release is open.
    AlreadyOpen(OperationId),
    /// Each stack of the environment has the release with its parameters, and no finding says otherwise.
    Current,
    /// Another operation is open.
    Busy {
        operation: OperationId,
        kind: OperationKind,
    },
    /// The environment is in this state, in which its stacks are not updated.
    NotReady(EnvironmentState),
    /// The environment is pinned to its release.
    Pinned {
        reason: String,
        until: Option<DateTime<Utc>>,
    },
    /// No update starts in any environment for this reason.
    Frozen {
        reason: String,
        until: Option<DateTime<Utc>>,
    },
    /// No maintenance window of the tenant is open.
    OutsideWindow {
        /// Time at which the next window opens.
        next: Option<DateTime<Utc>>,
    },
    /// The release is not ready.
    ReleaseNotReady(ReleaseState),
    /// No second person has approved the release.
    ReleaseNotApproved,
    ReleaseNotFound,
    NotFound,
}

/// Opens an update of the environment `name` of a tenant.
pub async fn open_update(
    pool: &PgPool,
    tenant: TenantId,
    name: &EnvironmentName,
    request: &UpdateRequest<'_>,
    now: DateTime<Utc>,
) -> Result<UpdateResult> {
    let mut tx = pool.begin().await?;
    let result = async {
        lock_tenant(&mut tx, tenant).await?;
        match latest_of_name(&mut tx, tenant, name).await? {
            Some(environment) => open_update_in_tx(&mut tx, tenant, environment, request, now).await,
            None => Ok(UpdateResult::NotFound),
        }
    };
    let result = result.await;
    finish_transaction(tx, result, |result| matches!(result, UpdateResult::Started(_) | UpdateResult::Current)).await
}

/// Opens an update of an environment in the transaction of the caller, such as that of a rollout.
pub(in crate::db) async fn open_update_in_tx(
    tx: &mut PgConnection,
    tenant: TenantId,
    environment: EnvironmentId,
    request: &UpdateRequest<'_>,
    now: DateTime<Utc>,
) -> Result<UpdateResult> {
    lock_tenant(tx, tenant).await?;
    update_locked(tx, tenant, environment, request, now).await
}

/// Opens a preview of what a release would change in an environment.
pub async fn open_preview(
    pool: &PgPool,
    environment: EnvironmentId,
    release: ReleaseId,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<UpdateResult> {
    let mut tx = pool.begin().await?;
    let result = async {
        let tenant = sqlx::query_scalar!(
            "/* db::lifecycle::open_preview */ select tenant_id from environments where id = $1",
            environment.as_uuid(),
        );
        let tenant = tenant.fetch_optional(&mut *tx).await?.map(TenantId::from);
        let Some(tenant) = tenant else { return Ok(UpdateResult::NotFound) };
        lock_tenant(&mut tx, tenant).await?;
        let release = match releases::find_in_tx(&mut tx, release).await? {
            None => return Ok(UpdateResult::ReleaseNotFound),
            Some(release) if release.state != ReleaseState::Ready => {
                return Ok(UpdateResult::ReleaseNotReady(release.state));
            }
            Some(release) => release,
        };
        let parameters = match find_ready(&mut tx, tenant, environment).await? {
            Ok(parameters) => parameters,
            Err(refusal) => return Ok(refusal.into_result(OperationKind::Preview, release.id, None)),
        };
        let input = input(&mut tx, environment, &release, &parameters).await?;
        let kind = OperationKind::Preview;
        open_operation(&mut tx, kind, environment, &Value::Object(input), by, now, now).await.map(UpdateResult::Started)
    };
    let result = result.await;
    finish_transaction(tx, result, |result| matches!(result, UpdateResult::Started(_))).await
}

/// Opens an update. The caller must have locked the tenant.
async fn update_locked(
    tx: &mut PgConnection,
    tenant: TenantId,
    environment: EnvironmentId,
    request: &UpdateRequest<'_>,
    now: DateTime<Utc>,
) -> Result<UpdateResult> {
    let release = match releases::find_in_tx(tx, request.release).await? {
        None => return Ok(UpdateResult::ReleaseNotFound),
        Some(release) if release.state != ReleaseState::Ready => {
            return Ok(UpdateResult::ReleaseNotReady(release.state));
        }
        Some(release) if !release.is_approved() && !request.allows_unapproved => {
            return Ok(UpdateResult::ReleaseNotApproved);
        }
        Some(release) => release,
    };
    if let Some(freeze) = change_freeze::in_force(tx, now).await? {
        return Ok(UpdateResult::Frozen { reason: freeze.reason, until: freeze.until });
    }
    let stored = match find_ready(tx, tenant, environment).await? {
        Ok(parameters) => parameters,
        Err(refusal) => return Ok(refusal.into_result(OperationKind::Update, release.id, request.parameters)),
    };
    if let Some(pin) = environment_pins::in_force(tx, environment, now).await? {
        return Ok(UpdateResult::Pinned { reason: pin.reason, until: pin.until });
    }
    let parameters = request.parameters.cloned().unwrap_or_else(|| stored.clone());
    if parameters != stored {
        change_parameters(tx, environment, &parameters, now).await?;
    }
    if is_current(tx, environment, &release, &parameters).await? {
        return Ok(UpdateResult::Current);
    }
    let windows = maintenance_windows(tx, tenant).await?;
    if !request.ignores_window && !windows.is_open(now) {
        return Ok(UpdateResult::OutsideWindow { next: windows.next_opening(now) });
    }
    let mut input = input(tx, environment, &release, &parameters).await?;
    input.extend(request.rollout.map(|rollout| (ROLLOUT_FIELD.to_owned(), json!(rollout))));
    input.extend(request.reason.map(|reason| ("reason".to_owned(), json!(reason))));
    let kind = OperationKind::Update;
    let operation = open_operation(tx, kind, environment, &Value::Object(input), request.by, now, now).await?;
    Ok(UpdateResult::Started(operation))
}

async fn change_parameters(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    parameters: &StackParameters,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "/* db::lifecycle::change_parameters */ update environments set parameters = $2, updated_at = $3 where id = $1",
        environment.as_uuid(),
        json!(parameters),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the maintenance windows of a tenant.
async fn maintenance_windows(tx: &mut PgConnection, tenant: TenantId) -> Result<MaintenanceWindows> {
    let windows = sqlx::query_scalar!(
        "/* db::lifecycle::maintenance_windows */ select maintenance_windows from tenants where id = $1",
        tenant.as_uuid(),
    );
    parse_json(windows.fetch_one(tx).await?, "the maintenance windows of a tenant")
}

/// Reason why an environment cannot start an operation that keeps it ready.
enum Refusal {
    Open { operation: OperationId, kind: OperationKind, release: Option<String>, parameters: Option<Value> },
    NotReady(EnvironmentState),
    NotFound,
}

impl Refusal {
    /// Returns the result of a request for an operation of the kind `wanted`. A request without parameters is like an
    /// open operation with any parameters.
    fn into_result(
        self,
        wanted: OperationKind,
        release: ReleaseId,
        parameters: Option<&StackParameters>,
    ) -> UpdateResult {
        match self {
            Self::Open { operation, kind, release: open, parameters: of_open }
                if kind == wanted
                    && open == Some(release.to_string())
                    && parameters.is_none_or(|wanted| of_open == Some(json!(wanted))) =>
            {
                UpdateResult::AlreadyOpen(operation)
            }
            Self::Open { operation, kind, .. } => UpdateResult::Busy { operation, kind },
            Self::NotReady(state) => UpdateResult::NotReady(state),
            Self::NotFound => UpdateResult::NotFound,
        }
    }
}

/// Returns the parameters of an environment that is ready and has no open operation.
async fn find_ready(
    tx: &mut PgConnection,
    tenant: TenantId,
    environment: EnvironmentId,
) -> Result<std::result::Result<StackParameters, Refusal>> {
    let row = sqlx::query!(
        r#"/* db::lifecycle::find_ready */
        select e.state as "state: EnvironmentState", e.parameters, o.input ->> 'release' as release,
            o.input -> 'parameters' as open_parameters
        from environments e left join operations o
            on o.environment_id = e.id and o.state in ('pending', 'running', 'needs_attention')
        where e.id = $1 and e.tenant_id = $2"#,
        environment.as_uuid(),
        tenant.as_uuid(),
    );
    let Some(row) = row.fetch_optional(&mut *tx).await? else { return Ok(Err(Refusal::NotFound)) };
    if let Some(open) = open(tx, environment).await? {
        let (release, parameters) = (row.release, row.open_parameters);
        return Ok(Err(Refusal::Open { operation: open.id, kind: open.kind, release, parameters }));
    }
    if is_suspended(tx, tenant).await? {
        return Ok(Err(Refusal::NotReady(EnvironmentState::Suspended)));
    }
    if row.state != EnvironmentState::Ready {
        return Ok(Err(Refusal::NotReady(row.state)));
    }
    Ok(Ok(parse_json(row.parameters, "the parameters of an environment")?))
}

/// Returns whether each tenant stack of the environment has the release with these parameters, on record and in AWS as
/// far as the last comparison knows.
async fn is_current(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    release: &Release,
    parameters: &StackParameters,
) -> Result<bool> {
    let stacks = environment_stacks::list_in_tx(tx, environment).await?;
    Ok(is_on_record(&stacks, release, parameters)
        && !findings::is_open(tx, environment, FindingKind::ReleaseMismatch).await?)
}

fn is_on_record(stacks: &[EnvironmentStack], release: &Release, parameters: &StackParameters) -> bool {
    let mut stacks = stacks.iter().filter(|stack| stack.kind == StackKind::Tenant).peekable();
    let has_release = |stack: &EnvironmentStack| {
        stack.release.as_ref().is_some_and(|deployed| {
            deployed.id == release.id && deployed.parameters == release.content.parameters_in(stack.region, parameters)
        })
    };
    stacks.peek().is_some() && stacks.all(has_release)
}

/// Returns the input of an operation on all regions of the environment that are not leaving.
async fn input(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    release: &Release,
    parameters: &StackParameters,
) -> Result<Map<String, Value>> {
    let replicas = environment_replicas::lock(tx, environment).await?;
    let staying = replicas.iter().filter(|replica| replica.leaving_at.is_none() && replica.ready_at.is_some());
    let slots: Vec<i16> = staying.map(|replica| replica.slot.number()).collect();
    let front_door = environment_front_doors::lock(tx, environment).await?;
    let has_front_door = front_door.is_some_and(|one| one.state != FrontDoorState::Deleting);
    let mut input = Map::from_iter([
        (RELEASE_FIELD.to_owned(), json!(release.id)),
        (PARAMETERS_FIELD.to_owned(), json!(parameters)),
        (SLOTS_FIELD.to_owned(), json!(slots)),
    ]);
    // The URL of a function may change with the release.
    input.extend(has_front_door.then(|| (FRONT_DOOR_FIELD.to_owned(), json!(FrontDoorChange::Deploy))));
    Ok(input)
}

async fn latest_of_name(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: &EnvironmentName,
) -> Result<Option<EnvironmentId>> {
    // The name of an offboarded environment can be used again.
    let id = sqlx::query_scalar!(
        r#"/* db::lifecycle::latest_of_name */
        select id from environments where tenant_id = $1 and name = $2 order by id desc limit 1"#,
        tenant.as_uuid(),
        name.as_str(),
    );
    Ok(id.fetch_optional(tx).await?.map(EnvironmentId::from))
}
