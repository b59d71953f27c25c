//! All SQL statements of Freehold. Each statement starts with a comment that contains the name of its function. The
//! comment identifies a slow statement in the log of PostgreSQL.

pub mod access_grants;
pub mod account_limit;
pub mod account_mappings;
pub mod approvals;
pub mod audit;
pub mod change_freeze;
pub mod closures;
mod connection;
pub mod console_sessions;
mod default_release;
mod environment_front_doors;
pub mod environment_pins;
pub mod environment_replicas;
pub mod environment_stacks;
pub mod events;
pub mod feed;
pub mod fence;
pub mod findings;
pub mod fleet_holds;
pub mod former_admins;
pub mod idempotency;
pub mod installation;
pub mod lifecycle;
pub mod login;
pub mod migration;
pub mod notify;
pub mod operations;
pub mod queue;
pub mod quotas;
pub mod rates;
pub mod reconcile;
pub mod recovery;
pub mod releases;
pub mod residency_proofs;
pub mod rollout_members;
pub mod rollout_waves;
pub mod rollouts;
pub mod search;
pub mod shared_polls;
pub mod signup;
pub mod steps;
pub mod support_bundles;
pub mod tenants;
pub mod vending;
pub mod webhooks;
pub mod workers;

use std::collections::BTreeMap;

use sqlx::{Postgres, Transaction};

pub use connection::{ConnectionSettings, connect, connect_with, explain, is_ready};
pub use migration::{MigrationReport, migrate};
pub use sqlx::PgPool;

/// Database migrations that are embedded in the program, in order.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// Error of a database call.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// PostgreSQL, or the connection to it, failed.
    #[error("the database call failed: {0}")]
    Sql(#[source] sqlx::Error),
    /// The database URL is not a valid PostgreSQL URL.
    #[error("the address of the database {0}")]
    InvalidUrl(String),
    /// No connection could be opened when the process started.
    #[error("cannot connect to PostgreSQL at {address}: {reason}")]
    Unreachable { address: String, reason: String },
    /// The pool had no connection in time.
    #[error(
        "no connection to PostgreSQL within {} s: the server is unreachable or read-only, or all connections are in use",
        connection::ACQUIRE_TIMEOUT.as_secs()
    )]
    NoConnection,
    /// The server is a standby, or its sessions are read-only by default, as after a failover.
    #[error("PostgreSQL accepts no writes: the server is a standby or read-only")]
    ReadOnly,
    /// The statements of a session reach several sessions of PostgreSQL.
    #[error("the connection pooler must keep the session of a connection; set pool_mode = session in PgBouncer")]
    SessionNotKept,
    /// A migration of the database failed.
    #[error("the database could not be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The database contains a migration that does not exist in this version of Freehold, or that has a different
    /// checksum.
    #[error(
        "the schema of this database does not come from a release of Freehold (migration {0} differs) and cannot be \
         upgraded; create a new database, or start the sandbox with a new --data directory"
    )]
    ForeignSchema(i64),
    /// The database contains this migration of a newer version of Freehold, in addition to all migrations of this
    /// version.
    #[error("the database was migrated by a newer version of Freehold (migration {0}); migrate with that version")]
    NewerSchema(i64),
    /// The user of the database may not execute statements that `freehold migrate` needs.
    #[error(
        "the database refuses what `freehold migrate` needs: {reason}; run this as an administrator of the database, \
         then repeat the command:\n{}",
        .statements.iter().map(|one| format!("  {one};")).collect::<Vec<_>>().join("\n")
    )]
    MissingPrivilege { reason: String, statements: Vec<String> },
    /// A role has more rights than a process needs.
    #[error("{0}")]
    UnsafeRole(String),
    /// The session cannot act as a role.
    #[error(
        "this command acts as the database role {role}, but {user} may not ({reason}); use the URL of the \
        administrator that runs `freehold migrate`"
    )]
    CannotActAs { role: String, user: String, reason: String },
    /// Another worker has claimed the operation; nothing was written.
    #[error("another worker has claimed the operation")]
    LeaseLost,
    /// Another process has reserved the idempotency key of the request; nothing was written.
    #[error("another process is already processing the same request")]
    ReservationLost,
    /// An active tenant already uses this external id; nothing was written.
    #[error("an active tenant already uses this external id")]
    ExternalIdTaken,
    /// The tenant already has an environment of this name; nothing was written.
    #[error("the tenant already has an environment of this name")]
    EnvironmentExists,
    /// The account is mapped to another environment; nothing was written.
    #[error("the account is mapped to another environment")]
    AccountTaken,
    /// The database contains a value that this version does not support.
    #[error("the database holds a value that this version does not know: {0}")]
    UnexpectedValue(String),
    /// The database belongs to a different kind of installation or to a different organisation.
    #[error("{0}")]
    OtherInstallation(String),
}

