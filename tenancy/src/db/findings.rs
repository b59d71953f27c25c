//! Stores findings, which are differences between AWS and the database.

mod events;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

pub(super) use self::events::LockedEnvironments;
use super::{PgPool, Result, parse_text};
use crate::feed::FeedType;
use crate::finding::{Finding, FindingKind, FindingRemedy, FindingState, NewFinding, Severity};
use crate::{AwsAccountId, EnvironmentId, FindingId, OperationId, TenantId};
pub use events::StateChanges;
pub(super) use events::write_degraded;

/// Recorded finding, and whether it is new.
pub type RecordedFinding = (Finding, bool);

/// Stores findings: updates open findings and inserts the others. Returns each finding and whether it is new, and the
/// environments whose state changed. Writes the events of both.
///
/// Safe to run concurrently, because at most one finding per kind and subject is open.
pub async fn record(
    pool: &PgPool,
    found: &[NewFinding],
    now: DateTime<Utc>,
) -> Result<(Vec<RecordedFinding>, StateChanges)> {
    let mut tx = pool.begin().await?;
    let environments = found.iter().filter_map(|finding| finding.environment).map(|(_, id)| id.as_uuid());
    let environments = LockedEnvironments::lock(&mut tx, environments.collect()).await?;
    let ids: Vec<Uuid> = found.iter().map(|_| FindingId::new(now).as_uuid()).collect();
    let kinds: Vec<String> = found.iter().map(|finding| finding.kind.to_string()).collect();
    let severities: Vec<String> = found.iter().map(|finding| finding.kind.severity().to_string()).collect();
    let subjects: Vec<String> = found.iter().map(|finding| finding.subject.clone()).collect();
    let accounts: Vec<Option<String>> =
        found.iter().map(|finding| finding.aws_account_id.as_ref().map(ToString::to_string)).collect();
    let tenants: Vec<Option<Uuid>> =
        found.iter().map(|finding| finding.environment.map(|(tenant, _)| tenant.as_uuid())).collect();
    let environment_ids: Vec<Option<Uuid>> =
        found.iter().map(|finding| finding.environment.map(|(_, environment)| environment.as_uuid())).collect();
    let sentences: Vec<String> = found.iter().map(|finding| finding.message.clone()).collect();
    let remedies: Vec<String> = found.iter().map(|finding| finding.remedy.to_string()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"/* db::findings::record */
        insert into findings (id, kind, severity, subject, aws_account_id, tenant_id, environment_id, message, remedy,
            first_seen_at, last_seen_at)
        select *, $10, $10 from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[],
            $7::uuid[], $8::text[], $9::text[])
        on conflict (kind, subject) where resolved_at is null do update
            set last_seen_at = greatest(findings.last_seen_at, excluded.last_seen_at), severity = excluded.severity,
                message = excluded.message,
                -- The finding is still there after its repair: the repair did not help.
                remedy = case when exists (
                    select from operations o where o.id = findings.operation_id and o.finished_at is not null
                ) then 'person' else excluded.remedy end
        returning id, kind as "kind: FindingKind", severity as "severity: Severity", subject, aws_account_id, tenant_id,
            environment_id, message, remedy as "remedy: FindingRemedy", operation_id, first_seen_at, last_seen_at,
            resolved_at"#,
        &ids,
        &kinds,
        &severities,
        &subjects,
        &accounts as &[Option<String>],
        &tenants as &[Option<Uuid>],
        &environment_ids as &[Option<Uuid>],
        &sentences,
        &remedies,
        now,
    )
    .fetch_all(&mut *tx)
    .await?;
    let recorded = rows.into_iter().map(|row| {
        let is_new = ids.contains(&row.id);
        Ok((row.finding()?, is_new))
    });
    let recorded: Vec<RecordedFinding> = recorded.collect::<Result<_>>()?;
    let opened = recorded.iter().filter(|(_, is_new)| *is_new).map(|(finding, _)| finding);
    events::write_findings(&mut tx, FeedType::FindingOpened, opened, now).await?;
    let changes = environments.write_changes(&mut tx, now).await?;
    tx.commit().await?;
    Ok((recorded, changes))
}

