//! Connection pool that uses only sessions that can write.
//!
//! After a failover, a session can be connected to a server that has become a standby. Such a session reads stale data
//! and fails to write, so it is closed, and the pool connects again until it reaches the new writer.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool, Row};

use super::{DbError, Result};
use crate::config::{RoleName, parse_url};

/// Maximum time to wait for a connection.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// SQLSTATE `read_only_sql_transaction`: the session cannot write.
pub(super) const READ_ONLY_TRANSACTION: &str = "25006";

/// Idle time after which a connection is checked before use. With a shorter time, almost every statement would need an
/// additional round trip.
const IDLE_CHECK_THRESHOLD: Duration = Duration::from_millis(100);

/// Interval between attempts to connect when the process starts.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// Maximum time of a readiness check. With [`EXPLANATION_TIMEOUT`], it is shorter than the timeout of `freehold
/// health`.
const READINESS_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum time to find the reason of a failed connection.
const EXPLANATION_TIMEOUT: Duration = Duration::from_secs(1);

/// Time of the last write that failed in a read-only session. Sessions that were opened before that time are checked
/// before use.
static LAST_READ_ONLY_ERROR: Mutex<Option<Instant>> = Mutex::new(None);

/// Properties of the connections that the URL does not contain.
#[derive(Debug, Clone, Default)]
pub struct ConnectionSettings {
    /// Whether a connection to another machine may be unencrypted.
    pub allow_plaintext: bool,
    /// Role that each session acts as, although another one has logged in.
    pub act_as: Option<RoleName>,
}

/// Connects to PostgreSQL with at most `connections` connections and the default settings.
///
/// Fails with [`DbError::Unreachable`], which contains the address and the reason, if no connection can be opened.
pub async fn connect(url: &SecretString, connections: u32) -> Result<PgPool> {
    connect_with(url, connections, &ConnectionSettings::default()).await
}

/// Connects to PostgreSQL with at most `connections` connections.
///
/// Fails like [`connect`], and with [`DbError::CannotActAs`] if the user is not a member of the role to act as.
pub async fn connect_with(url: &SecretString, connections: u32, settings: &ConnectionSettings) -> Result<PgPool> {
    let options = parse_url(url.expose_secret(), settings.allow_plaintext).map_err(DbError::InvalidUrl)?;
    let options = options.extra_float_digits(None).application_name("freehold");
    let mut connection = open_connection(&options).await?;
    // The name of a role is a plain identifier.
    let set_role = settings.act_as.as_ref().map(|role| format!("set role \"{role}\""));
    if let (Some(role), Some(set_role)) = (&settings.act_as, &set_role) {
        let result = sqlx::raw_sql(AssertSqlSafe(set_role.clone())).execute(&mut connection).await;
        let user = options.get_username();
        result.map_err(|error| DbError::CannotActAs {
            role: role.to_string(),
            user: user.to_owned(),
            reason: reason(&error),
        })?;
    }
    connection.close().await?;
    let set_role = set_role.unwrap_or_default();
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let set_role = set_role.clone();
            Box::pin(async move {
                let error = || sqlx::Error::Configuration(DbError::ReadOnly.to_string().into());
                if prepare_session(connection, &set_role).await? { Ok(()) } else { Err(error()) }
            })
        })
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                let suspect = time_since_read_only_error().is_some_and(|time| time <= meta.age);
                let is_checked = suspect || meta.idle_for >= IDLE_CHECK_THRESHOLD;
                Ok(!is_checked || is_writable(connection).await?)
            })
        })
        .connect_lazy_with(options);
    Ok(pool)
}

/// Returns whether the database accepts writes and all migrations of this version are applied.
///
/// Fails with [`DbError::ReadOnly`] if the database accepts no writes, and with [`DbError::Unreachable`], which
/// contains the address and the reason, if no connection can be opened.
pub async fn is_ready(pool: &PgPool) -> Result<bool> {
    let check = async {
        let mut connection = pool.acquire().await?;
        if !is_writable(&mut connection).await? {
            record_read_only_error();
            return Err(DbError::ReadOnly);
        }
        drop(connection);
        super::is_migrated(pool).await
    };
    match tokio::time::timeout(READINESS_TIMEOUT, check).await.unwrap_or(Err(DbError::NoConnection)) {
        Err(error) => Err(explain(pool, error).await),
        ready => ready,
    }
}

