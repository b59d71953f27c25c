//! Database connections, with checks that the database belongs to the configured installation.

use anyhow::{Context, bail};
use clap::Args;
use freehold_tenancy::Config;
use freehold_tenancy::audit::{Actor, AuditEntry, AuditKind, AuditOutcome, AuditResult};
use freehold_tenancy::config::{RDS_IAM_TOKEN_REFUSAL, RoleName, is_rds_iam_token};
use freehold_tenancy::db::installation::{self, Installation, InstallationKind};
use freehold_tenancy::db::login::{self, Process};
use freehold_tenancy::db::{self, ConnectionSettings, DbError, MigrationReport, PgPool};
use secrecy::SecretString;
use serde_json::json;

use crate::secret_arg;

/// PostgreSQL error code (SQLSTATE) `undefined_table`.
const UNDEFINED_TABLE: &str = "42P01";

#[derive(Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// PostgreSQL URL: postgres://user:password@host/name [default: database.url of the configuration]
    ///
    /// Other users of the machine can read a password on the command line; - means the first line of the standard
    /// input.
    #[arg(long, value_name = "URL", hide_env_values = true, value_parser = secret_arg::parse)]
    pub(crate) database_url: Option<SecretString>,
}

/// Rights that a command needs in the database.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Login {
    /// Those of one kind of process. A login with more rights is refused in a real installation.
    Process(Process),
    /// Those of the owner of all tables.
    Owner,
}

/// Connects to the database. Fails if the schema is not up to date, if the database belongs to a different kind of
/// installation or to a different organisation, or if the login has other rights than the command needs.
pub(crate) async fn connect_and_check(
    database: &DatabaseArgs,
    config: &Config,
    kind: InstallationKind,
    connections: u32,
    required: Login,
) -> anyhow::Result<(PgPool, Installation)> {
    let act_as = match required {
        Login::Process(_) => None,
        Login::Owner => Some(config.database.owner_role.clone()),
    };
    let pool = connect(database, config, connections, act_as).await?;
    if !db::is_migrated(&pool).await? {
        bail!("the database schema is not up to date; run `freehold migrate`, then repeat this command");
    }
    let installation = check_installation(&pool, kind, config).await?;
    if let (Login::Process(process), InstallationKind::Real) = (required, kind)
        && let Some(warning) = login::check(&pool, &config.database, process).await?
    {
        tracing::warn!("{warning}");
    }
    Ok((pool, installation))
}

/// Connects to the database that is given on the command line or, by default, in the configuration. The sessions act as
/// the role `act_as` if it is set.
pub(crate) async fn connect(
    database: &DatabaseArgs,
    config: &Config,
    connections: u32,
    act_as: Option<RoleName>,
) -> anyhow::Result<PgPool> {
    let url = database.database_url.as_ref().or(config.database.url.as_ref()).context(
        "no database is configured; set --database-url, FREEHOLD_DATABASE__URL or database.url in freehold.toml",
    )?;
    if let Some(url) = &database.database_url {
        secret_arg::warn_about_password(url);
    }
    // The database library reads this variable if the URL has no password.
    if std::env::var("PGPASSWORD").is_ok_and(|password| is_rds_iam_token(&password)) {
        bail!("PGPASSWORD {RDS_IAM_TOKEN_REFUSAL}");
    }
    let settings = ConnectionSettings { allow_plaintext: config.database.allow_plaintext, act_as };
    let pool = db::connect_with(url, connections, &settings).await;
    pool.context("no database connection; check the URL of the database")
}

/// Applies database migrations. Fails if the database belongs to a different kind of installation or to a different
/// organisation. Returns the changes and the installation that was registered before, if any.
pub(crate) async fn migrate(
    pool: &PgPool,
    kind: InstallationKind,
    config: &Config,
) -> anyhow::Result<(MigrationReport, Option<Installation>)> {
    // The schema of another version may lack a column that the next statement reads.
    db::check_schema(pool).await?;
    let existing = match installation::read(pool).await {
        Err(error) if is_undefined_table(&error) => None,
        existing => existing?,
    };
    if existing.is_some() {
        check_installation(pool, kind, config).await?;
    }
    let report = db::migrate(pool, &config.database).await?;
    Ok((report, existing))
}

/// Stores the retention of the audit trail, and records a change of it. The pool must act as the owner of the tables.
pub(crate) async fn store_retention(
    pool: &PgPool,
    config: &Config,
    installation: Option<&Installation>,
) -> anyhow::Result<()> {
    let days = config.audit.retention_days;
    let mut tx = pool.begin().await?;
    let before = db::audit::set_retention(&mut *tx, days).await?;
    if let (Some(before), Some(installation)) =
        (before.filter(|before| i64::from(*before) != i64::from(days)), installation)
    {
        let actor = Actor::Process { process: "freehold migrate".to_owned() };
        let entry = AuditEntry::new(AuditKind::Command, "setAuditRetention", actor);
        let mut outcome = AuditOutcome::of(AuditResult::Succeeded);
        outcome.changes.insert("retention_days".to_owned(), json!({ "old": before, "new": days }));
        db::audit::note_in(&mut *tx, &entry, None, &outcome, installation.clock().now()).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Returns the installation of the database. Fails if it is not the configured one.
async fn check_installation(pool: &PgPool, kind: InstallationKind, config: &Config) -> anyhow::Result<Installation> {
    let installation = installation::check(pool, kind, &config.organization.management_account_id).await?;
    match config.audit.installation_id {
        Some(expected) if expected != installation.id => bail!(
            "the database belongs to installation {}, but audit.installation_id is {expected}; use the database of \
             that installation, or correct audit.installation_id",
            installation.id
        ),
        _ => Ok(installation),
    }
}

fn is_undefined_table(error: &DbError) -> bool {
    let DbError::Sql(error) = error else { return false };
    let Some(error) = error.as_database_error() else { return false };
    error.code().is_some_and(|code| code == UNDEFINED_TABLE)
}