/// Resolves the findings in `ids` that are open and were last found before `since`. Returns the resolved findings and
/// the environments whose state changed, and writes the events of both.
pub async fn resolve(
    pool: &PgPool,
    ids: &[FindingId],
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(Vec<Finding>, StateChanges)> {
    let mut tx = pool.begin().await?;
    let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    let environments = sqlx::query_scalar!(
        r#"/* db::findings::resolve */
        select distinct environment_id as "id!" from findings where id = any($1) and environment_id is not null"#,
        &ids,
    );
    let environments = environments.fetch_all(&mut *tx).await?;
    let environments = LockedEnvironments::lock(&mut tx, environments).await?;
    let resolved = sqlx::query_as!(
        Row,
        r#"/* db::findings::resolve */
        update findings set resolved_at = $3 where id = any($1) and resolved_at is null and last_seen_at < $2
        returning id, kind as "kind: FindingKind", severity as "severity: Severity", subject, aws_account_id, tenant_id,
            environment_id, message, remedy as "remedy: FindingRemedy", operation_id, first_seen_at, last_seen_at,
            resolved_at"#,
        &ids,
        since,
        now,
    );
    let resolved = resolved.fetch_all(&mut *tx).await?.into_iter().map(Row::finding).collect::<Result<Vec<_>>>()?;
    events::write_findings(&mut tx, FeedType::FindingResolved, resolved.iter(), now).await?;
    let changes = environments.write_changes(&mut tx, now).await?;
    tx.commit().await?;
    Ok((resolved, changes))
}

/// Records the operation that repairs the findings.
pub async fn set_repair_operation(pool: &PgPool, ids: &[FindingId], operation: OperationId) -> Result<()> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    sqlx::query!(
        "/* db::findings::set_repair_operation */ update findings set operation_id = $2 where id = any($1)",
        &ids,
        operation.as_uuid(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Filter for findings; a field that is `None` matches all findings.
#[derive(Debug, Clone, Copy, Default)]
pub struct FindingFilter {
    pub state: Option<FindingState>,
    pub severity: Option<Severity>,
    pub tenant: Option<TenantId>,
}

/// Returns at most `limit` findings that are older than the finding `before`, newest first.
pub async fn list(
    pool: &PgPool,
    filter: &FindingFilter,
    before: Option<FindingId>,
    limit: i64,
) -> Result<Vec<Finding>> {
    let open = filter.state.map(|state| state == FindingState::Open);
    let rows = sqlx::query_as!(
        Row,
        r#"/* db::findings::list */
        select id, kind as "kind: FindingKind", severity as "severity: Severity", subject, aws_account_id, tenant_id,
            environment_id, message, remedy as "remedy: FindingRemedy", operation_id, first_seen_at, last_seen_at, resolved_at
        from findings
        where ($1::uuid is null or id < $1)
          and ($2::boolean is null or (resolved_at is null) = $2)
          and ($3::text is null or severity = $3)
          and ($4::uuid is null or tenant_id = $4)
        order by id desc limit $5"#,
        before.map(FindingId::as_uuid),
        open,
        filter.severity.map(Severity::as_str),
        filter.tenant.map(TenantId::as_uuid),
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::finding).collect()
}

/// Returns the open findings about environments of the given tenants, the most severe and oldest first.
pub(super) async fn open_of_tenants(pool: &PgPool, tenants: &[Uuid]) -> Result<Vec<Finding>> {
    let rows = sqlx::query_as!(
        Row,
        r#"/* db::findings::open_of_tenants */
        select id, kind as "kind: FindingKind", severity as "severity: Severity", subject, aws_account_id, tenant_id,
            environment_id, message, remedy as "remedy: FindingRemedy", operation_id, first_seen_at, last_seen_at, resolved_at
        from findings where resolved_at is null and tenant_id = any($1)
        order by array_position(array['critical', 'error', 'warning'], severity), id"#,
        tenants,
    );
    rows.fetch_all(pool).await?.into_iter().map(Row::finding).collect()
}

/// Returns whether a finding of a kind is open about an environment.
pub(super) async fn is_open(tx: &mut PgConnection, environment: EnvironmentId, kind: FindingKind) -> Result<bool> {
    let is_open = sqlx::query_scalar!(
        r#"/* db::findings::is_open */
        select exists (
            select from findings where environment_id = $1 and kind = $2 and resolved_at is null
        ) as "is_open!""#,
        environment.as_uuid(),
        kind.as_str(),
    );
    Ok(is_open.fetch_one(tx).await?)
}

/// Returns the number of open findings per severity.
pub async fn counts(pool: &PgPool) -> Result<Vec<(Severity, i64)>> {
    let rows = sqlx::query!(
        r#"/* db::findings::counts */
        select severity as "severity: Severity", count(*) as "count!" from findings where resolved_at is null
        group by severity"#
    );
    Ok(rows.fetch_all(pool).await?.into_iter().map(|row| (row.severity, row.count)).collect())
}

struct Row {
    id: Uuid,
    kind: FindingKind,
    severity: Severity,
    subject: String,
    aws_account_id: Option<String>,
    tenant_id: Option<Uuid>,
    environment_id: Option<Uuid>,
    message: String,
    remedy: FindingRemedy,
    operation_id: Option<Uuid>,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
}

impl Row {
    fn finding(self) -> Result<Finding> {
        Ok(Finding {
            id: self.id.into(),
            kind: self.kind,
            severity: self.severity,
            subject: self.subject,
            aws_account_id: self.aws_account_id.map(parse_text::<AwsAccountId>).transpose()?,
            environment: self.tenant_id.map(TenantId::from).zip(self.environment_id.map(EnvironmentId::from)),
            message: self.message,
            remedy: self.remedy,
            operation_id: self.operation_id.map(OperationId::from),
            first_seen_at: self.first_seen_at,
            last_seen_at: self.last_seen_at,
            resolved_at: self.resolved_at,
        })
    }
}
