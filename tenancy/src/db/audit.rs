//! Stores the audit trail: writes entries, chains them, and reads them in order.

mod list;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgExecutor;

use super::{DbError, PgPool, Result};
use crate::audit::{AuditEntry, AuditOutcome, ChainHead, Hash};
use crate::{ApprovalId, OperationId, TenantId};

pub use list::{AuditFilter, list, list_with_previous};

/// Age after which an entry without an outcome is chained as *unknown*, because its process must have died.
const OPEN_ENTRY_TIMEOUT: TimeDelta = TimeDelta::minutes(1);

/// Maximum difference between the clocks of the processes that write and chain entries.
const CLOCK_SKEW: TimeDelta = TimeDelta::hours(1);

/// Writes an entry before its action is carried out, and returns the id of the entry. An entry of an approval gets the
/// operation of the approval, and an entry of an operation or approval its tenant.
pub async fn begin(pool: &PgPool, entry: &AuditEntry, tenant: Option<TenantId>, now: DateTime<Utc>) -> Result<i64> {
    let (entry, tenant) = with_subject(pool, entry, tenant).await?;
    insert(pool, &entry, tenant, None, now).await
}

/// Writes an entry of an action that has finished, together with its outcome.
pub async fn note(
    pool: &PgPool,
    entry: &AuditEntry,
    tenant: Option<TenantId>,
    outcome: &AuditOutcome,
    now: DateTime<Utc>,
) -> Result<()> {
    let (entry, tenant) = with_subject(pool, entry, tenant).await?;
    note_in(pool, &entry, tenant, outcome, now).await
}

/// Writes an entry like [`note`], in the transaction of its action. The entry does not belong to an approval.
pub async fn note_in(
    executor: impl PgExecutor<'_>,
    entry: &AuditEntry,
    tenant: Option<TenantId>,
    outcome: &AuditOutcome,
    now: DateTime<Utc>,
) -> Result<()> {
    insert(executor, entry, tenant, Some(storable(json!(outcome))), now).await.map(drop)
}

/// Replaces the character U+0000 in all texts, because PostgreSQL does not store it. An entry with the text of a caller
/// must not fail.
fn storable(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(values) => values.into_iter().map(storable).collect(),
        Value::Object(fields) => {
            let stored = |(name, value): (String, Value)| (name.replace('\0', "\u{fffd}"), storable(value));
            Value::Object(fields.into_iter().map(stored).collect())
        }
        other => other,
    }
}

async fn insert(
    executor: impl PgExecutor<'_>,
    entry: &AuditEntry,
    tenant: Option<TenantId>,
    outcome: Option<Value>,
    now: DateTime<Utc>,
) -> Result<i64> {
    let id = sqlx::query_scalar!(
        r#"/* db::audit::insert */
        insert into audit_pending (started_at, tenant_id, entry, outcome)
        values ($1, coalesce($2, (select tenant_id from operations where id = $3)), $4, $5) returning id"#,
        now,
        tenant.map(TenantId::as_uuid),
        entry.operation_id.map(OperationId::as_uuid),
        storable(json!(entry)),
        outcome,
    );
    Ok(id.fetch_one(executor).await?)
}

/// Returns the entry with the operation, and the tenant, that its approval belongs to.
async fn with_subject(
    pool: &PgPool,
    entry: &AuditEntry,
    tenant: Option<TenantId>,
) -> Result<(AuditEntry, Option<TenantId>)> {
    let Some(approval) = entry.ids.iter().find_map(|id| id.parse().ok()) else { return Ok((entry.clone(), tenant)) };
    let (operation, tenant_of_approval) = approval_subject(pool, approval).await?;
    let entry = AuditEntry { operation_id: entry.operation_id.or(operation), ..entry.clone() };
    Ok((entry, tenant.or(tenant_of_approval)))
}

/// Returns the operation or the tenant that an approval belongs to.
async fn approval_subject(pool: &PgPool, id: ApprovalId) -> Result<(Option<OperationId>, Option<TenantId>)> {
    let row = sqlx::query!(
        "/* db::audit::approval_subject */ select operation_id, tenant_id from approvals where id = $1",
        id.as_uuid(),
    );
    let Some(row) = row.fetch_optional(pool).await? else { return Ok((None, None)) };
    Ok((row.operation_id.map(Into::into), row.tenant_id.map(Into::into)))
}

/// Writes the outcome of an entry. Returns false if the entry was already chained as *unknown*.
pub async fn end(pool: &PgPool, id: i64, outcome: &AuditOutcome) -> Result<bool> {
    let done = sqlx::query_scalar!(
        r#"/* db::audit::end */ select audit_complete($1, $2) as "is_completed!""#,
        id,
        storable(json!(outcome)),
    );
    Ok(done.fetch_one(pool).await?)
}

