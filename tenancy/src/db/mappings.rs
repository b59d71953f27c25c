//! Which AWS account belongs to which environment.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PgPool, Result, known_constraint, parsed};
use crate::{AwsAccountId, EnvironmentId, EnvironmentName, ExternalId, MappingId, OperationId, Region, TenantId, Tier};

/// One account mapping with what billing wants beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// `map_…`
    pub id: MappingId,
    /// Whose account it is.
    pub tenant_id: TenantId,
    /// What the tenant calls itself.
    pub company_name: String,
    /// The id that the SaaS gives the tenant.
    pub external_id: Option<ExternalId>,
    /// The tenant's plan.
    pub tier: Tier,
    /// What runs in the account.
    pub environment_id: EnvironmentId,
    /// What that is called.
    pub environment: EnvironmentName,
    /// Where it runs.
    pub home_region: Region,
    /// The account.
    pub aws_account_id: AwsAccountId,
    /// Since when.
    pub valid_from: DateTime<Utc>,
    /// Until when; `None` while it holds.
    pub valid_to: Option<DateTime<Utc>>,
}

/// Maps `account` to the environment of an operation and answers whether that is new.
///
/// Fails with [`super::DbError::AccountTaken`] where it is another environment's.
pub(super) async fn assign(
    tx: &mut PgConnection,
    operation: OperationId,
    account: &AwsAccountId,
    now: DateTime<Utc>,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"/* db::mappings::assign */
        insert into account_mappings (id, tenant_id, environment_id, aws_account_id, valid_from)
        select $2, o.tenant_id, o.environment_id, $3, $4 from operations o
        where o.id = $1 and not exists (
            select from account_mappings m
            where m.environment_id = o.environment_id and m.aws_account_id = $3 and m.valid_to is null)"#,
        operation.as_uuid(),
        MappingId::new(now).as_uuid(),
        account.as_str(),
        now,
    )
    .execute(tx)
    .await
    .map_err(known_constraint)?;
    Ok(done.rows_affected() == 1)
}

/// Whether an account is this environment's now.
pub async fn is_mapped(pool: &PgPool, account: &AwsAccountId, environment: EnvironmentId) -> Result<bool> {
    let mapped = sqlx::query_scalar!(
        r#"/* db::mappings::is_mapped */
        select exists (
            select from account_mappings where aws_account_id = $1 and environment_id = $2 and valid_to is null
        ) as "mapped!""#,
        account.as_str(),
        environment.as_uuid(),
    );
    Ok(mapped.fetch_one(pool).await?)
}

/// Whether an account is, or has been, any environment's.
pub async fn was_ever_mapped(pool: &PgPool, account: &AwsAccountId) -> Result<bool> {
    let mapped = sqlx::query_scalar!(
        r#"/* db::mappings::was_ever_mapped */
        select exists (select from account_mappings where aws_account_id = $1) as "mapped!""#,
        account.as_str(),
    );
    Ok(mapped.fetch_one(pool).await?)
}

/// Whether an account is mapped to any environment but `environment`.
pub async fn is_anothers(pool: &PgPool, account: &AwsAccountId, environment: EnvironmentId) -> Result<bool> {
    let anothers = sqlx::query_scalar!(
        r#"/* db::mappings::is_anothers */
        select exists (select from account_mappings where aws_account_id = $1 and environment_id <> $2) as "exists!""#,
        account.as_str(),
        environment.as_uuid(),
    );
    Ok(anothers.fetch_one(pool).await?)
}

/// At most `limit` mappings that hold now, oldest first, from after `after` on.
pub async fn current(
    pool: &PgPool,
    tenant: Option<TenantId>,
    after: Option<MappingId>,
    limit: i64,
) -> Result<Vec<Mapping>> {
    let rows = sqlx::query!(
        r#"/* db::mappings::current */
        select m.id, m.tenant_id, t.company_name, t.external_id, t.tier, m.environment_id, e.name as environment,
            e.home_region, m.aws_account_id, m.valid_from, m.valid_to
        from account_mappings m join tenants t on t.id = m.tenant_id join environments e on e.id = m.environment_id
        where m.valid_to is null and ($1::uuid is null or m.id > $1) and ($2::uuid is null or m.tenant_id = $2)
        order by m.id limit $3"#,
        after.map(MappingId::as_uuid),
        tenant.map(TenantId::as_uuid),
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Mapping {
                id: row.id.into(),
                tenant_id: row.tenant_id.into(),
                company_name: row.company_name,
                external_id: row.external_id.map(parsed).transpose()?,
                tier: parsed(row.tier)?,
                environment_id: row.environment_id.into(),
                environment: parsed(row.environment)?,
                home_region: parsed(row.home_region)?,
                aws_account_id: parsed(row.aws_account_id)?,
                valid_from: row.valid_from,
                valid_to: row.valid_to,
            })
        })
        .collect()
}