/// Returns the reason of an error that means that there is no connection. The pool reports such errors without the
/// reason, so a connection is opened without the pool. Other errors are returned unchanged.
pub async fn explain(pool: &PgPool, error: DbError) -> DbError {
    if !matches!(error, DbError::NoConnection | DbError::Sql(sqlx::Error::Io(_) | sqlx::Error::PoolClosed)) {
        return error;
    }
    let options = pool.connect_options();
    let unreachable = |reason| DbError::Unreachable { address: address(&options), reason };
    match tokio::time::timeout(EXPLANATION_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => {
            _ = connection.close().await;
            error
        }
        Ok(Err(error)) => unreachable(reason(&error)),
        Err(_) => unreachable(format!("no response within {} s", EXPLANATION_TIMEOUT.as_secs())),
    }
}

/// Records the time of an error that indicates read-only sessions.
pub(super) fn note_error(error: &sqlx::Error) {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    if code.is_some_and(|code| code == READ_ONLY_TRANSACTION) {
        record_read_only_error();
    }
}

fn record_read_only_error() {
    *LAST_READ_ONLY_ERROR.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

fn time_since_read_only_error() -> Option<Duration> {
    LAST_READ_ONLY_ERROR.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
}

/// Sets the parameters of a new session and its role, if any. Returns whether the session can write.
///
/// They are not startup parameters, because PgBouncer refuses a connection with startup parameters that it does not
/// know.
async fn prepare_session(connection: &mut PgConnection, set_role: &str) -> sqlx::Result<bool> {
    // A transaction never waits for anything but the database, so an idle transaction belongs to a dead process.
    let statements = format!("show transaction_read_only; set idle_in_transaction_session_timeout = '30s'; {set_role}");
    let row = sqlx::raw_sql(AssertSqlSafe(statements)).fetch_one(connection).await?;
    Ok(row.try_get::<String, _>(0)? == "off")
}

/// Returns whether the session can write. A session of a standby is always read-only.
async fn is_writable(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let row = sqlx::raw_sql("show transaction_read_only").fetch_one(connection).await?;
    Ok(row.try_get::<String, _>(0)? == "off")
}

/// Opens a connection without the pool, because the pool would report every connection error as a timeout. Retries for
/// [`ACQUIRE_TIMEOUT`] if the server is temporarily unavailable, for example because it restarts.
async fn open_connection(options: &PgConnectOptions) -> Result<PgConnection> {
    let deadline = Instant::now() + ACQUIRE_TIMEOUT;
    let unreachable = |reason: String| DbError::Unreachable { address: address(options), reason };
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let error = match tokio::time::timeout(remaining, options.connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => return Err(unreachable(format!("no response within {} s", ACQUIRE_TIMEOUT.as_secs()))),
        };
        let reason = reason(&error);
        let can_pass = !is_refused(&error) && DbError::Sql(error).is_outage();
        if !can_pass || Instant::now() + RETRY_INTERVAL >= deadline {
            return Err(unreachable(reason));
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Returns whether the server refuses the user, the password or the name of the database. Such an error does not pass
/// by itself.
pub(super) fn is_refused(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    // Invalid authorization specification, invalid catalog name (PostgreSQL, "Error Codes").
    code.is_some_and(|code| code.starts_with("28") || code.starts_with("3D"))
}

fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Database(error) => match error.code() {
            Some(code) => format!("{} (SQLSTATE {code})", error.message()),
            None => error.message().to_owned(),
        },
        error => error.to_string(),
    }
}

/// Returns the address of the server: its socket, or host and port.
fn address(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refused_connection_is_reported_with_address_and_reason() {
        // Port 1 of the loopback interface has no server.
        let error = connect(&SecretString::from("postgres://freehold@127.0.0.1:1/freehold"), 1).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("127.0.0.1:1") && text.contains("refused"), "{text}");
        assert!(error.is_outage());
    }

    #[tokio::test]
    async fn only_startup_parameters_that_pgbouncer_knows_are_sent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = SecretString::from(format!("postgres://freehold@127.0.0.1:{port}/tenants?sslmode=disable"));
        let connecting = tokio::spawn(async move { connect(&url, 1).await.map(|_| ()) });
        let (mut connection, _) = listener.accept().await.unwrap();
        let length = tokio::io::AsyncReadExt::read_u32(&mut connection).await.unwrap() - 4;
        let mut startup = vec![0; usize::try_from(length).unwrap()];
        tokio::io::AsyncReadExt::read_exact(&mut connection, &mut startup).await.unwrap();
        connecting.abort();
        // A protocol version of 4 bytes, then names and values.
        let texts: Vec<_> = startup[4..].split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let mut names: Vec<_> = texts.chunks(2).map(|pair| pair[0].to_ascii_lowercase()).collect();
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        assert_eq!(names, ["application_name", "client_encoding", "database", "datestyle", "timezone", "user"]);
    }

    #[tokio::test]
    async fn the_url_of_another_database_system_is_rejected() {
        let error = connect(&SecretString::from("mysql://root@127.0.0.1/freehold"), 1).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the address of the database must be a URL such as postgres://user:password@host/name"
        );
    }
}
