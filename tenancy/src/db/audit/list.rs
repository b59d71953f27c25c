//! Reads the records of the audit trail in order.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::hash;
use crate::audit::{Hash, Record};
use crate::db::{PgPool, Result};
use crate::{AwsAccountId, EnvironmentId, OperationId, TenantId};

/// Filter for audit records; a field that is `None` matches all records.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Start of the time range: the first record that was added to the trail at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// End of the time range: the first record that was added at this time or later is not included.
    pub until: Option<DateTime<Utc>>,
    pub tenant: Option<TenantId>,
    /// Environment that the record names by its id, its path or one of its operations.
    pub environment: Option<EnvironmentId>,
    /// Account of such an environment.
    pub account: Option<AwsAccountId>,
    /// Operation that the record belongs to, or that its request has started.
    pub operation: Option<OperationId>,
    /// Name of the audited action, such as `createTenant`.
    pub action: Option<String>,
    /// Subject of the token of the actor, or name of the process.
    pub actor: Option<String>,
    /// Subject of the token of the actor.
    pub subject: Option<String>,
    /// Client that sent the request of the actor.
    pub client: Option<String>,
    /// Id that Freehold or AWS assigned to the request.
    pub request_id: Option<String>,
}

/// Returns at most `limit` records after the position `after`, in order.
pub async fn list(pool: &PgPool, filter: &AuditFilter, after: i64, limit: i64) -> Result<Vec<Record>> {
    let records = list_with_previous(pool, filter, after, limit).await?;
    Ok(records.into_iter().map(|(record, _)| record).collect())
}

/// Returns records like [`list`], each with the hash of the record before it; the hash is `None` if that record is
/// missing. No record beyond the head of the trail is returned, because it is not part of the chain.
///
/// The caller must not drop the future, which would leave a connection in a transaction.
pub async fn list_with_previous(
    pool: &PgPool,
    filter: &AuditFilter,
    after: i64,
    limit: i64,
) -> Result<Vec<(Record, Option<Hash>)>> {
    let (mut tenant, mut names, mut path) = (filter.tenant, None, None);
    if filter.environment.is_some() || filter.account.is_some() {
        let Some(environment) = find_environment(pool, filter).await? else { return Ok(Vec::new()) };
        tenant = Some(environment.tenant);
        names = Some(environment.names);
        path = Some(environment.path);
    }
    let mut tx = pool.begin().await?;
    // A plan for all filters would read the whole trail, because it could use the index of none.
    sqlx::query!("/* db::audit::list_with_previous */ set local plan_cache_mode = force_custom_plan")
        .execute(&mut *tx)
        .await?;
    // A time range is converted to a range of positions, so that its records are consecutive. The indexes contain the
    // first 256 characters of a text.
    let rows = sqlx::query!(
        r#"/* db::audit::list_with_previous */
        select r.position, r.recorded_at, r.record::text as "record!", r.hash, coalesce(
            (select p.hash from audit_records p where p.position = r.position - 1),
            (select h.dropped_hash from audit_head h where h.dropped_position = r.position - 1)
        ) as previous
        from audit_records r
        where r.position > $1 and r.position <= (select position from audit_head)
            and ($2::timestamptz is null or r.position >= (
                select b.position from audit_records b where b.recorded_at >= $2
                and b.position <= (select position from audit_head) order by b.recorded_at, b.position limit 1))
            and ($3::timestamptz is null or r.position < coalesce((
                select b.position from audit_records b where b.recorded_at >= $3
                and b.position <= (select position from audit_head) order by b.recorded_at, b.position limit 1), 9223372036854775807))
            and ($4::text is null or r.record ->> 'tenant_id' = $4)
            and ($5::text[] is null or r.record::text like any($5) or r.record ->> 'resource' ~ $6)
            and ($7::text is null or r.position = any(array(
                select o.position from audit_records o
                where left(o.record ->> 'operation_id', 256) = left($7, 256) and o.record ->> 'operation_id' = $7
                union all
                select o.position from audit_records o where (o.record -> 'outcome' -> 'ids')::jsonb ? $7)))
            and ($8::text is null or left(r.record ->> 'action', 256) = left($8, 256) and r.record ->> 'action' = $8)
            and ($9::text is null
                or left(coalesce(r.record -> 'actor' ->> 'subject', r.record -> 'actor' ->> 'process'), 256)
                    = left($9, 256)
                and coalesce(r.record -> 'actor' ->> 'subject', r.record -> 'actor' ->> 'process') = $9)
            and ($10::text is null or r.record -> 'actor' ->> 'subject' = $10)
            and ($11::text is null or left(r.record -> 'actor' ->> 'client', 256) = left($11, 256)
                and r.record -> 'actor' ->> 'client' = $11)
            and ($12::text is null
                or left(r.record ->> 'request_id', 256) = left($12, 256) and r.record ->> 'request_id' = $12
                or left(r.record -> 'outcome' ->> 'aws_request_id', 256) = left($12, 256)
                and r.record -> 'outcome' ->> 'aws_request_id' = $12)
        order by r.position limit $13"#,
        after,
        filter.from,
        filter.until,
        tenant.map(|id| id.to_string()),
        names.as_deref(),
        path,
        filter.operation.map(|id| id.to_string()),
        filter.action,
        // The index is on the actor.
        filter.actor.as_ref().or(filter.subject.as_ref()),
        filter.subject,
        filter.client,
        filter.request_id,
        limit,
    );
    let rows = rows.fetch_all(&mut *tx).await?.into_iter();
    tx.rollback().await?;
    rows.map(|row| {
        let record =
            Record { position: row.position, recorded_at: row.recorded_at, text: row.record, hash: hash(row.hash)? };
        Ok((record, row.previous.map(hash).transpose()?))
    })
    .collect()
}

/// Texts by which a record names an environment.
struct EnvironmentNames {
    tenant: TenantId,
    /// Patterns of `like` with the ids of the environment, its account and its operations.
    names: Vec<String>,
    /// Regular expression for the path of the environment.
    path: String,
}

/// Returns the environment that the filter selects, or `None` if the fields of the filter exclude each other.
async fn find_environment(pool: &PgPool, filter: &AuditFilter) -> Result<Option<EnvironmentNames>> {
    let row = sqlx::query!(
        r#"/* db::audit::find_environment */
        select e.id, e.tenant_id, e.name, m.aws_account_id as "aws_account_id?",
            array(select o.id from operations o where o.tenant_id = e.tenant_id and o.environment_id = e.id)
                as "operations!: Vec<Uuid>"
        from environments e left join account_mappings m on m.environment_id = e.id
        where ($1::uuid is null or e.id = $1) and ($2::text is null or m.aws_account_id = $2)
            and ($3::uuid is null or e.tenant_id = $3)
        order by m.valid_from desc nulls last limit 1"#,
        filter.environment.map(EnvironmentId::as_uuid),
        filter.account.as_ref().map(AwsAccountId::as_str),
        filter.tenant.map(TenantId::as_uuid),
    );
    let Some(row) = row.fetch_optional(pool).await? else { return Ok(None) };
    let operations = row.operations.into_iter().map(|id| OperationId::from(id).to_string());
    let ids = operations.chain([EnvironmentId::from(row.id).to_string()]).chain(row.aws_account_id);
    Ok(Some(EnvironmentNames {
        tenant: row.tenant_id.into(),
        // In a pattern, `_` matches any character, so it is escaped.
        names: ids.map(|id| format!("%{}%", id.replace('_', "\\_"))).collect(),
        path: format!("/environments/{}($|[/?])", row.name),
    }))
}
