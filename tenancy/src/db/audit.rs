//! Stores the audit trail: writes entries, chains them, and reads them in order.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{DbError, PgPool, Result, finish_transaction};
use crate::audit::{AuditEntry, AuditKind, AuditOutcome, AuditResult, ChainHead, Hash, Record, chain_hash, text};
use crate::{OperationId, TenantId};

/// Maximum number of entries chained in one transaction.
const MAX_BATCH_SIZE: i64 = 1000;

/// Age after which an entry without an outcome is chained as *unknown*, because its process must have died.
const OPEN_ENTRY_TIMEOUT: TimeDelta = TimeDelta::minutes(1);

/// Interval between deletions of expired records.
const DELETION_INTERVAL: TimeDelta = TimeDelta::days(1);

/// Writes an entry before its action is carried out, and returns the id of the entry. An entry of an operation gets the
/// tenant of the operation.
pub async fn begin(pool: &PgPool, entry: &AuditEntry, tenant: Option<TenantId>, now: DateTime<Utc>) -> Result<i64> {
    insert(pool, entry, tenant, None, now).await
}

/// Writes an entry of an action that has finished, together with its outcome.
pub async fn note(
    pool: &PgPool,
    entry: &AuditEntry,
    tenant: Option<TenantId>,
    outcome: &AuditOutcome,
    now: DateTime<Utc>,
) -> Result<()> {
    insert(pool, entry, tenant, Some(json!(outcome)), now).await.map(drop)
}

async fn insert(
    pool: &PgPool,
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
        json!(entry),
        outcome,
    );
    Ok(id.fetch_one(pool).await?)
}

/// Writes the outcome of an entry. Returns false if the entry was already chained as *unknown*.
pub async fn end(pool: &PgPool, id: i64, outcome: &AuditOutcome) -> Result<bool> {
    let done =
        sqlx::query!("/* db::audit::end */ update audit_pending set outcome = $2 where id = $1", id, json!(outcome));
    Ok(done.execute(pool).await?.rows_affected() == 1)
}

/// Appends all finished entries to the chain and returns its head. Deletes records older than `retention`.
pub async fn advance(pool: &PgPool, retention: TimeDelta, now: DateTime<Utc>) -> Result<ChainHead> {
    loop {
        let row = sqlx::query!(
            r#"/* db::audit::advance */
            select position, hash, exists (
                select from audit_pending where outcome is not null or started_at < $1) as "pending!"
            from audit_head"#,
            now - OPEN_ENTRY_TIMEOUT,
        );
        let row = row.fetch_one(pool).await?;
        if !row.pending {
            return Ok(ChainHead { position: row.position, hash: hash(row.hash)? });
        }
        let mut tx = pool.begin().await?;
        let chain_hash = chain(&mut tx, retention, now).await;
        let (head, taken) = finish_transaction(tx, chain_hash, |(_, taken)| *taken > 0).await?;
        if taken < usize::try_from(MAX_BATCH_SIZE).unwrap_or(usize::MAX) {
            return Ok(head);
        }
    }
}

