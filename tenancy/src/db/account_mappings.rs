//! Stores account mappings: the environment that each AWS account belongs to, with its history.

mod copy_text;
mod export;
mod released;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{DbError, PgPool, Result, feed, map_constraint_violation, parse_text};
pub use export::{ExportedMapping, export};
pub(super) use released::end;
pub use released::record_states;

use crate::account_mapping::{AccountMapping, AccountState};
use crate::{AwsAccountId, EnvironmentId, MappingId, OperationId, TenantId};

/// Maps `account` to the environment of an operation. Returns whether the mapping is new.
///
/// Fails with [`super::DbError::AccountTaken`] if the account is mapped to another environment.
pub(super) async fn assign(
    tx: &mut PgConnection,
    operation: OperationId,
    account: &AwsAccountId,
    now: DateTime<Utc>,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"/* db::account_mappings::assign */
        insert into account_mappings (id, tenant_id, environment_id, aws_account_id, valid_from, account_name)
        select $2, o.tenant_id, o.environment_id, $3, $4, (
            -- A suspension can map the account that the onboarding before it has requested.
            select s.intent ->> 'name' from operations p join operation_steps s on s.operation_id = p.id
            where p.environment_id = o.environment_id and s.name = 'request-account' and s.intent is not null
            order by p.id desc limit 1)
        from operations o
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
    .map_err(map_constraint_violation)?;
    Ok(done.rows_affected() == 1)
}

/// Returns whether `account` is currently mapped to `environment`.
pub async fn is_mapped(pool: &PgPool, account: &AwsAccountId, environment: EnvironmentId) -> Result<bool> {
    let mapped = sqlx::query_scalar!(
        r#"/* db::account_mappings::is_mapped */
        select exists (
            select from account_mappings where aws_account_id = $1 and environment_id = $2 and valid_to is null
        ) as "mapped!""#,
        account.as_str(),
        environment.as_uuid(),
    );
    Ok(mapped.fetch_one(pool).await?)
}

/// Returns whether an account is or was mapped to any environment.
pub async fn was_ever_mapped(pool: &PgPool, account: &AwsAccountId) -> Result<bool> {
    let mapped = sqlx::query_scalar!(
        r#"/* db::account_mappings::was_ever_mapped */
        select exists (select from account_mappings where aws_account_id = $1) as "mapped!""#,
        account.as_str(),
    );
    Ok(mapped.fetch_one(pool).await?)
}

/// Returns whether an account is or was mapped to an environment other than `environment`.
pub async fn is_mapped_to_other(pool: &PgPool, account: &AwsAccountId, environment: EnvironmentId) -> Result<bool> {
    let mapped = sqlx::query_scalar!(
        r#"/* db::account_mappings::is_mapped_to_other */
        select exists (select from account_mappings where aws_account_id = $1 and environment_id <> $2) as "exists!""#,
        account.as_str(),
        environment.as_uuid(),
    );
    Ok(mapped.fetch_one(pool).await?)
}

/// Account mappings as of a feed position.
///
/// All pages that are read from one snapshot are consistent, and the feed after its position contains all later
/// changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Feed position of the snapshot.
    pub position: i64,
    /// Period in which the selected mappings were valid at any time, according to the events up to the feed position;
    /// `None` selects the mappings that are valid at the position.
    pub period: Option<Period>,
    /// Tenant of the selected mappings; `None` selects the mappings of all tenants.
    pub tenant: Option<TenantId>,
    /// State of the accounts of the selected mappings; `None` selects all states.
    pub account_state: Option<AccountState>,
}

/// Time from `from`, inclusive, to `to`, exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl Period {
    /// Returns the shortest period that contains an instant, in the resolution of PostgreSQL.
    pub fn at(instant: DateTime<Utc>) -> Self {
        Self { from: instant, to: instant + TimeDelta::microseconds(1) }
    }
}

/// Creates a snapshot of the current mappings.
pub async fn snapshot(pool: &PgPool, now: DateTime<Utc>) -> Result<Snapshot> {
    Ok(Snapshot { position: feed::advance(pool, now).await?, period: None, tenant: None, account_state: None })
}

