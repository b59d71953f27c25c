//! Stores a signup with one SQL statement in one transaction.

use super::account_limit::{self, AccountLimit, LimitReached};
use super::environment_front_doors;
use super::environment_replicas::ReplicaColumns;
use super::idempotency::{self, ExistingKey, IdempotencyKey, StoredResponse};
use super::{PgPool, Result, finish_transaction, map_constraint_violation};
use crate::audit::{AuditEntry, AuditOutcome, AuditResult};
use crate::environment::EnvironmentState;
use crate::event::EventType;
use crate::front_door::FrontDoorState;
use crate::operation::{OperationKind, OperationState, Requester};
use crate::replica::ReplicaState;
use crate::tenant::Tenant;
use crate::unicode::{comparable, invisible_characters_of_postgresql};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

/// Result of [`sign_up`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignupResult {
    /// The signup was written.
    Created,
    /// The idempotency key has been used.
    DuplicateKey(ExistingKey),
    /// The client has reached its daily limit of accounts. Nothing was written.
    DailyLimitReached(LimitReached),
}

/// Fields of a signup that an active tenant already uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignupConflicts {
    /// Whether the external id is in use. The signup would be refused.
    pub external_id: bool,
    /// Whether the company name is in use. Causes only a warning.
    pub company_name: bool,
    /// Whether the e-mail address of the administrator is in use. Causes only a warning.
    pub admin_email: bool,
}

/// Returns the fields of a new `tenant` that an active tenant already uses. Company names are equal if they look the
/// same: without invisible characters, and in the same normal form.
pub async fn find_conflicts(pool: &PgPool, tenant: &Tenant) -> Result<SignupConflicts> {
    let find_conflicts = sqlx::query_as!(
        SignupConflicts,
        r#"/* db::signup::find_conflicts */
        select coalesce(bool_or(external_id = $1), false) as "external_id!",
            coalesce(bool_or(lower(case when octet_length(company_name) = char_length(company_name) then company_name
                else normalize(regexp_replace(company_name, $4, '', 'g'), NFKC) end) = lower($2)), false)
                as "company_name!",
            coalesce(bool_or(lower(admin_email) = lower($3)), false) as "admin_email!"
        from tenants where offboarded_at is null"#,
        tenant.external_id.as_ref().map(crate::ExternalId::as_str),
        comparable(tenant.company_name.as_str()),
        tenant.admin_email.as_ref().map(crate::EmailAddress::as_str),
        invisible_characters_of_postgresql(),
    );
    Ok(find_conflicts.fetch_one(pool).await?)
}

/// Values that are stored for a signup.
#[derive(Debug, Clone)]
pub struct Signup<'a> {
    pub key: &'a IdempotencyKey,
    /// Hash of the request. A repeated request has the same hash.
    pub request_hash: [u8; 32],
    /// New tenant; it contains the environments and the ids of their operations.
    pub tenant: &'a Tenant,
    pub requested_by: &'a Requester,
    /// Response to return and to store under the idempotency key.
    pub answer: &'a StoredResponse,
    /// Maximum number of accounts of the client in 24 hours. Each environment counts as one account.
    pub limit: Option<AccountLimit<'a>>,
    /// Whether a second person must approve each account. Stored with the operations and never computed again.
    pub approval_required: bool,
    /// Entry of the signup for the audit trail.
    pub entry: &'a AuditEntry,
}

/// Writes the tenant, its environments, the audit entry, the response, and an operation and first event for each
/// environment. Either everything or nothing is written.
///
/// Fails with [`super::DbError::ExternalIdTaken`] if an active tenant uses the external id.
pub async fn sign_up(pool: &PgPool, signup: &Signup<'_>) -> Result<SignupResult> {
    loop {
        match write(pool, signup).await? {
            InsertResult::Inserted => return Ok(SignupResult::Created),
            InsertResult::KeyLocked => return Ok(SignupResult::DuplicateKey(ExistingKey::InFlight)),
            // Try again if the reason for the rejection no longer exists.
            InsertResult::Rejected => {
                if let Some(outcome) = rejection_reason(pool, signup).await? {
                    return Ok(outcome);
                }
            }
        }
    }
}

/// Result of the insert statement.
enum InsertResult {
    Inserted,
    /// Nothing was written: another process is writing a signup with this key.
    KeyLocked,
    /// Nothing was written: the key has been used, or the daily limit would be exceeded.
    Rejected,
}

async fn write(pool: &PgPool, signup: &Signup<'_>) -> Result<InsertResult> {
    let mut tx = pool.begin().await?;
    let result = write_in_tx(&mut tx, signup).await;
    // A concurrent request with the same key can write it after this one has counted its accounts, which must not
    // count again.
    finish_transaction(tx, result, |result| matches!(result, InsertResult::Inserted)).await
}

