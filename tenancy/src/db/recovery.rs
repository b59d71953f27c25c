//! Reads the state of a restored database, which is compared with AWS. [`super::lifecycle::recover`] changes it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{DbError, PgPool, Result, parse_text};
use crate::environment::EnvironmentState;
use crate::operation::OperationKind;
use crate::{AwsAccountId, CompanyName, EnvironmentId, EnvironmentName, ExternalId, TenantId};

/// State of the database that a recovery compares with AWS.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KnownState {
    pub tenants: BTreeMap<TenantId, KnownTenant>,
    pub environments: BTreeMap<EnvironmentId, KnownEnvironment>,
    /// Accounts that are or were mapped to an environment.
    pub accounts: BTreeSet<AwsAccountId>,
}

/// Tenant in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownTenant {
    pub company_name: CompanyName,
    pub external_id: Option<ExternalId>,
    pub is_offboarded: bool,
}

/// Environment in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEnvironment {
    pub tenant_id: TenantId,
    pub name: EnvironmentName,
    pub state: EnvironmentState,
    /// Account that is currently mapped to the environment.
    pub account: Option<AwsAccountId>,
    /// Kind of the open operation.
    pub open: Option<OperationKind>,
    /// Whether the journal of the open operation contains an account request or its result.
    pub is_account_requested: bool,
    /// Whether the open offboarding has moved the account to the quarantine OU.
    pub is_suspended: bool,
    /// Whether the cooling-off period of the open offboarding has ended.
    pub is_cooled_off: bool,
}

/// Age and origin of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Time of the latest change.
    pub latest_change_at: Option<DateTime<Utc>>,
    /// Cluster, timeline and database.
    pub identity: String,
    /// Whether this database was recovered since it was restored.
    pub is_recovered: bool,
}

/// Returns the age and the origin of the database.
pub async fn origin(pool: &PgPool) -> Result<Origin> {
    let latest_change_at = sqlx::query_scalar!(
        r#"/* db::recovery::origin */
        select greatest(
            (select max(updated_at) from operations),
            (select max(recorded_at) from audit_records),
            (select max(recorded_at) from feed)
        ) as "at?""#
    );
    let latest_change_at = latest_change_at.fetch_one(pool).await?;
    let identity = identity(pool).await?;
    let is_recovered = sqlx::query_scalar!(
        r#"/* db::recovery::origin */
        select exists (select from recoveries where database_identity = $1) as "exists!""#,
        identity,
    );
    let is_recovered = is_recovered.fetch_one(pool).await?;
    Ok(Origin { latest_change_at, identity, is_recovered })
}

async fn identity(pool: &PgPool) -> Result<String> {
    let full = sqlx::query_scalar!(
        r#"/* db::recovery::identity */
        select concat_ws('/', (select system_identifier from pg_control_system()),
            (select timeline_id from pg_control_checkpoint()),
            (select oid from pg_database where datname = current_database())) as "identity!""#
    );
    match full.fetch_one(pool).await {
        Ok(identity) => Ok(identity),
        // Some providers of PostgreSQL do not offer the functions that read the control file.
        Err(sqlx::Error::Database(_)) => {
            let short = sqlx::query_scalar!(
                r#"/* db::recovery::identity */
                select oid::text as "identity!" from pg_database where datname = current_database()"#
            );
            Ok(short.fetch_one(pool).await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the number of workers that are connected to the database. The connection must be in a transaction.
///
/// A session that the user of the connection may not observe counts if its login can do the work of a worker.
pub async fn count_workers(connection: &mut PgConnection) -> Result<i64> {
    // The owner of the tables does not see the sessions of other logins, but the user who acts as the owner may.
    let owner = sqlx::query_scalar!(
        r#"/* db::recovery::count_workers */
        select current_setting('role') as "owner!""#
    );
    let owner = owner.fetch_one(&mut *connection).await?;
    set_role(&mut *connection, "none").await?;
    let count = sqlx::query_scalar!(
        r#"/* db::recovery::count_workers */
        select count(*) as "count!" from pg_stat_activity
        where datname = current_database() and (
            query like 'LISTEN "freehold_wake"%'
            or query = '<insufficient privilege>' and application_name = 'freehold' and usename <> session_user
                and has_table_privilege(usesysid, 'operation_steps', 'insert')
        )"#
    );
    let count = count.fetch_one(&mut *connection).await?;
    set_role(connection, &owner).await?;
    Ok(count)
}

/// Lets the session act as a role until the transaction ends.
async fn set_role(connection: &mut PgConnection, role: &str) -> Result<()> {
    sqlx::query!("/* db::recovery::set_role */ select set_config('role', $1, true)", role)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Returns the state of the database.
pub async fn state(connection: &mut PgConnection) -> Result<KnownState> {
    let tenants = sqlx::query!(
        r#"/* db::recovery::state */
        select id, company_name, external_id, offboarded_at is not null as "is_offboarded!" from tenants"#
    );
    let tenants = tenants.fetch_all(&mut *connection).await?.into_iter().map(|row| {
        let tenant = KnownTenant {
            company_name: parse_text(row.company_name)?,
            external_id: row.external_id.map(parse_text).transpose()?,
            is_offboarded: row.is_offboarded,
        };
        Ok((row.id.into(), tenant))
    });
    let tenants = tenants.collect::<Result<_>>()?;
    let environments = sqlx::query!(
        r#"/* db::recovery::state */
        select e.id, e.tenant_id, e.name, e.state as "state: EnvironmentState", m.aws_account_id as "account?",
            o.kind as "open?: OperationKind",
            exists (
                select from operation_steps s where s.operation_id = o.id
                    and s.name in ('request-account', 'await-account', 'settle-account')
                    and (s.intent is not null or s.facts ->> 'creation_request_id' is not null
                        or s.facts ->> 'account_id' is not null)
            ) as "is_account_requested!",
            exists (
                select from operation_steps s where s.operation_id = o.id and s.name = 'suspend' and s.state = 'done'
            ) as "is_suspended!",
            exists (
                select from operation_steps s where s.operation_id = o.id and s.name = 'cool-off' and s.state = 'done'
            ) as "is_cooled_off!"
        from environments e
        left join account_mappings m on m.environment_id = e.id and m.valid_to is null
        left join operations o on o.environment_id = e.id and o.state in ('pending', 'running', 'needs_attention')"#
    );
    let environments = environments.fetch_all(&mut *connection).await?.into_iter().map(|row| {
        let environment = KnownEnvironment {
            tenant_id: row.tenant_id.into(),
            name: parse_text(row.name)?,
            state: row.state,
            account: row.account.map(parse_text).transpose()?,
            open: row.open,
            is_account_requested: row.is_account_requested,
            is_suspended: row.is_suspended,
            is_cooled_off: row.is_cooled_off,
        };
        Ok((row.id.into(), environment))
    });
    let environments = environments.collect::<Result<_>>()?;
    let accounts =
        sqlx::query_scalar!("/* db::recovery::state */ select distinct aws_account_id from account_mappings");
    let accounts = accounts.fetch_all(connection).await?.into_iter().map(parse_text);
    Ok(KnownState { tenants, environments, accounts: accounts.collect::<std::result::Result<_, DbError>>()? })
}

/// Returns the state of the database, read with one connection of the pool.
pub async fn read_state(pool: &PgPool) -> Result<KnownState> {
    let mut connection = pool.acquire().await?;
    state(&mut connection).await
}