impl DbError {
    /// Returns whether PostgreSQL is unreachable or temporarily unable to serve requests, so that a later retry can
    /// succeed.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::NoConnection
            | Self::ReadOnly
            | Self::Sql(sqlx::Error::PoolClosed | sqlx::Error::Io(_)) => true,
            // The password or the access was changed while the process runs.
            Self::Sql(error) if connection::is_refused(error) => true,
            // Connection exceptions, insufficient resources, operator intervention (PostgreSQL, "Error Codes").
            Self::Sql(sqlx::Error::Database(error)) => {
                let is_of = |code: &str| ["08", "53", "57"].iter().any(|class| code.starts_with(class));
                error.code().is_some_and(|code| is_of(&code) || code == connection::READ_ONLY_TRANSACTION)
            }
            _ => false,
        }
    }
}

impl DbError {
    /// Returns whether the connection was lost or closed by PostgreSQL, so that a retry can succeed as soon as there
    /// is a connection. Returns false for an overloaded database, because an immediate retry would increase the load.
    pub fn is_connection_lost(&self) -> bool {
        match self {
            Self::ReadOnly | Self::Sql(sqlx::Error::Io(_)) => true,
            // Connection exceptions, operator intervention (PostgreSQL, "Error Codes").
            Self::Sql(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                code.starts_with("08") || code.starts_with("57") || code == connection::READ_ONLY_TRANSACTION
            }),
            _ => false,
        }
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::NoConnection;
        }
        // A prepared statement exists already, or does not exist: only a pooler without sessions causes either.
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if code.is_some_and(|code| ["42P05", "26000"].contains(&&*code)) {
            return Self::SessionNotKept;
        }
        connection::note_error(&error);
        Self::Sql(error)
    }
}

/// Result of a database call, with [`DbError`] as the error.
pub type Result<T> = std::result::Result<T, DbError>;

/// Returns whether all migrations of this version are applied.
///
/// Migrations of a newer version may be applied too, because they are compatible with this version.
///
/// Fails with [`DbError::ForeignSchema`].
pub async fn is_migrated(pool: &PgPool) -> Result<bool> {
    Ok(read_schema(pool).await?.pending == 0)
}

/// Fails with [`DbError::ForeignSchema`] if this version can neither use nor migrate the database.
pub async fn check_schema(pool: &PgPool) -> Result<()> {
    read_schema(pool).await.map(drop)
}

/// Result of comparing the applied migrations with [`MIGRATIONS`].
struct Schema {
    pending: usize,
    /// First applied migration of a newer version; `None` if all applied migrations belong to this version.
    newer: Option<i64>,
}

async fn read_schema(pool: &PgPool) -> Result<Schema> {
    let applied = applied(pool).await?;
    let mut pending = 0;
    for migration in MIGRATIONS.iter() {
        match applied.get(&migration.version) {
            Some(checksum) if **checksum == *migration.checksum => {}
            Some(_) => return Err(DbError::ForeignSchema(migration.version)),
            None => pending += 1,
        }
    }
    let newer = applied.keys().copied().find(|version| !MIGRATIONS.version_exists(*version));
    let latest = MIGRATIONS.iter().map(|migration| migration.version).max();
    match newer {
        // A newer version applies its own migrations after all migrations of this version.
        Some(version) if pending > 0 || Some(version) < latest => Err(DbError::ForeignSchema(version)),
        newer => Ok(Schema { pending, newer }),
    }
}

/// Returns the version and checksum of each applied migration.
async fn applied(pool: &PgPool) -> Result<BTreeMap<i64, Vec<u8>>> {
    let table =
        sqlx::query_scalar!(r#"/* db::applied */ select to_regclass('_sqlx_migrations') is not null as "exists!""#);
    if !table.fetch_one(pool).await? {
        return Ok(BTreeMap::new());
    }
    // This statement is not checked at compile time, because sqlx creates the table only when it runs migrations.
    let rows = sqlx::query_as("/* db::applied */ select version, checksum from _sqlx_migrations where success");
    Ok(rows.fetch_all(pool).await?.into_iter().collect())
}

/// Commits the transaction if `should_commit` returns true for the result, and otherwise rolls it back immediately. A
/// dropped transaction would keep its locks until its connection is used again.
pub(crate) async fn finish_transaction<T>(
    tx: Transaction<'static, Postgres>,
    result: Result<T>,
    should_commit: impl FnOnce(&T) -> bool,
) -> Result<T> {
    match &result {
        Ok(value) if should_commit(value) => tx.commit().await?,
        _ => tx.rollback().await?,
    }
    result
}

/// Converts the violation of a constraint that callers handle to its specific [`DbError`].
pub(crate) fn map_constraint_violation(error: sqlx::Error) -> DbError {
    match error.as_database_error().and_then(sqlx::error::DatabaseError::constraint) {
        Some("tenants_unique_external_id") => DbError::ExternalIdTaken,
        Some("environments_unique_name") => DbError::EnvironmentExists,
        Some("account_mappings_unique_current_account") => DbError::AccountTaken,
        _ => error.into(),
    }
}

/// Parses a text column. Fails with `UnexpectedValue` if this version does not support the value.
pub(crate) fn parse_text<T: std::str::FromStr>(text: String) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| DbError::UnexpectedValue(format!("`{text}`: {error}")))
}

/// Parses a JSON column; `what` names the type in the error message.
pub(crate) fn parse_json<T: serde::de::DeserializeOwned>(value: serde_json::Value, what: &str) -> Result<T> {
    serde_json::from_value(value).map_err(|error| DbError::UnexpectedValue(format!("{what}: {error}")))
}
