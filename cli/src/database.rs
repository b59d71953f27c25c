//! Opening the database, and only the right one.

use anyhow::{Context, bail};
use clap::Args;
use freehold_tenancy::Config;
use freehold_tenancy::db::installation::{self, Installation, InstallationKind};
use freehold_tenancy::db::{self, DbError, PgPool};
use secrecy::SecretString;

/// PostgreSQL's code for a table that is not there ("PostgreSQL Error Codes": undefined_table).
const UNDEFINED_TABLE: &str = "42P01";

#[derive(Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// PostgreSQL: postgres://user:password@host/name; url of [database] if left out
    #[arg(long, value_name = "URL", hide_env_values = true)]
    pub(crate) database_url: Option<SecretString>,
}

/// Opens the database and makes sure that it is up to date and belongs to this kind of installation, in this
/// organisation.
pub(crate) async fn open(
    database: &DatabaseArgs,
    config: &Config,
    kind: InstallationKind,
    connections: u32,
) -> anyhow::Result<(PgPool, Installation)> {
    let pool = connect(database, config, connections).await?;
    if !db::is_migrated(&pool).await? {
        bail!("the database is not up to date; run `freehold migrate`, then start this again");
    }
    let installation = installation::check(&pool, kind, &config.organization.management_account_id).await?;
    Ok((pool, installation))
}

/// Opens the database that the arguments, or else the configuration, name.
pub(crate) async fn connect(database: &DatabaseArgs, config: &Config, connections: u32) -> anyhow::Result<PgPool> {
    let url = database.database_url.as_ref().or(config.database.url.as_ref()).context(
        "no database is named; set url of [database] in the configuration, FREEHOLD_DATABASE__URL or --database-url",
    )?;
    db::connect(url, connections).await.context("PostgreSQL cannot be reached; check the database's URL")
}

/// Brings the database up to date, unless it belongs to an installation of another kind or to another organisation, and
/// answers how many migrations that took and what it belonged to before.
pub(crate) async fn migrate(
    pool: &PgPool,
    kind: InstallationKind,
    config: &Config,
) -> anyhow::Result<(usize, Option<Installation>)> {
    // A foreign schema may have no column that the next statement reads.
    db::check_schema(pool).await?;
    let known = match installation::read(pool).await {
        Err(error) if has_no_tables(&error) => None,
        known => known?,
    };
    if known.is_some() {
        installation::check(pool, kind, &config.organization.management_account_id).await?;
    }
    Ok((db::migrate(pool).await?, known))
}

fn has_no_tables(error: &DbError) -> bool {
    let DbError::Sql(error) = error else { return false };
    let Some(error) = error.as_database_error() else { return false };
    error.code().is_some_and(|code| code == UNDEFINED_TABLE)
}