async fn chain(tx: &mut PgConnection, retention: TimeDelta, now: DateTime<Utc>) -> Result<(ChainHead, usize)> {
    // The row lock serialises chaining. A transaction that had to wait sees the committed changes in its next
    // statement.
    let head = sqlx::query!("/* db::audit::chain */ select position, hash from audit_head for no key update");
    let head = head.fetch_one(&mut *tx).await?;
    let mut head = ChainHead { position: head.position, hash: hash(head.hash)? };
    let pending = sqlx::query!(
        r#"/* db::audit::chain */
        with taken as (
            select id from audit_pending where outcome is not null or started_at < $1 order by id limit $2
        )
        delete from audit_pending p using taken where p.id = taken.id
        returning p.id, p.started_at, p.tenant_id, p.entry, p.outcome"#,
        now - OPEN_ENTRY_TIMEOUT,
        MAX_BATCH_SIZE,
    );
    let mut pending = pending.fetch_all(&mut *tx).await?;
    pending.sort_unstable_by_key(|one| one.id);
    let taken = pending.len();
    if taken == 0 {
        return Ok((head, 0));
    }
    let unknown = || json!(AuditOutcome::of(AuditResult::Unknown));
    let mut texts: Vec<String> = pending
        .into_iter()
        .map(|one| {
            text(one.entry, one.started_at, one.tenant_id.map(TenantId::from), one.outcome.unwrap_or_else(unknown))
        })
        .collect();
    texts.extend(delete_expired(&mut *tx, retention, now).await?);

    let (mut positions, mut hashes) = (Vec::new(), Vec::new());
    for text in &texts {
        let position = head.position + 1;
        head = ChainHead { position, hash: chain_hash(&head.hash, position, now, text) };
        positions.push(position);
        hashes.push(head.hash.to_vec());
    }
    sqlx::query!(
        r#"/* db::audit::chain */
        with appended as (
            insert into audit_records (position, recorded_at, record, hash)
            select position, $4, record::json, hash
            from unnest($1::bigint[], $2::text[], $3::bytea[]) as news (position, record, hash)
        )
        update audit_head set position = $5, hash = $6"#,
        &positions,
        &texts,
        &hashes,
        now,
        head.position,
        head.hash.as_slice(),
    )
    .execute(tx)
    .await?;
    Ok((head, taken))
}

/// Deletes expired records and returns the record that documents the deletion.
async fn delete_expired(tx: &mut PgConnection, retention: TimeDelta, now: DateTime<Utc>) -> Result<Option<String>> {
    let oldest = sqlx::query_scalar!(
        "/* db::audit::delete_expired */ select recorded_at from audit_records order by position limit 1"
    );
    if oldest.fetch_optional(&mut *tx).await?.is_none_or(|oldest| oldest > now - retention - DELETION_INTERVAL) {
        return Ok(None);
    }
    let dropped = sqlx::query!(
        r#"/* db::audit::delete_expired */
        with old as (delete from audit_records where recorded_at < $1 returning position, hash),
        last as (select position, hash from old order by position desc limit 1)
        update audit_head set dropped_position = last.position, dropped_hash = last.hash from last
        returning dropped_position, dropped_hash"#,
        now - retention,
    );
    let Some(dropped) = dropped.fetch_optional(tx).await? else { return Ok(None) };
    let entry = json!({
        "kind": AuditKind::Dropped,
        "action": "dropAuditRecords",
        "actor": { "process": "freehold" },
        "through": dropped.dropped_position,
        "hash": hex::encode(dropped.dropped_hash),
    });
    Ok(Some(text(entry, now, None, json!(AuditOutcome::of(AuditResult::Succeeded)))))
}

/// Filter for audit records; a field that is `None` matches all records.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub tenant: Option<TenantId>,
    /// Name of the audited action, such as `createTenant`.
    pub action: Option<String>,
    /// Subject of the token of the actor.
    pub subject: Option<String>,
    /// Id that Freehold or AWS assigned to the request.
    pub request_id: Option<String>,
}

/// Returns at most `limit` records after the position `after`, in order.
pub async fn list(pool: &PgPool, filter: &AuditFilter, after: i64, limit: i64) -> Result<Vec<Record>> {
    let rows = sqlx::query!(
        r#"/* db::audit::list */
        select position, recorded_at, record::text as "record!", hash from audit_records
        where position > $1
            and ($2::text is null or record ->> 'tenant_id' = $2)
            and ($3::text is null or record ->> 'action' = $3)
            and ($4::text is null or record -> 'actor' ->> 'subject' = $4)
            and ($5::text is null or record ->> 'request_id' = $5 or record -> 'outcome' ->> 'aws_request_id' = $5)
        order by position limit $6"#,
        after,
        filter.tenant.map(|tenant| tenant.to_string()),
        filter.action,
        filter.subject,
        filter.request_id,
        limit,
    );
    let rows = rows.fetch_all(pool).await?.into_iter();
    rows.map(|row| {
        Ok(Record { position: row.position, recorded_at: row.recorded_at, text: row.record, hash: hash(row.hash)? })
    })
    .collect()
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

fn hash(bytes: Vec<u8>) -> Result<Hash> {
    bytes.try_into().map_err(|_| DbError::UnexpectedValue("a value that is not a SHA-256 hash".to_owned()))
}
