//! Environments that come later than the signup.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::idempotency::{self, ExistingKey};
use super::signup::{IdempotencyKey, StoredResponse};
use super::{PgPool, Result, finish_transaction, map_constraint_violation, offboarding};
use crate::environment::Environment;
use crate::event::EventType;
use crate::operation::{OperationKind, OperationState, Requester};

/// How many environments a tenant may have at a time: each is an AWS account.
pub const MOST_PER_TENANT: i64 = 20;

/// What became of a wish for another environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddResult {
    /// It was written.
    Accepted,
    /// Its key has been used.
    ExistingKey(ExistingKey),
    /// There is no such tenant.
    UnknownTenant,
    /// The tenant is gone.
    TenantGone,
    /// The tenant has as many as it may have.
    TooMany,
}

/// Writes an environment of a tenant that is there, its onboarding and the answer under `key`; or nothing.
///
/// Fails with [`super::DbError::EnvironmentExists`] where the tenant has one of this name.
pub async fn add(
    pool: &PgPool,
    key: &IdempotencyKey,
    request_hash: [u8; 32],
    environment: &Environment,
    by: &Requester,
    answer: &StoredResponse,
) -> Result<AddResult> {
    let mut tx = pool.begin().await?;
    let added = add_in(&mut tx, key, request_hash, environment, by, answer).await;
    finish_transaction(tx, added, |added| *added == AddResult::Accepted).await
}

async fn add_in(
    tx: &mut PgConnection,
    key: &IdempotencyKey,
    request_hash: [u8; 32],
    environment: &Environment,
    by: &Requester,
    answer: &StoredResponse,
) -> Result<AddResult> {
    let free = sqlx::query_scalar!(
        r#"/* db::environments::add */ select pg_try_advisory_xact_lock($1) as "free!""#,
        key.lock(),
    );
    if !free.fetch_one(&mut *tx).await? {
        return Ok(AddResult::ExistingKey(ExistingKey::InFlight));
    }
    if let Some(known) = idempotency::find_existing(&mut *tx, key, request_hash).await? {
        return Ok(AddResult::ExistingKey(known));
    }
    offboarding::lock(&mut *tx, environment.tenant_id).await?;
    // Nor is the tenant closed meanwhile, by a worker that ends its last environment.
    sqlx::query!(
        "/* db::environments::add */ select 1 as one from tenants where id = $1 for no key update",
        environment.tenant_id.as_uuid(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let tenant = sqlx::query!(
        r#"/* db::environments::add */
        select t.offboarded_at is not null as "gone!",
            (select count(*) from environments e where e.tenant_id = t.id and e.state <> 'offboarded') as "count!"
        from tenants t where t.id = $1"#,
        environment.tenant_id.as_uuid(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    match tenant {
        None => return Ok(AddResult::UnknownTenant),
        Some(tenant) if tenant.gone => return Ok(AddResult::TenantGone),
        Some(tenant) if tenant.count >= MOST_PER_TENANT => return Ok(AddResult::TooMany),
        Some(_) => {}
    }
    insert(&mut *tx, environment, by, environment.created_at).await?;
    keep(tx, key, request_hash, answer, environment.created_at).await?;
    Ok(AddResult::Accepted)
}

async fn insert(tx: &mut PgConnection, environment: &Environment, by: &Requester, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::environments::insert */
        with environment as (
            insert into environments (id, tenant_id, name, residency, home_region, created_at, state, updated_at)
            values ($1, $2, $3, $4, $5, $6, $7, $6)
        ),
        operation as (
            insert into operations
                (id, tenant_id, environment_id, kind, requested_by, created_at, state, wake_at, last_seq, updated_at,
                    traceparent)
            values ($8, $2, $1, $9, $10, $6, $11, $6, 1, $6, $14)
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
        json!(by),
        OperationState::Pending.as_str(),
        EventType::OperationAccepted.as_str(),
        json!({ "environment": environment.name, "home_region": environment.home_region }),
        crate::trace::traceparent(),
    )
    .execute(tx)
    .await
    .map_err(map_constraint_violation)?;
    Ok(())
}

async fn keep(
    tx: &mut PgConnection,
    key: &IdempotencyKey,
    request_hash: [u8; 32],
    answer: &StoredResponse,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::environments::keep */
        insert into idempotency_keys (issuer, client, route, key, request_hash, status, location, response, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8::text::json, $9)"#,
        key.issuer,
        key.client,
        key.route,
        key.key,
        request_hash.as_slice(),
        answer.status,
        answer.location,
        answer.body,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