async fn write_in_tx(tx: &mut PgConnection, signup: &Signup<'_>) -> Result<InsertResult> {
    let Signup { key, request_hash, tenant, requested_by, answer, limit, approval_required, entry } = *signup;
    let started = tenant.environments.iter().map(|environment| environment.operation_id.to_string());
    let outcome = AuditOutcome {
        status: u16::try_from(answer.status).ok(),
        ids: started.chain([tenant.id.to_string()]).collect(),
        ..AuditOutcome::of(AuditResult::Succeeded)
    };
    let now: DateTime<Utc> = tenant.created_at;
    let environments = &tenant.environments;
    let ids: Vec<Uuid> = environments.iter().map(|environment| environment.id.as_uuid()).collect();
    let operations: Vec<Uuid> = environments.iter().map(|environment| environment.operation_id.as_uuid()).collect();
    let names: Vec<String> = environments.iter().map(|environment| environment.name.to_string()).collect();
    let residencies: Vec<String> = environments.iter().map(|environment| environment.residency.to_string()).collect();
    let regions: Vec<String> = environments.iter().map(|environment| environment.home_region.to_string()).collect();
    let replicas = ReplicaColumns::of(environments);
    let front_doors = environment_front_doors::ids_of(environments);
    let row = sqlx::query!(
        r#"/* db::signup::sign_up */
        with lock as materialized (select pg_try_advisory_xact_lock($1) as free),
        -- A concurrent request of the client waits for this row and then sees the accounts that this one has added.
        counted as (
            insert into accepted_accounts as counter (issuer, client, accepted_at)
            select $2, $32, array_fill($10::timestamptz, array[cardinality($17::uuid[])]) from lock
            where lock.free and cardinality($17) <= $27::bigint and not exists (
                select from idempotency_keys where issuer = $2 and client = $3 and route = $4 and key = $5)
            on conflict (issuer, client, tenant) do update set accepted_at = array(
                select at from unnest(counter.accepted_at) as at where at > $10 - interval '1 day'
            ) || excluded.accepted_at
            where cardinality($17) + (
                select count(*) from unnest(counter.accepted_at) as at where at > $10 - interval '1 day') <= $27
            returning 1
        ),
        fresh as (
            insert into idempotency_keys (issuer, client, route, key, request_hash, status, location, response,
                created_at)
            select $2, $3, $4, $5, $6, $7, $8, $9::text::json, $10 from lock
            where lock.free and ($27 is null or exists (select from counted))
            on conflict do nothing
            returning 1
        ),
        tenant as (
            insert into tenants (id, created_at, company_name, admin_email, tier, external_id, labels, updated_at)
            select $11, $10, $12, $13, $14, $15, $16, $10 from fresh
        ),
        asked as (
            select * from fresh, unnest($17::uuid[], $18::uuid[], $19::text[], $20::text[], $21::text[])
                as asked (id, operation_id, name, residency, home_region)
        ),
        environment as (
            insert into environments (id, tenant_id, name, residency, home_region, created_at, state, updated_at)
            select id, $11, name, residency, home_region, $10, $22, $10 from asked
        ),
        replica as (
            insert into environment_replicas (environment_id, slot, region, created_at, state, since)
            select replica.*, $10, $36, $10
            from fresh, unnest($33::uuid[], $34::smallint[], $35::text[]) as replica (environment_id, slot, region)
        ),
        front_door as (
            insert into environment_front_doors (environment_id, created_at, state, since)
            select front_door.id, $10, $38, $10 from fresh, unnest($37::uuid[]) as front_door (id)
        ),
        operation as (
            insert into operations
                (id, tenant_id, environment_id, kind, requested_by, created_at, state, wake_at, last_seq, updated_at,
                    traceparent, approval_required)
            select operation_id, $11, id, $23, $24, $10, $25, $10, 1, $10, $30, $31 from asked
        ),
        event as (
            insert into events (operation_id, seq, tenant_id, environment_id, type, data, occurred_at)
            select operation_id, 1, $11, id, $26, jsonb_build_object('environment', name, 'home_region', home_region),
                $10
            from asked
        ),
        audited as (
            insert into audit_pending (started_at, tenant_id, entry, outcome) select $10, $11, $28, $29 from fresh
        )
        select lock.free as "free!", exists (select from fresh) as "written!" from lock"#,
        key.lock(),
        key.issuer,
        key.client,
        key.route,
        key.key,
        request_hash.as_slice(),
        answer.status,
        answer.location,
        answer.body,
        now,
        tenant.id.as_uuid(),
        tenant.company_name.as_str(),
        tenant.admin_email.as_ref().map(crate::EmailAddress::as_str),
        tenant.tier.as_str(),
        tenant.external_id.as_ref().map(crate::ExternalId::as_str),
        json!(tenant.labels),
        &ids,
        &operations,
        &names,
        &residencies,
        &regions,
        EnvironmentState::Onboarding.as_str(),
        OperationKind::Onboard.as_str(),
        json!(requested_by),
        OperationState::Pending.as_str(),
        EventType::OperationAccepted.as_str(),
        limit.map(|limit| i64::from(limit.maximum.get())),
        json!(entry),
        json!(outcome),
        crate::trace::traceparent(),
        approval_required,
        limit.map_or(key.client.as_str(), |limit| limit.client),
        &replicas.environments,
        &replicas.slots,
        &replicas.regions,
        ReplicaState::Pending.as_str(),
        &front_doors,
        FrontDoorState::Creating.as_str(),
    )
    .fetch_one(tx)
    .await
    .map_err(map_constraint_violation)?;

    Ok(match (row.free, row.written) {
        (_, true) => InsertResult::Inserted,
        (false, _) => InsertResult::KeyLocked,
        (true, false) => InsertResult::Rejected,
    })
}

/// Returns the reason for a rejected signup, or `None` if the reason no longer exists.
async fn rejection_reason(pool: &PgPool, signup: &Signup<'_>) -> Result<Option<SignupResult>> {
    let Signup { key, request_hash, tenant, limit, .. } = *signup;
    if let Some(known) = idempotency::find_existing(pool, key, request_hash).await? {
        return Ok(Some(SignupResult::DuplicateKey(known)));
    }
    let Some(limit) = limit else { return Ok(None) };
    let reached = account_limit::check(pool, &limit, tenant.environments.len(), tenant.created_at).await?;
    Ok(reached.map(SignupResult::DailyLimitReached))
}