/// Appends all finished entries to the chain and returns its head. Deletes records whose retention has ended.
pub async fn advance(pool: &PgPool, now: DateTime<Utc>) -> Result<ChainHead> {
    Ok(chain(pool, now).await?.head)
}

/// Chain after a pass of [`chain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    pub head: ChainHead,
    /// Time at which the counted refusals of an hour become a record; `None` if none are counted.
    pub refusals_due_at: Option<DateTime<Utc>>,
}

/// Appends all finished entries to the chain. Rows that Freehold did not write are moved out of the trail and reported
/// as an alert.
pub async fn chain(pool: &PgPool, now: DateTime<Utc>) -> Result<Chain> {
    let mut was_idle = false;
    loop {
        let row = sqlx::query!(
            r#"/* db::audit::chain */
            select position, hash, s.refusals_due_at, coalesce(s.refusals_due_at <= $1, false) or exists (
                    select from audit_pending where outcome is not null or started_at not between $2 and $3
                ) or exists (select from audit_records r where r.position > h.position) as "is_due!"
            from audit_head h, audit_status() s"#,
            now,
            now - OPEN_ENTRY_TIMEOUT,
            now + CLOCK_SKEW,
        );
        let row = row.fetch_one(pool).await?;
        let chain = Chain {
            head: ChainHead { position: row.position, hash: hash(row.hash)? },
            refusals_due_at: row.refusals_due_at,
        };
        if !row.is_due {
            return Ok(chain);
        }
        let pass = sqlx::query!(
            r#"/* db::audit::chain */ select chained as "chained!", strays as "strays!" from audit_chain($1)"#,
            now,
        );
        let pass = pass.fetch_one(pool).await?;
        if pass.strays > 0 {
            tracing::error!(
                target: "freehold::alert",
                count = pass.strays,
                "{} rows in the audit tables were not written by Freehold; they were moved to audit_strays",
                pass.strays
            );
        }
        // The function limits the time to that of the database, so what is due by the clock here may not be due there.
        let is_idle = pass.chained == 0 && pass.strays == 0;
        if is_idle && was_idle {
            return Ok(chain);
        }
        was_idle = is_idle;
    }
}

/// Returns position and hash of the last record in the chain and of the last deleted record.
pub async fn chain_ends(pool: &PgPool) -> Result<(ChainHead, ChainHead)> {
    let row = sqlx::query!(
        "/* db::audit::chain_ends */ select position, hash, dropped_position, dropped_hash from audit_head"
    );
    let row = row.fetch_one(pool).await?;
    let head = ChainHead { position: row.position, hash: hash(row.hash)? };
    Ok((head, ChainHead { position: row.dropped_position, hash: hash(row.dropped_hash)? }))
}

/// Returns the number of records beyond the head, which Freehold did not write.
pub async fn count_beyond_head(pool: &PgPool) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"/* db::audit::count_beyond_head */
        select count(*) as "count!" from audit_records where position > (select position from audit_head)"#
    );
    Ok(count.fetch_one(pool).await?)
}

/// State of the audit tables that API and worker cannot read themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditStatus {
    /// Retention that the deletion of records uses; `None` if nothing is deleted.
    pub retention_days: Option<i32>,
    /// Number of rows that Freehold did not write, in `audit_strays`.
    pub strays: i64,
    /// Start of the oldest entry that is not chained yet.
    pub pending_since: Option<DateTime<Utc>>,
}

pub async fn status(pool: &PgPool) -> Result<AuditStatus> {
    let status = sqlx::query_as!(
        AuditStatus,
        r#"/* db::audit::status */ select retention_days, strays as "strays!", pending_since from audit_status()"#
    );
    Ok(status.fetch_one(pool).await?)
}

/// Stores the retention of the audit trail, which only the owner of the database can do. Returns the retention before,
/// or `None` if none was stored.
pub async fn set_retention(executor: impl PgExecutor<'_>, days: u32) -> Result<Option<i32>> {
    let before = sqlx::query_scalar!(
        r#"/* db::audit::set_retention */
        with before as (select retention_days from audit_settings),
        stored as (
            insert into audit_settings (retention_days) values ($1)
            on conflict (singleton) do update set retention_days = excluded.retention_days
        )
        select retention_days from before"#,
        i32::try_from(days).unwrap_or(i32::MAX),
    );
    Ok(before.fetch_optional(executor).await?)
}

fn hash(bytes: Vec<u8>) -> Result<Hash> {
    bytes.try_into().map_err(|_| DbError::UnexpectedValue("a value that is not a SHA-256 hash".to_owned()))
}