/// Returns at most `limit` mappings that follow the mapping `after`, oldest first.
pub async fn list(
    pool: &PgPool,
    snapshot: &Snapshot,
    after: Option<MappingId>,
    limit: i64,
) -> Result<Vec<AccountMapping>> {
    let rows = sqlx::query_as!(
        Row,
        r#"/* db::account_mappings::list */
        select m.id, m.tenant_id, t.company_name, t.external_id, t.tier, m.environment_id, e.name as environment,
            e.home_region, m.aws_account_id, m.valid_from,
            case when m.closed_at_position <= $1 then m.valid_to end as valid_to,
            array(select r.region from environment_replicas r where r.environment_id = e.id order by r.slot)
                as "replica_regions!", s.state as "account_state!: AccountState", s.since as "account_state_since?",
            s.seen_at as "account_seen_at?"
        from account_mappings m join tenants t on t.id = m.tenant_id join environments e on e.id = m.environment_id
            left join released_accounts r on r.aws_account_id = m.aws_account_id and m.closed_at_position <= $1
            cross join lateral (
                select case when m.closed_at_position <= $1 then coalesce(r.state, 'unknown') else 'in_use' end,
                    r.state_since, r.seen_at) s (state, since, seen_at)
        where m.opened_at_position <= $1
          and case when $2::timestamptz is null
              then coalesce(m.closed_at_position > $1, true)
              else m.valid_from < $6 and (coalesce(m.closed_at_position > $1, true) or m.valid_to > $2) end
          and ($3::uuid is null or m.tenant_id = $3) and ($4::uuid is null or m.id > $4)
          and ($7::text is null or s.state = $7)
        order by m.id limit $5"#,
        snapshot.position,
        snapshot.period.map(|period| period.from),
        snapshot.tenant.map(TenantId::as_uuid),
        after.map(MappingId::as_uuid),
        limit,
        snapshot.period.map(|period| period.to),
        snapshot.account_state.map(AccountState::as_str),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(AccountMapping::try_from).collect()
}

/// Returns all mappings of an account, oldest first. If `tenant` is given, returns only the mappings of that tenant.
pub async fn history(pool: &PgPool, account: &AwsAccountId, tenant: Option<TenantId>) -> Result<Vec<AccountMapping>> {
    let rows = sqlx::query_as!(
        Row,
        r#"/* db::account_mappings::history */
        select m.id, m.tenant_id, t.company_name, t.external_id, t.tier, m.environment_id, e.name as environment,
            e.home_region, m.aws_account_id, m.valid_from, m.valid_to,
            array(select r.region from environment_replicas r where r.environment_id = e.id order by r.slot)
                as "replica_regions!",
            case when m.valid_to is null then 'in_use' else coalesce(r.state, 'unknown') end
                as "account_state!: AccountState",
            r.state_since as "account_state_since?", r.seen_at as "account_seen_at?"
        from account_mappings m join tenants t on t.id = m.tenant_id join environments e on e.id = m.environment_id
            left join released_accounts r on r.aws_account_id = m.aws_account_id and m.valid_to is not null
        where m.aws_account_id = $1 and ($2::uuid is null or m.tenant_id = $2)
        order by m.valid_from, m.id"#,
        account.as_str(),
        tenant.map(TenantId::as_uuid),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(AccountMapping::try_from).collect()
}

struct Row {
    id: Uuid,
    tenant_id: Uuid,
    company_name: String,
    external_id: Option<String>,
    tier: String,
    environment_id: Uuid,
    environment: String,
    home_region: String,
    replica_regions: Vec<String>,
    aws_account_id: String,
    valid_from: DateTime<Utc>,
    valid_to: Option<DateTime<Utc>>,
    account_state: AccountState,
    account_state_since: Option<DateTime<Utc>>,
    account_seen_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for AccountMapping {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            company_name: row.company_name,
            external_id: row.external_id.map(parse_text).transpose()?,
            tier: parse_text(row.tier)?,
            environment_id: row.environment_id.into(),
            environment: parse_text(row.environment)?,
            home_region: parse_text(row.home_region)?,
            replica_regions: row.replica_regions.into_iter().map(parse_text).collect::<Result<_>>()?,
            aws_account_id: parse_text(row.aws_account_id)?,
            valid_from: row.valid_from,
            valid_to: row.valid_to,
            account_state: row.account_state,
            account_state_since: row.account_state_since,
            account_seen_at: row.account_seen_at,
        })
    }
}
