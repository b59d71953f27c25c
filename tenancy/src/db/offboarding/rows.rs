//! Looking before deciding: what stands, what is open, what has been asked for.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::Result;
use crate::operation::OperationKind;
use crate::{EnvironmentId, EnvironmentName, OperationId, TenantId};

/// An environment that is not gone, with its open operation.
pub(super) struct ActiveEnvironment {
    pub(super) id: EnvironmentId,
    pub(super) open: Option<Open>,
}

/// An open operation, its row locked.
pub(super) struct Open {
    pub(super) id: OperationId,
    pub(super) kind: OperationKind,
    pub(super) lease_until: Option<DateTime<Utc>>,
}

/// One decision about a tenant at a time.
pub(in crate::db) async fn lock(tx: &mut PgConnection, tenant: TenantId) -> Result<()> {
    sqlx::query!(
        "/* db::offboarding::lock */ select pg_advisory_xact_lock(hashtextextended($1, 1))",
        tenant.to_string(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn legal_hold(tx: &mut PgConnection, tenant: TenantId) -> Result<Option<String>> {
    let reason = sqlx::query_scalar!(
        "/* db::offboarding::legal_hold */ select legal_hold_reason from tenants where id = $1",
        tenant.as_uuid(),
    );
    Ok(reason.fetch_optional(tx).await?.flatten())
}

pub(super) async fn exists(tx: &mut PgConnection, tenant: TenantId, name: Option<&EnvironmentName>) -> Result<bool> {
    let exists = sqlx::query_scalar!(
        r#"/* db::offboarding::exists */
        select exists (select from environments where tenant_id = $1 and ($2::text is null or name = $2)) as "exists!""#,
        tenant.as_uuid(),
        name.map(EnvironmentName::as_str),
    );
    Ok(exists.fetch_one(tx).await?)
}

/// Whether something was let go whose account nobody had asked to be closed.
pub(super) async fn has_unclosed_account(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
) -> Result<bool> {
    let left = sqlx::query_scalar!(
        r#"/* db::offboarding::has_unclosed_account */
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

pub(super) async fn active_environments(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: Option<&EnvironmentName>,
) -> Result<Vec<ActiveEnvironment>> {
    let ids: Vec<Uuid> = sqlx::query_scalar!(
        r#"/* db::offboarding::active_environments */
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
    Ok(active_environments)
}

/// The open operation of an environment, its row locked.
pub(super) async fn open(tx: &mut PgConnection, environment: EnvironmentId) -> Result<Option<Open>> {
    let row = sqlx::query!(
        r#"/* db::offboarding::open */
        select id, kind as "kind: OperationKind", lease_until from operations
        where environment_id = $1 and state in ('pending', 'running', 'needs_attention') for no key update"#,
        environment.as_uuid(),
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Open { id: row.id.into(), kind: row.kind, lease_until: row.lease_until }))
}

/// Whose operation it is, and of which environment.
pub(super) async fn owner_of_operation(
    tx: &mut PgConnection,
    id: OperationId,
) -> Result<Option<(TenantId, EnvironmentId)>> {
    let row = sqlx::query!(
        "/* db::offboarding::owner_of_operation */ select tenant_id, environment_id from operations where id = $1",
        id.as_uuid(),
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| (row.tenant_id.into(), row.environment_id.into())))
}

/// Whether an onboarding has never set out to ask for an account.
pub(super) async fn account_never_requested(tx: &mut PgConnection, id: OperationId) -> Result<bool> {
    let nothing = sqlx::query_scalar!(
        r#"/* db::offboarding::account_never_requested */
        select not exists (
            select from operation_steps where operation_id = $1 and name in ('request-account', 'await-account')
              and (intent is not null or facts ->> 'creation_request_id' is not null or facts ->> 'account_id' is not null)
        ) as "nothing!""#,
        id.as_uuid(),
    );
    Ok(nothing.fetch_one(tx).await?)
}

/// Whether a step of an operation is done.
pub(super) async fn is_step_done(tx: &mut PgConnection, id: OperationId, step: &str) -> Result<bool> {
    let done = sqlx::query_scalar!(
        r#"/* db::offboarding::is_step_done */
        select exists (
            select from operation_steps where operation_id = $1 and name = $2 and state = 'done'
        ) as "done!""#,
        id.as_uuid(),
        step,
    );
    Ok(done.fetch_one(tx).await?)
}

pub(super) async fn has_account(tx: &mut PgConnection, environment: EnvironmentId) -> Result<bool> {
    let mapped = sqlx::query_scalar!(
        r#"/* db::offboarding::has_account */
        select exists (
            select from account_mappings where environment_id = $1 and valid_to is null
        ) as "mapped!""#,
        environment.as_uuid(),
    );
    Ok(mapped.fetch_one(tx).await?)
}
