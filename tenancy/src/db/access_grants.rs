//! Stores the access to accounts: assignments that steps have made or revoked, and those that reconcile has found in
//! AWS.

mod review;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{PgPool, Result, finish_transaction};
use crate::access_grant::{AccessChanges, Assignment, ObservedAccess};
use crate::{AccessGrantId, AwsAccountId, EnvironmentId, OperationId, TenantId};

pub use review::{AccessFilter, FreeholdRoles, list};

/// Records the assignments that a step of an operation has made and revoked. An assignment that is recorded already
/// keeps its start.
pub(super) async fn record(
    tx: &mut PgConnection,
    operation: OperationId,
    changes: &AccessChanges,
    now: DateTime<Utc>,
) -> Result<()> {
    grant(&mut *tx, operation, &changes.account, &changes.granted, now).await?;
    let (arns, groups): (Vec<_>, Vec<_>) = changes.revoked.iter().cloned().unzip();
    sqlx::query!(
        r#"/* db::access_grants::record */
        update access_grants g set ended_at = greatest($2, g.granted_at), ended_by = $1
        where g.aws_account_id = $3 and g.ended_at is null and ($6 or (g.permission_set_arn, g.principal_id) in (
            select * from unnest($4::text[], $5::text[])))"#,
        operation.as_uuid(),
        now,
        changes.account.as_str(),
        &arns,
        &groups,
        changes.has_left,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends all current assignments in the accounts of the environment of an operation, which releases the accounts.
pub(super) async fn end_all(tx: &mut PgConnection, operation: OperationId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::access_grants::end_all */
        update access_grants g set ended_at = greatest($2, g.granted_at), ended_by = o.id
        from operations o where o.id = $1 and g.environment_id = o.environment_id and g.ended_at is null"#,
        operation.as_uuid(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn grant(
    tx: &mut PgConnection,
    operation: OperationId,
    account: &AwsAccountId,
    granted: &[Assignment],
    now: DateTime<Utc>,
) -> Result<()> {
    for one in granted {
        sqlx::query!(
            r#"/* db::access_grants::grant */
            insert into access_grants (id, tenant_id, environment_id, aws_account_id, permission_set,
                permission_set_arn, principal_kind, principal_id, principal_name, source, granted_at, granted_by)
            select $2, o.tenant_id, o.environment_id, $3, $4, $5, $6, $7, $8, 'freehold', $9, o.id
            from operations o where o.id = $1
            on conflict (aws_account_id, permission_set_arn, principal_id) where ended_at is null do update
                set principal_kind = excluded.principal_kind, principal_name = excluded.principal_name,
                    source = 'freehold',
                    granted_at = case access_grants.source when 'observed' then excluded.granted_at
                        else access_grants.granted_at end,
                    granted_by = coalesce(access_grants.granted_by, excluded.granted_by)
                -- Each run of the step records all grants again.
                where (access_grants.source, access_grants.principal_kind, access_grants.principal_name)
                    is distinct from ('freehold', excluded.principal_kind, excluded.principal_name)"#,
            operation.as_uuid(),
            AccessGrantId::new(now).as_uuid(),
            account.as_str(),
            one.permission_set,
            one.permission_set_arn,
            one.principal_kind.as_str(),
            one.principal_id,
            one.principal_name,
            now,
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Returns the permission set ARN and the group id of each current assignment that Freehold has made to a group in the
/// account of an environment. The organisation may use other permission sets in the account on purpose.
pub async fn own_group_grants(pool: &PgPool, environment: EnvironmentId) -> Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        r#"/* db::access_grants::own_group_grants */
        select permission_set_arn, principal_id from access_grants
        where environment_id = $1 and ended_at is null and principal_kind <> 'user' and source <> 'observed'
        order by id"#,
        environment.as_uuid(),
    );
    Ok(rows.fetch_all(pool).await?.into_iter().map(|row| (row.permission_set_arn, row.principal_id)).collect())
}

/// Returns whether Freehold has ever given the tenant's own group access to an account.
pub async fn has_used_tenant_group(pool: &PgPool, tenant: TenantId) -> Result<bool> {
    let used = sqlx::query_scalar!(
        r#"/* db::access_grants::has_used_tenant_group */
        select exists (
            select from access_grants where tenant_id = $1 and principal_kind = 'tenant_group' and source <> 'observed'
        ) as "used!""#,
        tenant.as_uuid(),
    );
    Ok(used.fetch_one(pool).await?)
}

/// Records what a comparison that started at `started_at` has found. `observed` contains all assignments in each
/// account: a recorded assignment that is not among them has ended.
///
/// Nothing is recorded for an environment with an operation that was open during the comparison, because the operation
/// may have changed the access.
pub async fn observe(
    pool: &PgPool,
    observed: &[ObservedAccess],
    started_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    if observed.is_empty() {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    let result = observe_in_tx(&mut tx, observed, started_at, now).await;
    finish_transaction(tx, result, |()| true).await
}

async fn observe_in_tx(
    tx: &mut PgConnection,
    observed: &[ObservedAccess],
    started_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    let environments: Vec<Uuid> = observed.iter().map(|one| one.environment_id.as_uuid()).collect();
    let settled = sqlx::query_scalar!(
        r#"/* db::access_grants::observe */
        select e.id from environments e where e.id = any($1) and not exists (
            select from operations o where o.tenant_id = e.tenant_id and o.environment_id = e.id
                and (o.finished_at is null or o.finished_at >= $2))"#,
        &environments,
        started_at,
    );
    let settled = settled.fetch_all(&mut *tx).await?;
    let observed: Vec<_> = observed.iter().filter(|one| settled.contains(&one.environment_id.as_uuid())).collect();
    let rows = || observed.iter().flat_map(|one| one.assignments.iter().map(move |assignment| (*one, assignment)));
    let ids: Vec<Uuid> = rows().map(|_| AccessGrantId::new(now).as_uuid()).collect();
    let tenants: Vec<Uuid> = rows().map(|(one, _)| one.tenant_id.as_uuid()).collect();
    let environments: Vec<Uuid> = rows().map(|(one, _)| one.environment_id.as_uuid()).collect();
    let accounts: Vec<String> = rows().map(|(one, _)| one.account.to_string()).collect();
    let sets: Vec<String> = rows().map(|(_, found)| found.permission_set.clone()).collect();
    let arns: Vec<String> = rows().map(|(_, found)| found.permission_set_arn.clone()).collect();
    let kinds: Vec<String> = rows().map(|(_, found)| found.principal_kind.to_string()).collect();
    let principals: Vec<String> = rows().map(|(_, found)| found.principal_id.clone()).collect();
    let names: Vec<Option<String>> = rows().map(|(_, found)| found.principal_name.clone()).collect();
    sqlx::query!(
        r#"/* db::access_grants::observe */
        insert into access_grants (id, tenant_id, environment_id, aws_account_id, permission_set, permission_set_arn,
            principal_kind, principal_id, principal_name, source, granted_at, observed_at)
        select *, 'observed', $10, $10 from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[],
            $6::text[], $7::text[], $8::text[], $9::text[])
        on conflict (aws_account_id, permission_set_arn, principal_id) where ended_at is null do update
            set observed_at = greatest(access_grants.observed_at, excluded.observed_at),
                principal_name = coalesce(access_grants.principal_name, excluded.principal_name)"#,
        &ids,
        &tenants,
        &environments,
        &accounts,
        &sets,
        &arns,
        &kinds,
        &principals,
        &names as &[Option<String>],
        started_at,
    )
    .execute(&mut *tx)
    .await?;
    let read: Vec<String> = observed.iter().map(|one| one.account.to_string()).collect();
    sqlx::query!(
        r#"/* db::access_grants::observe */
        update access_grants set ended_at = greatest($2, granted_at)
        where aws_account_id = any($1) and ended_at is null and granted_at < $2
            and (aws_account_id, permission_set_arn, principal_id) not in (
                select * from unnest($3::text[], $4::text[], $5::text[]))"#,
        &read,
        started_at,
        &accounts,
        &arns,
        &principals,
    )
    .execute(tx)
    .await?;
    Ok(())
}
