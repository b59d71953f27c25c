//! Adds an environment to an active tenant.
//!
//! Whether a second person must approve the account is decided here, from the tier that the tenant has under its lock,
//! and never again.

use serde_json::json;
use sqlx::{PgConnection, PgExecutor};

use super::queries::lock_tenant;
use crate::TenantId;
use crate::db::account_limit::{self, AccountLimit, LimitReached};
use crate::db::idempotency::{self, ExistingKey, IdempotencyKey, StoredResponse};
use crate::db::{
    PgPool, Result, environment_front_doors, environment_replicas, finish_transaction, map_constraint_violation,
};
use crate::environment::Environment;
use crate::event::EventType;
use crate::operation::{Initiator, OperationKind, OperationState, Requester};

/// Maximum number of environments per tenant, because each environment needs an AWS account.
pub const MAX_ENVIRONMENTS: i64 = 20;

/// Result of [`add_environment`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddResult {
    Created,
    ExistingKey(ExistingKey),
    /// The tenant cannot get another environment.
    Refused(AddRefusal),
    /// The daily limit of accounts is reached.
    DailyLimitReached(LimitReached),
}

/// Reason why a tenant cannot get another environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddRefusal {
    TenantNotFound,
    /// The tenant has been offboarded.
    TenantOffboarded,
    /// An operator has suspended the tenant.
    TenantSuspended,
    /// An operator is offboarding all environments of the tenant, and a token of the tenant requested another one.
    ReservedForOperator,
    /// The tenant has [`MAX_ENVIRONMENTS`] already.
    TooManyEnvironments,
}

/// Values that are stored for another environment of a tenant.
#[derive(Debug, Clone, Copy)]
pub struct NewEnvironment<'a> {
    pub key: &'a IdempotencyKey,
    pub request_hash: [u8; 32],
    pub environment: &'a Environment,
    pub requested_by: &'a Requester,
    pub initiator: Initiator,
    /// Response to return and to store under the idempotency key.
    pub answer: &'a StoredResponse,
    /// Tiers in which a second person must approve each account.
    pub approval_tiers: &'a [String],
    pub limit: Option<AccountLimit<'a>>,
}

/// Writes the environment, its onboarding and the response under its key in one transaction.
///
/// Fails with [`crate::db::DbError::EnvironmentExists`] if the tenant has an environment of this name.
pub async fn add_environment(pool: &PgPool, new: &NewEnvironment<'_>) -> Result<AddResult> {
    let mut tx = pool.begin().await?;
    let added = add_environment_in_tx(&mut tx, new).await;
    finish_transaction(tx, added, |added| *added == AddResult::Created).await
}

async fn add_environment_in_tx(tx: &mut PgConnection, new: &NewEnvironment<'_>) -> Result<AddResult> {
    let NewEnvironment { key, request_hash, environment, answer, .. } = *new;
    let free = sqlx::query_scalar!(
        r#"/* db::lifecycle::add_environment */ select pg_try_advisory_xact_lock($1) as "free!""#,
        key.lock(),
    );
    if !free.fetch_one(&mut *tx).await? {
        return Ok(AddResult::ExistingKey(ExistingKey::InFlight));
    }
    if let Some(known) = idempotency::find_existing(&mut *tx, key, request_hash).await? {
        return Ok(AddResult::ExistingKey(known));
    }
    lock_tenant(&mut *tx, environment.tenant_id).await?;
    // The row lock prevents a worker that finishes the last environment from offboarding the tenant at the same time.
    sqlx::query!(
        "/* db::lifecycle::add_environment */ select 1 as one from tenants where id = $1 for no key update",
        environment.tenant_id.as_uuid(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(refusal) = find_refusal(&mut *tx, environment.tenant_id, new.initiator).await? {
        return Ok(AddResult::Refused(refusal));
    }
    if let Some(limit) = &new.limit
        && let Some(reached) = account_limit::take_one(&mut *tx, limit, environment.created_at).await?
    {
        return Ok(AddResult::DailyLimitReached(reached));
    }
    insert_environment(&mut *tx, new).await?;
    idempotency::insert(tx, key, request_hash, answer, environment.created_at).await?;
    Ok(AddResult::Created)
}

/// Returns why the tenant cannot get another environment at the moment, or `None` if it can.
pub async fn find_refusal(
    executor: impl PgExecutor<'_>,
    tenant: TenantId,
    initiator: Initiator,
) -> Result<Option<AddRefusal>> {
    let tenant = sqlx::query!(
        r#"/* db::lifecycle::add_environment */
        select t.offboarded_at is not null as "gone!", t.suspended_at is not null as "suspended!",
            not exists (
                select from environments e where e.tenant_id = t.id and e.state <> 'offboarded' and not exists (
                    select from operations o
                    where o.environment_id = e.id and o.kind = 'offboard' and o.finished_at is null
                        and not o.started_by_tenant)
            ) as "offboarded_by_operator!",
            (select count(*) from environments e where e.tenant_id = t.id and e.state <> 'offboarded') as "count!"
        from tenants t where t.id = $1"#,
        tenant.as_uuid(),
    )
    .fetch_optional(executor)
    .await?;
    Ok(match tenant {
        None => Some(AddRefusal::TenantNotFound),
        Some(tenant) if tenant.gone => Some(AddRefusal::TenantOffboarded),
        Some(tenant) if tenant.suspended => Some(AddRefusal::TenantSuspended),
        Some(tenant) if tenant.offboarded_by_operator && initiator == Initiator::Tenant => {
            Some(AddRefusal::ReservedForOperator)
        }
        Some(tenant) if tenant.count >= MAX_ENVIRONMENTS => Some(AddRefusal::TooManyEnvironments),
        Some(_) => None,
    })
}

async fn insert_environment(tx: &mut PgConnection, new: &NewEnvironment<'_>) -> Result<()> {
    let (environment, now) = (new.environment, new.environment.created_at);
    sqlx::query!(
        r#"/* db::lifecycle::insert_environment */
        with environment as (
            insert into environments (id, tenant_id, name, residency, home_region, created_at, state, updated_at)
            values ($1, $2, $3, $4, $5, $6, $7, $6)
        ),
        operation as (
            insert into operations
                (id, tenant_id, environment_id, kind, requested_by, created_at, state, wake_at, last_seq, updated_at,
                    traceparent, approval_required)
            select $8, $2, $1, $9, $10, $6, $11, $6, 1, $6, $14, t.tier = any($15::text[])
            from tenants t where t.id = $2
        )
        insert into events (operation_id, seq, tenant_id, environment_id, type, data, occurred_at)
        values ($8, 1, $2, $1, $12, $13, $6)"#,
        environment.id.as_uuid(),
        environment.tenant_id.as_uuid(),
        environment.name.as_str(),
        environment.residency.as_str(),
        environment.home_region.as_str(),
        now,
        environment.state.as_str(),
        environment.operation_id.as_uuid(),
        OperationKind::Onboard.as_str(),
        json!(new.requested_by),
        OperationState::Pending.as_str(),
        EventType::OperationAccepted.as_str(),
        json!({ "environment": environment.name, "home_region": environment.home_region }),
        crate::trace::traceparent(),
        new.approval_tiers,
    )
    .execute(&mut *tx)
    .await
    .map_err(map_constraint_violation)?;
    environment_replicas::insert(&mut *tx, environment.id, &environment.replicas).await?;
    if let Some(front_door) = &environment.front_door {
        environment_front_doors::insert(tx, environment.id, front_door).await?;
    }
    Ok(())
}
