//! Locks and queries that several transitions share.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::Result;
use crate::operation::{Initiator, OperationKind};
use crate::step::StepName;
use crate::tenant::SuspensionReason;
use crate::{EnvironmentId, EnvironmentName, OperationId, TenantId};

/// Environment that is not offboarded, with its open operation.
pub(super) struct ActiveEnvironment {
    pub(super) id: EnvironmentId,
    pub(super) open: Option<OpenOperation>,
}

/// Open operation of an environment. The row of the operation is locked.
pub(super) struct OpenOperation {
    pub(super) id: OperationId,
    pub(super) kind: OperationKind,
    pub(super) lease_until: Option<DateTime<Utc>>,
}

/// Takes the advisory lock of a tenant, so that its transitions run one after the other.
pub(super) async fn lock_tenant(tx: &mut PgConnection, tenant: TenantId) -> Result<()> {
    sqlx::query!(
        "/* db::lifecycle::lock_tenant */ select pg_advisory_xact_lock(hashtextextended($1, 1))",
        tenant.to_string(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes the advisory lock of the tenant of an operation. Returns whether the operation exists.
pub(super) async fn lock_tenant_of(tx: &mut PgConnection, id: OperationId) -> Result<bool> {
    let Some((tenant, _)) = owner_of_operation(tx, id).await? else { return Ok(false) };
    lock_tenant(tx, tenant).await?;
    Ok(true)
}

/// Locks an operation and returns whether it is open, or `None` if it does not exist.
pub(super) async fn lock_operation(tx: &mut PgConnection, id: OperationId) -> Result<Option<bool>> {
    let open = sqlx::query_scalar!(
        r#"/* db::lifecycle::lock_operation */
        select finished_at is null as "open!" from operations where id = $1 for no key update"#,
        id.as_uuid(),
    );
    Ok(open.fetch_optional(tx).await?)
}

/// Returns the tenant and environment of an operation.
pub(super) async fn owner_of_operation(
    tx: &mut PgConnection,
    id: OperationId,
) -> Result<Option<(TenantId, EnvironmentId)>> {
    let row = sqlx::query!(
        "/* db::lifecycle::owner_of_operation */ select tenant_id, environment_id from operations where id = $1",
        id.as_uuid(),
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| (row.tenant_id.into(), row.environment_id.into())))
}

/// Suspension and legal hold of a tenant whose row is locked.
pub(super) struct LockedTenant {
    pub(super) suspension: Option<SuspensionReason>,
    pub(super) legal_hold: Option<String>,
    updated_at: DateTime<Utc>,
}

impl LockedTenant {
    /// Returns whether the tenant has changed since the version `expected` was read.
    pub(super) fn is_outdated(&self, expected: Option<DateTime<Utc>>) -> bool {
        expected.is_some_and(|expected| expected != self.updated_at)
    }
}

/// Locks and returns the row of a tenant. The caller must have locked the operations of the tenant, in the same order
/// as when the last of them finishes.
pub(super) async fn lock_row(tx: &mut PgConnection, tenant: TenantId) -> Result<Option<LockedTenant>> {
    let row = sqlx::query_as!(
        LockedTenant,
        r#"/* db::lifecycle::lock_row */
        select suspension_reason as "suspension: SuspensionReason", legal_hold_reason as legal_hold, updated_at
        from tenants where id = $1 for no key update"#,
        tenant.as_uuid(),
    );
    Ok(row.fetch_optional(tx).await?)
}

/// Returns whether an operator has suspended the tenant.
pub(super) async fn is_suspended(tx: &mut PgConnection, tenant: TenantId) -> Result<bool> {
    let suspended = sqlx::query_scalar!(
        r#"/* db::lifecycle::is_suspended */
        select suspended_at is not null as "suspended!" from tenants where id = $1"#,
        tenant.as_uuid(),
    );
    Ok(suspended.fetch_optional(tx).await?.unwrap_or(false))
}

/// Stores the initiator of an offboarding. An offboarding that an operator has started stays the operator's.
pub(super) async fn set_initiator(tx: &mut PgConnection, id: OperationId, initiator: Initiator) -> Result<()> {
    sqlx::query!(
        "/* db::lifecycle::set_initiator */ update operations set started_by_tenant = $2 where id = $1",
        id.as_uuid(),
        initiator == Initiator::Tenant,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns whether a token of the tenant itself has started the offboarding.
pub(super) async fn is_started_by_tenant(tx: &mut PgConnection, id: OperationId) -> Result<bool> {
    let started_by_tenant = sqlx::query_scalar!(
        "/* db::lifecycle::is_started_by_tenant */ select started_by_tenant from operations where id = $1",
        id.as_uuid(),
    );
    Ok(started_by_tenant.fetch_one(tx).await?)
}

pub(super) async fn legal_hold(tx: &mut PgConnection, tenant: TenantId) -> Result<Option<String>> {
    let reason = sqlx::query_scalar!(
        "/* db::lifecycle::legal_hold */ select legal_hold_reason from tenants where id = $1",
        tenant.as_uuid(),
    );
    Ok(reason.fetch_optional(tx).await?.flatten())
}

pub(super) async fn exists(tx: &mut PgConnection, tenant: TenantId, name: Option<&EnvironmentName>) -> Result<bool> {
    let exists = sqlx::query_scalar!(
        r#"/* db::lifecycle::exists */
        select exists (select from environments where tenant_id = $1 and ($2::text is null
            or name = $2)) as "exists!""#,
        tenant.as_uuid(),
        name.map(EnvironmentName::as_str),
    );
    Ok(exists.fetch_one(tx).await?)
}

/// Returns whether an offboarding has finished without closing the account.
pub(super) async fn has_unclosed_account(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
) -> Result<bool> {
    let left = sqlx::query_scalar!(
        r#"/* db::lifecycle::has_unclosed_account */
        select exists (
            select from operations o join environments e on e.id = o.environment_id
            where o.tenant_id = $1 and ($2::text is null or e.name = $2)
                and o.kind = 'offboard' and o.state = 'succeeded' and not o.input ? 'close_account'
        ) as "left!""#,
        tenant.as_uuid(),
        name.map(EnvironmentName::as_str),
    );
    Ok(left.fetch_one(tx).await?)
}

/// Returns the environments of a tenant that are not offboarded, and locks their open operations.
pub(super) async fn active_environments(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
) -> Result<Vec<ActiveEnvironment>> {
    let ids: Vec<Uuid> = sqlx::query_scalar!(
        r#"/* db::lifecycle::active_environments */
        select id from environments
        where tenant_id = $1 and state <> 'offboarded' and ($2::text is null or name = $2) order by id"#,
        tenant.as_uuid(),
        name.map(EnvironmentName::as_str),
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut active_environments = Vec::new();
    for id in ids.into_iter().map(EnvironmentId::from) {
        active_environments.push(ActiveEnvironment { id, open: open(&mut *tx, id).await? });
    }
    // An operation that was locked by a worker may have finished during the wait and have offboarded its environment.
    let ids: Vec<Uuid> = active_environments.iter().map(|environment| environment.id.as_uuid()).collect();
    let still_active = sqlx::query_scalar!(
        r#"/* db::lifecycle::active_environments */
        select id from environments where id = any($1) and state <> 'offboarded'"#,
        &ids,
    );
    let still_active = still_active.fetch_all(tx).await?;
    active_environments.retain(|environment| still_active.contains(&environment.id.as_uuid()));
    Ok(active_environments)
}

/// Locks and returns the open operation of an environment.
pub(super) async fn open(tx: &mut PgConnection, environment: EnvironmentId) -> Result<Option<OpenOperation>> {
    let row = sqlx::query!(
        r#"/* db::lifecycle::open */
        select id, kind as "kind: OperationKind", lease_until from operations
        where environment_id = $1 and state in ('pending', 'running', 'needs_attention') for no key update"#,
        environment.as_uuid(),
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| OpenOperation { id: row.id.into(), kind: row.kind, lease_until: row.lease_until }))
}

/// Returns whether an onboarding has neither requested nor found an account.
pub(super) async fn account_never_requested(tx: &mut PgConnection, id: OperationId) -> Result<bool> {
    let nothing = sqlx::query_scalar!(
        r#"/* db::lifecycle::account_never_requested */
        select not exists (
            select from operation_steps where operation_id = $1 and name in ('request-account', 'await-account')
              and (intent is not null or facts ->> 'creation_request_id' is not null
              or facts ->> 'account_id' is not null)
        ) as "nothing!""#,
        id.as_uuid(),
    );
    Ok(nothing.fetch_one(tx).await?)
}

pub(super) async fn is_step_done(tx: &mut PgConnection, id: OperationId, step: StepName) -> Result<bool> {
    let done = sqlx::query_scalar!(
        r#"/* db::lifecycle::is_step_done */
        select exists (
            select from operation_steps where operation_id = $1 and name = $2 and state = 'done'
        ) as "done!""#,
        id.as_uuid(),
        step.as_str(),
    );
    Ok(done.fetch_one(tx).await?)
}

pub(super) async fn has_account(tx: &mut PgConnection, environment: EnvironmentId) -> Result<bool> {
    let mapped = sqlx::query_scalar!(
        r#"/* db::lifecycle::has_account */
        select exists (
            select from account_mappings where environment_id = $1 and valid_to is null
        ) as "mapped!""#,
        environment.as_uuid(),
    );
    Ok(mapped.fetch_one(tx).await?)
}
